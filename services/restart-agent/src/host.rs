//! The one narrow door to an instance: its `iris` program, its processes and sockets, its files, its metrics, and whether
//! what was promised of it holds. What the agent does knows nothing beyond it, so that another kind of host (a
//! container, a pod) is another implementation and no other logic.

mod local;

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use instance_agent::{
    Work,
    evidence::{LogMark, Metrics, MonitorError, Process},
    host::{Finished, HostError},
};
use instance_contract::{Failure, Verification, Verify};
use instance_iris::messages_log::Entry;

pub use local::Local;

/// Whoever reaches one instance.
pub trait Host: Send + Sync {
    /// Runs the `iris` program with these words, in a process group of its own, without a terminal, at most for
    /// `limit`. What it exits with proves nothing.
    fn iris(&self, words: &[&str], limit: Duration) -> Result<Finished, HostError>;

    /// All processes of the instance, oldest first. Empty when it is down.
    fn processes(&self) -> io::Result<Vec<Process>>;

    /// Those of them that a person works in: they have a terminal.
    fn terminals(&self, processes: &[Process]) -> Vec<u32>;

    /// Was this very process started by the instance, so that it ends with it?
    fn carries_us(&self, processes: &[Process]) -> bool;

    /// Every TCP socket of the instance's network that is bound to this port, with its owner.
    fn sockets(&self, port: u16, processes: &[Process]) -> io::Result<Vec<Socket>>;

    /// Does somebody take a connection at this address of the machine? One that stands for all of them is tried at the
    /// loopback address.
    fn accepts(&self, address: SocketAddr, limit: Duration) -> bool;

    /// What the instance tells about itself at this address.
    fn metrics(&self, url: &str, limit: Duration) -> Result<Metrics, MonitorError>;

    /// Tells one boot of the machine from the next: process ids start afresh with it.
    fn boot_id(&self) -> Option<String>;

    /// The present end of `messages.log`.
    fn log_end(&self) -> io::Result<LogMark>;

    /// The entries after a place in it.
    fn log_since(&self, mark: LogMark) -> io::Result<Vec<Entry>>;

    /// The entries since the last start.
    fn log_of_this_run(&self) -> io::Result<Vec<Entry>>;

    /// `iris.cpf`, byte for byte.
    fn cpf(&self) -> io::Result<Vec<u8>>;

    /// Where settings and CPF have the image journal, and whether it is there. `None` where that cannot be told.
    fn image_journal(&self) -> Option<ImageJournal>;

    /// Looks whether what a remediation promised holds.
    fn verify(&self, verify: &Verify, work: &Work<'_>) -> Result<Verification, Failure>;

    /// Was the CPF written after the last word of the log? An instance that is down writes no more.
    fn cpf_is_newer_than_log(&self) -> bool;
}

/// The write image journal (WIJ): by it a start tells a clean stop from a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageJournal {
    pub path: PathBuf,
    pub is_there: bool,
}

/// One TCP socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    pub use_of: Use,
    pub owner: Owner,
    /// The address that it is bound to.
    pub local: SocketAddr,
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Listens,
    /// Somebody is connected from there.
    ConnectedFrom(SocketAddr),
}

/// Whose a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This process of the instance has it open.
    Process(u32),
    /// No process of the instance has it open. The user that it belongs to.
    Foreign { user: u32 },
    /// What the instance's processes have open cannot be seen, but the socket belongs to a user of theirs.
    SameUser,
}

impl Owner {
    /// As far as can be seen.
    pub fn is_the_instance(self) -> bool {
        matches!(self, Self::Process(_) | Self::SameUser)
    }
}
