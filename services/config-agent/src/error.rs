use std::{io, path::PathBuf};

use instance_contract::Failure;

/// What can go wrong with the files of an instance.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system said no.
    #[error("could not {operation} \"{}\"", path.display())]
    Io {
        /// What was tried, as a verb with its object: `read`, `create the backup`.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// Replacing it would turn the link into a file and leave the real one as it is.
    #[error("\"{}\" is a symbolic link; name the real file in the settings of the agent", .0.display())]
    SymbolicLink(PathBuf),
    /// Replacing it would leave the old text under its other names.
    #[error("\"{}\" has {links} names (hard links); remove the others first", path.display())]
    HardLinks {
        /// The file.
        path: PathBuf,
        /// How many names it has.
        links: u64,
    },
    /// A folder, a device, a pipe.
    #[error("\"{}\" is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// No CPF is that large; reading it would only take memory.
    #[error("\"{}\" is larger than {limit} bytes, so it is not a CPF", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Greatest size that is read, in bytes.
        limit: u64,
    },
    /// Another process is at it, and it takes turns with us.
    #[error("another process of Instance is changing \"{}\"", .0.display())]
    Busy(PathBuf),
    /// A backup has that name already and holds something else. It is never overwritten.
    #[error("backup \"{}\" holds something else and is never overwritten", .0.display())]
    BackupTaken(PathBuf),
    /// What was read is not what was written a moment ago.
    #[error("\"{}\" does not hold what was written to it", .0.display())]
    ReadBack(PathBuf),
    /// The operating system did not let the new file keep what the old one had.
    #[error("could not keep {what} of \"{}\"", path.display())]
    Attribute {
        /// Owner, mode, or the name of an extended attribute.
        what: String,
        /// The file.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
}

impl FileError {
    pub(crate) fn io(operation: &'static str, path: PathBuf, source: impl Into<io::Error>) -> Self {
        Self::Io { operation, path, source: source.into() }
    }

    /// The same, of the file as people know it: it had another name for a moment.
    pub fn about(self, name: PathBuf) -> Self {
        match self {
            Self::SymbolicLink(_) => Self::SymbolicLink(name),
            Self::NotAFile(_) => Self::NotAFile(name),
            Self::HardLinks { links, .. } => Self::HardLinks { path: name, links },
            Self::TooLarge { limit, .. } => Self::TooLarge { path: name, limit },
            other => other,
        }
    }

    /// Is it what lies there, whatever the disk says?
    pub const fn is_of_kind(&self) -> bool {
        matches!(
            self,
            Self::SymbolicLink(_) | Self::NotAFile(_) | Self::HardLinks { .. } | Self::TooLarge { .. }
        )
    }

    /// Does this file system, or this kernel, know no such call?
    pub fn is_unsupported(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        let unknown = [nix::libc::EINVAL, nix::libc::ENOSYS, nix::libc::EOPNOTSUPP];
        source.raw_os_error().is_some_and(|errno| unknown.contains(&errno))
    }

    /// What may happen next, as long as the live file is untouched.
    pub fn into_failure(self) -> Failure {
        let message = self.to_string();
        match self {
            Self::Io { source, .. } => of_system(&message, &source),
            // A disk that fails is told as that, not as a right that is missing.
            Self::Attribute { source, .. } if !is_denied(&source) => of_system(&message, &source),
            Self::Attribute { source, .. } => {
                let cure = "run config-agent as the owner of the instance, or as root";
                Failure::permanent("missing_right", format!("{message}: {source}; {cure}"))
            }
            Self::SymbolicLink(_) => Failure::permanent("symbolic_link", message),
            Self::HardLinks { .. } => Failure::permanent("hard_link", message),
            Self::NotAFile(_) | Self::TooLarge { .. } => Failure::permanent("not_a_cpf", message),
            Self::Busy(_) => Failure::transient("busy", message),
            Self::BackupTaken(_) => Failure::transient("backup_taken", message),
            Self::ReadBack(_) => Failure::permanent("read_back", message),
        }
    }

    /// The same, after the new file has taken the name of the old one: what is true must be looked up.
    pub fn into_unknown(self) -> Failure {
        let cause = self.into_failure().cause().clone();
        Failure::Unknown { cause }
    }
}

/// The ways in which an owner or an attribute is denied.
fn is_denied(source: &io::Error) -> bool {
    matches!(
        source.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput
    )
}

fn of_system(message: &str, source: &io::Error) -> Failure {
    use io::ErrorKind as Kind;
    let text = format!("{message}: {source}");
    match source.kind() {
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
            Failure::transient("no_space", format!("{text}; free space on that file system"))
        }
        Kind::PermissionDenied => Failure::permanent(
            "missing_right",
            format!("{text}; run config-agent as the owner of the instance, or as root"),
        ),
        Kind::ReadOnlyFilesystem => Failure::permanent(
            "read_only_file_system",
            format!("{text}; the file system is mounted read-only"),
        ),
        Kind::NotFound => Failure::permanent("file_missing", text),
        Kind::Interrupted | Kind::WouldBlock | Kind::TimedOut | Kind::ResourceBusy | Kind::OutOfMemory => {
            Failure::transient("file_error", text)
        }
        _ if matches!(source.raw_os_error(), Some(errno) if errno == nix::libc::EMFILE || errno == nix::libc::ENFILE) => {
            Failure::transient("file_error", format!("{text}; too many open files"))
        }
        // EIO among them: a disk that fails is not asked again.
        _ => Failure::permanent("file_error", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_the_operating_system_says_whether_to_try_again() {
        let check = |errno: i32, code: &str, again: bool| {
            let error = FileError::io("write", "/x/iris.cpf".into(), io::Error::from_raw_os_error(errno));
            let failure = error.into_failure();
            assert_eq!(failure.cause().code, code, "{failure}");
            assert_eq!(matches!(failure, Failure::Transient { .. }), again, "{failure}");
            assert!(failure.cause().message.contains("/x/iris.cpf"), "{failure}");
        };
        check(nix::libc::ENOSPC, "no_space", true);
        check(nix::libc::EDQUOT, "no_space", true);
        check(nix::libc::EIO, "file_error", false);
        check(nix::libc::EROFS, "read_only_file_system", false);
        check(nix::libc::EACCES, "missing_right", false);
        check(nix::libc::EPERM, "missing_right", false);
        check(nix::libc::ENOENT, "file_missing", false);
        check(nix::libc::EMFILE, "file_error", true);
    }
}
