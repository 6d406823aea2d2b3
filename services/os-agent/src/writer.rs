//! A write that may take long, done by a process of its own: it can be ended when its time is over, which a thread
//! inside the kernel cannot.
//!
//! The kernel fills a large pool of huge pages page by page, moving memory out of the way, and stops early only for a
//! signal. The process is this program again; it writes one value and ends with the number of the error, if any.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use instance_agent::host::{HostError as ProgramError, Program};
use nix::sys::{prctl::set_pdeathsig, signal::Signal};

use crate::{error::HostError, host::write_at_once};

/// The first argument of such a process.
const WORD: &str = "write-kernel-value";
/// Exit codes beyond the numbers of errors.
const SHORT: u8 = 250;
const OTHER: u8 = 251;

/// When this process is one that only writes a value: writes it. `None` when it is the service.
pub fn serve(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let (Some(path), Some(value), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Some(ExitCode::from(OTHER));
    };
    // Who asked must see what came of it: without it nothing goes on.
    if set_pdeathsig(Signal::SIGKILL).is_err() {
        return Some(ExitCode::from(OTHER));
    }
    let written = write_at_once(&PathBuf::from(path), &value.to_string_lossy());
    Some(written.map_or_else(|error| ExitCode::from(code_of(&error)), |()| ExitCode::SUCCESS))
}

/// Lets `program` write the value, at most for `limit`.
pub fn write_apart(program: &Path, path: &Path, value: &str, limit: Duration) -> Result<(), HostError> {
    let arguments = [OsString::from(WORD), path.into(), value.into()];
    let finished = Program::new(program).arguments(arguments).run(limit).map_err(|error| match error {
        ProgramError::Start { source, .. } => HostError::io("start the writer of", path.to_owned(), source),
        error => HostError::io("watch the writer of", path.to_owned(), io::Error::other(error.to_string())),
    })?;
    if finished.timed_out {
        return Err(HostError::TimedOut(path.to_owned()));
    }
    let code = finished.code.and_then(|code| u8::try_from(code).ok());
    match code {
        Some(0) => Ok(()),
        Some(SHORT) => Err(HostError::Short(path.to_owned())),
        Some(errno) if errno < SHORT => {
            let source = io::Error::from_raw_os_error(i32::from(errno));
            Err(HostError::of_parameter("write", path, source))
        }
        _ => {
            Err(HostError::io("write", path.to_owned(), io::Error::other("the writer ended without a word")))
        }
    }
}

fn code_of(error: &HostError) -> u8 {
    match error {
        HostError::Absent(_) => u8::try_from(nix::libc::ENOENT).unwrap_or(OTHER),
        HostError::Short(_) => SHORT,
        HostError::Io { source, .. } => {
            source.raw_os_error().and_then(|errno| u8::try_from(errno).ok()).unwrap_or(OTHER)
        }
        _ => OTHER,
    }
}
