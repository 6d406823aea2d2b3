//! Makes a new instance: folders, CPF, registry entry, programs.

mod cpf_template;
mod host_root;
mod ports;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use instance_clock::Clock;

use crate::create::cpf_template::NewCpf;
pub use crate::create::host_root::NewHost;
use crate::shell::folder::InstanceFolder;
use crate::shell::registry::{Registered, Registry, RegistryError};
use crate::shell::settings::{Settings, SettingsError, Workload};
use crate::world::release::Release;

/// A new instance, as asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewInstance {
    /// Folder of programs, registry and instances.
    pub dir: PathBuf,
    /// Letters, digits, underscore and minus; upper-cased.
    pub name: String,
    /// Superserver port; 0 takes a free one that no registered instance has.
    pub superserver_port: u16,
    /// Port of the private web server; 0 takes such a one too, 80 means that the instance has none.
    pub web_port: u16,
    /// 8 KB global buffers, MB; 0 lets IRIS decide.
    pub globals_mb: u64,
    /// Where the host is looked at.
    pub host_root: PathBuf,
    /// Make that folder, with this host in it.
    pub make_host: Option<NewHost>,
    /// See [`Settings::seed`].
    pub seed: u64,
    /// See [`Settings::speed`].
    pub speed: f64,
    /// See [`Settings::fast_clock`].
    pub fast_clock: bool,
    /// Which IRIS.
    pub release: Release,
    /// What its users do.
    pub workload: Workload,
}

/// Why an instance could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The name cannot be that of an instance.
    #[error("instance name \"{0}\" is not 1 to 64 letters, digits, underscores and minus signs")]
    Name(String),
    /// There is one already.
    #[error("instance folder \"{0}\" is already there")]
    Exists(PathBuf),
    /// The `iris` program does not lie beside this one.
    #[error("program \"iris\" is not at \"{0}\": build it too")]
    NoProgram(PathBuf),
    /// A file or folder.
    #[error("could not make \"{path}\"")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The simulator's settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

/// Makes it. Nothing is started.
pub fn create(new: &NewInstance, clock: &dyn Clock) -> Result<Registered, CreateError> {
    let name = new.name.to_uppercase();
    let allowed = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
        return Err(CreateError::Name(new.name.clone()));
    }
    make(&new.dir, |path| fs::create_dir_all(path))?;
    let dir =
        fs::canonicalize(&new.dir).map_err(|source| CreateError::Io { path: new.dir.clone(), source })?;
    let folder = InstanceFolder::new(dir.join(&name));
    // Held until the instance is in it: whoever is made meanwhile must see its name and its ports.
    let registry = Registry::new(dir.join("irissys"));
    let held = registry.hold()?;
    if folder.root().exists() {
        return Err(CreateError::Exists(folder.root().to_owned()));
    }
    link_programs(&dir.join("bin"))?;
    if let Some(host) = new.make_host {
        make(&new.host_root, |path| host_root::make(path, host))?;
    }
    let mut claimed = ports::claimed(&registry.instances()?);
    let superserver_port = port(new.superserver_port, &mut claimed, &folder)?;
    let web_port = port(new.web_port, &mut claimed, &folder)?;
    let cpf = NewCpf {
        name: &name,
        folder: &folder,
        release: new.release,
        superserver_port,
        web_port,
        globals_mb: new.globals_mb,
    };
    fill(&folder, &cpf)?;
    let settings = Settings {
        version: new.release,
        product: "InterSystems IRIS".to_owned(),
        seed: new.seed,
        speed: new.speed,
        fast_clock: new.fast_clock,
        host_root: fs::canonicalize(&new.host_root).unwrap_or_else(|_| new.host_root.clone()),
        created_at: clock.now(),
        workload: new.workload,
    };
    settings.write(&folder.settings())?;
    held.add(&name, &folder)?;
    Ok(registry.find(&name)?)
}

/// Folders, databases, license key, CPF.
fn fill(folder: &InstanceFolder, cpf: &NewCpf<'_>) -> Result<(), CreateError> {
    make(&folder.manager().join("journal"), |path| fs::create_dir_all(path))?;
    for directory in cpf_template::database_directories(cpf) {
        make(Path::new(&directory), |path| fs::create_dir_all(path))?;
        // The stand-in keeps no data; an operator's tools look for the file.
        make(&Path::new(&directory).join("IRIS.DAT"), |path| fs::write(path, b""))?;
    }
    if cpf.web_server() {
        let settings = folder.private_web_server();
        make(&settings, |path| fs::create_dir_all(path.parent().unwrap_or(path)))?;
        make(&settings, |path| fs::write(path, "[SYSTEM]\nSystem_Manager=127.0.0.1\n"))?;
    }
    let key = "[ConfigFile]\nFileType=InterSystems License\n[License]\nusers=64\n";
    make(&folder.license_key(), |path| fs::write(path, key))?;
    make(&folder.cpf(), |path| fs::write(path, cpf_template::text(cpf)))
}

/// `iris` for operators and `irisdb` for the processes of instances: one program, under the names of the real ones.
fn link_programs(bin: &Path) -> Result<(), CreateError> {
    let own = make(bin, |_| env::current_exe())?;
    let program = own.with_file_name("iris");
    if !program.is_file() {
        return Err(CreateError::NoProgram(program));
    }
    make(bin, |path| fs::create_dir_all(path))?;
    for name in ["iris", "irisdb"] {
        let link = bin.join(name);
        if link.symlink_metadata().is_err() {
            make(&link, |path| symlink(&program, path))?;
        }
    }
    Ok(())
}

/// The port that was wished for; with 0 one that nobody has claimed. The next one asked for will be another.
fn port(wished: u16, claimed: &mut BTreeSet<u16>, folder: &InstanceFolder) -> Result<u16, CreateError> {
    let port = if wished == 0 { make(folder.root(), |_| ports::unclaimed(claimed))? } else { wished };
    claimed.insert(port);
    Ok(port)
}

fn make<T>(path: &Path, how: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, CreateError> {
    how(path).map_err(|source| CreateError::Io { path: path.to_owned(), source })
}

/// A good CPF of a release, for tests.
#[cfg(test)]
pub(crate) fn example_cpf(release: Release) -> String {
    cpf_template::text(&NewCpf {
        name: "PROD",
        folder: &InstanceFolder::new("/opt/iris/PROD"),
        release,
        superserver_port: 1972,
        web_port: 80,
        globals_mb: 256,
    })
}
