//! Gathers what a start finds: files, host, clock.

use std::path::Path;

use crate::shell::cpf_file::{self, CpfFile};
use crate::shell::folder::InstanceFolder;
use crate::shell::host::{self, HostError};
use crate::shell::license::License;
use crate::shell::obstacles;
use crate::shell::rights::InstanceUser;
use crate::shell::settings::Settings;
use crate::shell::volumes::next_journal_number;
use crate::shell::wij_file::{WijFile, fingerprint};
use crate::world::check_cpf;
use crate::world::facts::{Directory, JournalFacts, Obstacles, Previous, StartFacts, SystemName};
use crate::world::parameters::Parameters;

/// Everything the world must know to start.
pub fn start_facts(
    folder: &InstanceFolder,
    settings: &Settings,
    cpf: &CpfFile,
    asker: (String, bool),
    at: jiff::Zoned,
) -> Result<StartFacts, HostError> {
    let wij = WijFile::read(&folder.wij());
    let parameters = cpf_file::parameters(&cpf.in_force(), cpf.databases());
    let last_fingerprint = wij.as_ref().and_then(|wij| wij.cpf_fingerprint);
    let (user, without_startup_routine) = asker;
    let license = License::read(&folder.license_key());
    let system = SystemName { node: host::node(&settings.host_root), ..host::system() };
    let previous = WijFile::previous(wij.as_ref());
    let instance_user = InstanceUser::of(folder);
    let obstacles = Obstacles {
        failed_over_from: wij.and_then(|wij| wij.node).filter(|node| *node != system.node),
        journal_to_restore_missing: matches!(
            &previous,
            Previous::Abnormal(wij) if !wij.journal_file.is_empty() && !Path::new(&wij.journal_file).exists()
        ),
        ..obstacles::find(folder, instance_user, cpf, &parameters, (&license, &at))
    };
    Ok(StartFacts {
        directory: folder.printed(),
        user,
        without_startup_routine,
        cpf_faults: check_cpf::check(cpf.document(), settings.version),
        cpf_changed: last_fingerprint.is_some_and(|last| last != fingerprint(cpf.bytes())),
        memory: host::memory(&settings.host_root)?,
        system,
        previous,
        journal: journal(instance_user, &parameters, &at),
        databases_there: databases_there(&parameters),
        private_web_server: folder.private_web_server().is_file(),
        licensed_users: license.users(&at),
        obstacles,
        parameters,
        at,
    })
}

fn journal(user: InstanceUser, parameters: &Parameters, at: &jiff::Zoned) -> JournalFacts {
    let current = state_of(user, &parameters.journal_directory);
    let alternate = state_of(user, &parameters.alternate_journal_directory);
    let directory = if current == Directory::Usable {
        &parameters.journal_directory
    } else {
        &parameters.alternate_journal_directory
    };
    let day = at.strftime("%Y%m%d").to_string();
    JournalFacts { current, alternate, next_number: next_journal_number(directory, &day) }
}

fn databases_there(parameters: &Parameters) -> Vec<String> {
    let directories = parameters.databases.iter().map(|(_, directory)| directory);
    directories.filter(|directory| Path::new(directory).join("IRIS.DAT").is_file()).cloned().collect()
}

/// Whether the instance can make files there.
fn state_of(user: InstanceUser, directory: &str) -> Directory {
    if directory.is_empty() || !Path::new(directory).is_dir() {
        return Directory::Absent;
    }
    if user.may_make_files_in(Path::new(directory)) { Directory::Usable } else { Directory::Denied }
}
