use std::{io, path::PathBuf};

use instance_contract::Failure;

/// What can go wrong with the files through which the kernel is asked and told.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// This kernel has no such parameter.
    #[error("this kernel has no \"{}\"", .0.display())]
    Absent(PathBuf),
    /// What the kernel shows is not what the catalogue describes.
    #[error("\"{}\" shows \"{shown}\", which is not understood", path.display())]
    Strange {
        /// The file.
        path: PathBuf,
        /// What it holds, cut.
        shown: String,
    },
    /// The kernel took some of what was written.
    #[error("the kernel took only a part of the value written to \"{}\"", .0.display())]
    Short(PathBuf),
    /// The drop-in must be a file of its own.
    #[error("\"{}\" is not a regular file, so it is left as it is", .0.display())]
    NotAFile(PathBuf),
    /// The operating system said no.
    #[error("could not {operation} \"{}\"", path.display())]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
}

/// What makes a rename durable.
pub(crate) const SYNC_FOLDER: &str = "sync folder";

impl KernelError {
    pub(crate) fn io(operation: &'static str, path: PathBuf, source: impl Into<io::Error>) -> Self {
        Self::Io { operation, path, source: source.into() }
    }

    /// What may happen next, as long as nothing is changed.
    pub fn into_failure(self) -> Failure {
        let message = self.to_string();
        match self {
            // The file has its new name already; only whether it survives a power cut is not known.
            Self::Io { operation: SYNC_FOLDER, source, .. } => {
                Failure::Unknown { cause: of_system(&message, &source).cause().clone() }
            }
            Self::Io { source, .. } => of_system(&message, &source),
            Self::Absent(_) => Failure::permanent("unknown_to_kernel", message),
            Self::Strange { .. } | Self::Short(_) => Failure::permanent("kernel_answer", message),
            Self::NotAFile(_) => Failure::permanent("not_a_file", message),
        }
    }

    /// The same, when a part of the change is done already.
    pub fn into_unknown(self) -> Failure {
        let cause = self.into_failure().cause().clone();
        Failure::Unknown { cause }
    }
}

fn of_system(message: &str, source: &io::Error) -> Failure {
    use io::ErrorKind as Kind;
    let text = format!("{message}: {source}");
    match source.kind() {
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Failure::permanent(
            "missing_right",
            format!(
                "{text}; run os-agent as root on the host itself: in a container the kernel's parameters are read-only or its own, \
                 unless it is privileged (CAP_SYS_ADMIN, /proc/sys writable)"
            ),
        ),
        Kind::InvalidInput => {
            Failure::permanent("kernel_refused", format!("{text}; the kernel does not take this value"))
        }
        Kind::StorageFull | Kind::QuotaExceeded => {
            Failure::transient("no_space", format!("{text}; free space on that file system"))
        }
        Kind::NotFound => Failure::permanent("file_missing", text),
        Kind::Interrupted | Kind::WouldBlock | Kind::TimedOut | Kind::ResourceBusy | Kind::OutOfMemory => {
            Failure::transient("kernel_busy", text)
        }
        _ => Failure::permanent("file_error", text),
    }
}
