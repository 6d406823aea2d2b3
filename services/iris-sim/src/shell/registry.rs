//! The registry: which instances there are. `iris` finds it beside itself, because callers clear the environment.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::shell::folder::InstanceFolder;

/// The folder with the registry file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    folder: PathBuf,
}

/// One instance in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Upper case.
    pub name: String,
    /// Its installation folder.
    pub folder: InstanceFolder,
    /// The first one made is the default.
    pub is_default: bool,
    /// Folder of the programs.
    pub bin: PathBuf,
}

/// Why the registry does not help.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file cannot be read or written.
    #[error("could not use registry \"{path}\"")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No such instance.
    #[error("instance \"{name}\" is not in registry \"{path}\"")]
    Unknown {
        /// As asked for.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// The name is taken.
    #[error("instance \"{name}\" is already in registry \"{path}\"")]
    Taken {
        /// As asked for.
        name: String,
        /// The file.
        path: PathBuf,
    },
}

impl Registry {
    /// `folder` holds `iris.reg`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The registry of the running `iris` program: the environment's `IRISSYS`, else `../irissys` seen from where it
    /// was called by. The link is not followed: it leads to where the program was built.
    pub fn of_program() -> Self {
        if let Some(folder) = env::var_os("IRISSYS").filter(|folder| !folder.is_empty()) {
            return Self::new(folder);
        }
        let called_as = env::args_os().next().map(PathBuf::from).unwrap_or_default();
        let program = if called_as.components().count() > 1 { called_as } else { on_path(&called_as) };
        let bin = program.parent().filter(|bin| !bin.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let root = fs::canonicalize(bin).unwrap_or_else(|_| bin.to_owned());
        Self::new(root.parent().unwrap_or(Path::new("/")).join("irissys"))
    }

    /// All instances, in the order in which they were made.
    pub fn instances(&self) -> Result<Vec<Registered>, RegistryError> {
        let text = match fs::read_to_string(self.file()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(RegistryError::Io { path: self.file(), source }),
        };
        let bin = self.folder.parent().unwrap_or(Path::new("/")).join("bin");
        Ok(text
            .lines()
            .filter_map(|line| line.split_once('^'))
            .enumerate()
            .map(|(position, (name, folder))| Registered {
                name: name.to_owned(),
                folder: InstanceFolder::new(folder.trim_end_matches('/')),
                is_default: position == 0,
                bin: bin.clone(),
            })
            .collect())
    }

    /// The instance of that name, in any case.
    pub fn find(&self, name: &str) -> Result<Registered, RegistryError> {
        self.instances()?
            .into_iter()
            .find(|instance| instance.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| RegistryError::Unknown { name: name.to_owned(), path: self.file() })
    }

    /// Waits until nobody else changes the registry, and keeps it so while the answer lives. Readers do not wait: the
    /// file is replaced in one step.
    pub fn hold(&self) -> Result<HeldRegistry<'_>, RegistryError> {
        let path = self.folder.join("iris.reg.lock");
        let locked = fs::create_dir_all(&self.folder).and_then(|()| {
            let lock = File::create(&path)?;
            lock.lock()?;
            Ok(lock)
        });
        match locked {
            Ok(lock) => Ok(HeldRegistry { registry: self, _lock: lock }),
            Err(source) => Err(RegistryError::Io { path, source }),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("iris.reg")
    }
}

/// A registry that only one process may change. Dropping it lets the next one in.
#[derive(Debug)]
pub struct HeldRegistry<'a> {
    registry: &'a Registry,
    /// The kernel lets go of it even when its holder is killed.
    _lock: File,
}

impl HeldRegistry<'_> {
    /// Adds an instance.
    pub fn add(&self, name: &str, folder: &InstanceFolder) -> Result<(), RegistryError> {
        let registry = self.registry;
        let mut instances = registry.instances()?;
        if instances.iter().any(|instance| instance.name == name) {
            return Err(RegistryError::Taken { name: name.to_owned(), path: registry.file() });
        }
        instances.push(Registered {
            name: name.to_owned(),
            folder: folder.clone(),
            is_default: instances.is_empty(),
            bin: PathBuf::new(),
        });
        let lines: Vec<String> =
            instances.iter().map(|known| format!("{}^{}", known.name, known.folder.printed())).collect();
        let text = lines.join("\n") + "\n";
        super::replace(&registry.file(), text.as_bytes())
            .map_err(|source| RegistryError::Io { path: registry.file(), source })
    }
}

/// Where a program called by its bare name lies.
fn on_path(name: &Path) -> PathBuf {
    env::var_os("PATH")
        .and_then(|path| env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()))
        .unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use tempfile::TempDir;

    use super::Registry;
    use crate::shell::folder::InstanceFolder;

    #[test]
    fn instances_that_are_added_at_the_same_time_are_all_there() {
        let temporary = TempDir::new().unwrap();
        let registry = Registry::new(temporary.path().join("irissys"));
        let add =
            |name: &str| registry.hold().unwrap().add(name, &InstanceFolder::new(format!("/opt/{name}")));
        thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || {
                    for number in 0..25 {
                        add(&format!("T{thread}_{number}")).unwrap();
                    }
                });
            }
        });
        let names: BTreeSet<String> =
            registry.instances().unwrap().into_iter().map(|known| known.name).collect();
        assert_eq!(names.len(), 200);
        assert!(add("T0_0").unwrap_err().to_string().contains("already in registry"));
    }
}
