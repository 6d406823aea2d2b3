use std::{
    io,
    path::{Path, PathBuf},
};

use instance_contract::Failure;

use crate::host::SET_CPUS;

/// What can go wrong with what the host is asked and told.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
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
    /// The kernel was still at it when the time was over.
    #[error("the kernel did not finish with \"{}\" in time", .0.display())]
    TimedOut(PathBuf),
    /// The drop-in must be a file of its own.
    #[error("\"{}\" is not a regular file, so it is left as it is", .0.display())]
    NotAFile(PathBuf),
    /// Nobody knows how much memory there is.
    #[error("the memory of this host is not known ({0})")]
    MemoryUnknown(String),
    /// The instance has no process.
    #[error("no process of the instance was found: it is down, or its manager directory is another one")]
    NoProcesses,
    /// The thread is no more.
    #[error("thread {0} has ended")]
    Ended(u32),
    /// What is shown as processes is not the kernel's own word.
    #[error("\"{}\" is a made-up process: only those that the kernel itself shows can be told where to run", .0.display())]
    NotThisHost(PathBuf),
    /// The processes are in no control group of their own.
    #[error("the processes of the instance are in no control group of their own")]
    NoGroup,
    /// Others would get the share too.
    #[error("control group \"{}\" holds others too: {}", path.display(), others.join(", "))]
    SharedGroup {
        /// Below the mount of the controller.
        path: PathBuf,
        /// The first few.
        others: Vec<String>,
    },
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

/// What needs a right of its own, where a drop-in belongs to somebody else.
pub(crate) const KEEP_OWNER: &str = "keep the owner of";
/// What makes a rename durable.
pub(crate) const SYNC_FOLDER: &str = "sync folder";

impl HostError {
    pub(crate) fn io(operation: &'static str, path: PathBuf, source: impl Into<io::Error>) -> Self {
        Self::Io { operation, path, source: source.into() }
    }

    /// A file of the kernel that is not there is a parameter that the kernel does not have.
    pub(crate) fn of_parameter(operation: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::Absent(path.to_owned()),
            _ => Self::io(operation, path.to_owned(), source),
        }
    }

    pub(crate) fn strange(path: PathBuf, shown: &str) -> Self {
        Self::Strange { path, shown: shown.trim_end().chars().take(80).collect() }
    }

    /// What may happen next, as long as nothing is changed.
    pub fn into_failure(self) -> Failure {
        let message = self.to_string();
        match self {
            // The file has its new name already; only whether it survives a power cut is not known.
            Self::Io { operation: SYNC_FOLDER, source, .. } => {
                Failure::Unknown { cause: of_system(&message, SYNC_FOLDER, &source).cause().clone() }
            }
            Self::Io { operation, source, .. } => of_system(&message, operation, &source),
            Self::Absent(_) => Failure::permanent("unknown_to_kernel", message),
            Self::Strange { .. } | Self::Short(_) => Failure::permanent("kernel_answer", message),
            Self::TimedOut(_) => Failure::transient("timed_out", message),
            Self::NotAFile(_) => Failure::permanent("not_a_file", message),
            Self::MemoryUnknown(_) => Failure::permanent("memory_unknown", message),
            Self::NoProcesses | Self::Ended(_) => Failure::permanent("no_processes", message),
            Self::NotThisHost(_) => Failure::permanent("not_this_host", message),
            Self::NoGroup | Self::SharedGroup { .. } => Failure::refused(
                "no_group_of_its_own",
                format!(
                    "{message}; start the instance by a systemd unit (or in a container) of its own, then its share can be set"
                ),
            ),
        }
    }

    /// The same, when a part of the change is done already.
    pub fn into_unknown(self) -> Failure {
        let cause = self.into_failure().cause().clone();
        Failure::Unknown { cause }
    }
}

fn of_system(message: &str, operation: &str, source: &io::Error) -> Failure {
    use io::ErrorKind as Kind;
    let text = format!("{message}: {source}");
    match source.kind() {
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
            Failure::permanent("missing_right", format!("{text}; {}", cure(operation)))
        }
        Kind::InvalidInput if operation == SET_CPUS => Failure::permanent(
            "kernel_refused",
            format!(
                "{text}; none of these CPUs is open to the process: see cpuset.cpus of its control group"
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

/// Which right is missing, and how to get it.
fn cure(operation: &str) -> &'static str {
    if operation == SET_CPUS {
        return "os-agent needs CAP_SYS_NICE for processes of other users: CapabilityBoundingSet=CAP_SYS_NICE in its unit, \
                cap-add SYS_NICE in a container";
    }
    if operation == KEEP_OWNER {
        return "the drop-in belongs to somebody else: give it to root, or os-agent CAP_CHOWN (CapabilityBoundingSet= in \
                its unit)";
    }
    "run os-agent as root on the host itself: in a container the kernel's parameters are read-only or its own, \
     unless it is privileged (CAP_SYS_ADMIN, /proc/sys writable)"
}
