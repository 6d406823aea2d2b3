//! How the `iris` program asks the control process: a line of JSON each way over a socket in the manager directory.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Name of the socket in the manager directory.
const SOCKET: &str = "iris.sock";

/// What a control process can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// `iris stop`, `iris stopnoshut`.
    Stop {
        /// Who asks.
        pid: u32,
        /// `irisusr (root)` or the user's name.
        user: String,
        /// Without user shutdown routines.
        without_routines: bool,
    },
    /// `iris merge`.
    Merge {
        /// Who asks.
        pid: u32,
        /// Absolute path of the merge file.
        file: PathBuf,
    },
    /// The settings file has another workload.
    Reload,
}

/// What it answers, line by line; [`Answer::Done`] is the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A line for the terminal.
    Say(String),
    /// The work is over.
    Done {
        /// Exit code for the program that asked.
        code: u8,
    },
}

/// Sends an answer; the asker may be gone, which is no fault of ours.
pub fn answer(to: &mut impl io::Write, answer: &Answer) {
    let mut line = serde_json::to_vec(answer).expect("plain values");
    line.push(b'\n');
    let _ = to.write_all(&line).and_then(|()| to.flush());
}

/// Reads answers until [`Answer::Done`]; `say` gets the lines. `None` when the other side ended without one.
pub fn answers(from: impl io::Read, mut say: impl FnMut(&str)) -> Option<u8> {
    for line in BufReader::new(from).lines() {
        match serde_json::from_str(&line.ok()?).ok()? {
            Answer::Say(text) => say(&text),
            Answer::Done { code } => return Some(code),
        }
    }
    None
}

/// Asks the control process of the instance whose manager directory this is.
pub fn ask(manager: &Path, request: &Request, say: impl FnMut(&str)) -> io::Result<Option<u8>> {
    let mut stream = near(manager, |socket| UnixStream::connect(socket))?;
    let mut line = serde_json::to_vec(request).map_err(io::Error::other)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    Ok(answers(stream, say))
}

/// Listens for requests. A socket left behind by a killed process is replaced.
pub fn listen(manager: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(manager.join(SOCKET)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    near(manager, |socket| UnixListener::bind(socket))
}

/// Removes the socket.
pub fn forget(manager: &Path) {
    // It may never have been made.
    let _ = fs::remove_file(manager.join(SOCKET));
}

/// Reads the request on a new connection.
pub fn request(stream: &UnixStream) -> Option<Request> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

/// A socket address holds 108 bytes and folders of tests are longer, so the folder is named by an open descriptor.
fn near<T>(manager: &Path, open: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let folder = File::open(manager)?;
    open(&PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())))
}
