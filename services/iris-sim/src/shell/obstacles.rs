//! Looks for what lies in the way of a start: files that are there and should not be, or the other way round.

use std::fs;
use std::path::Path;

use crate::shell::cpf_file::CpfFile;
use crate::shell::folder::InstanceFolder;
use crate::shell::license::{License, date, days_between};
use crate::shell::locks;
use crate::shell::rights::InstanceUser;
use crate::world::facts::{EndingCertificate, LockTrouble, Obstacles};
use crate::world::parameters::Parameters;

/// Everything that is found in files of the instance; what its last run left is none of it.
pub fn find(
    folder: &InstanceFolder,
    user: InstanceUser,
    cpf: &CpfFile,
    parameters: &Parameters,
    (license, at): (&License, &jiff::Zoned),
) -> Obstacles {
    Obstacles {
        mismatch_wij: folder.manager().join("MISMATCH.WIJ").exists(),
        encryption_key_missing: encryption_key_missing(&folder.encryption()),
        locked_elsewhere: locked_elsewhere(user, parameters),
        lock_troubles: lock_troubles(user, parameters),
        needed_databases_absent: needed_databases_absent(cpf, parameters),
        license_days_left: license.days_left(at),
        ending_certificates: ending_certificates(&folder.certificates(), at),
        ..Obstacles::default()
    }
}

/// The stand-in's `encryption.conf` says `key=<file>`: that file is read at each start, and nobody is asked.
fn encryption_key_missing(settings: &Path) -> bool {
    let Ok(text) = fs::read_to_string(settings) else { return false };
    !value(&text, "key")
        .is_some_and(|key| fs::metadata(key).is_ok_and(|found| found.is_file() && found.len() > 0))
}

fn locked_elsewhere(user: InstanceUser, parameters: &Parameters) -> Vec<(String, String)> {
    let locked = |directory: &String| Some((directory.clone(), locks::held_by(user, directory)?));
    parameters.databases.iter().filter_map(|(_, directory)| locked(directory)).collect()
}

fn lock_troubles(user: InstanceUser, parameters: &Parameters) -> Vec<(String, LockTrouble)> {
    let trouble = |directory: &String| Some((directory.clone(), locks::trouble(user, directory)?));
    parameters.databases.iter().filter_map(|(_, directory)| trouble(directory)).collect()
}

/// `[Namespaces] NAME=GLOBALS,ROUTINES,TEMP`: each a database by its name.
fn needed_databases_absent(cpf: &CpfFile, parameters: &Parameters) -> Vec<String> {
    let names = cpf.document().entries("Namespaces").flat_map(|entry| entry.value.split(','));
    let directories = names.filter_map(|name| parameters.database(name.trim()));
    let mut absent: Vec<String> = directories
        .filter(|directory| !Path::new(directory).join("IRIS.DAT").is_file())
        .map(str::to_owned)
        .collect();
    absent.sort();
    absent.dedup();
    absent
}

/// IRIS warns of certificates this many days before their last one.
const WARN_DAYS: i64 = 30;

/// One file for each certificate, with lines `serial=`, `issuer=`, `subject=` and `expires=`; a real instance has them
/// in its security database.
fn ending_certificates(folder: &Path, at: &jiff::Zoned) -> Vec<EndingCertificate> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut ending: Vec<EndingCertificate> = files
        .filter_map(|file| {
            let text = fs::read_to_string(file.path()).ok()?;
            let last_day = date(value(&text, "expires")?)?;
            Some(EndingCertificate {
                serial: value(&text, "serial")?.to_owned(),
                issuer: value(&text, "issuer")?.to_owned(),
                subject: value(&text, "subject")?.to_owned(),
                used_by: format!("Root Certificates - \"{}\"", file.file_name().display()),
                last_day,
                days_left: days_between(at.date(), last_day),
            })
        })
        .filter(|certificate| certificate.days_left <= WARN_DAYS)
        .collect();
    ending.sort_by(|a, b| a.serial.cmp(&b.serial));
    ending
}

/// What the first line `name=value` of a file says.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('=')).map(str::trim)
}
