//! The locks of databases: one that is mounted has an `iris.lck` in its directory for as long.

use crate::world::World;
use crate::world::act::{Act, Entry, Severity, Writer};
use crate::world::facts::LockTrouble;

/// How a database comes up that could not be locked [H2].
pub const READ_ONLY: &str = "read-only. File or filesystem allows read-only access. ";

impl World {
    /// Directories of the databases that it has locked.
    pub fn locks(&self) -> &[String] {
        &self.locks
    }

    /// Locks a database that is about to be mounted; where that cannot be, what is said about it: it comes up read-only.
    pub(super) fn lock_database(&mut self, directory: &str) -> Result<Act, Act> {
        let lock = lock_in(directory);
        let trouble = self.lock_troubles.iter().find(|(there, _)| there == directory);
        let text = match trouble.map(|(_, trouble)| trouble) {
            None => {
                self.locks.push(directory.to_owned());
                return Ok(Act::LockDatabase(directory.to_owned()));
            }
            Some(LockTrouble::NotWritable) => {
                format!("Cannot lock {directory} err(13): will try accessing readonly")
            }
            Some(LockTrouble::NotReadable) => format!("Unable to open {lock} to check for database lock"),
        };
        Err(Entry::kernel(Writer::Control, Severity::Warning, text).into())
    }

    /// A stop gives them back; those in a directory that nobody may write stay, and each is told.
    pub(super) fn unlock_databases(&mut self) -> Vec<Act> {
        let stuck = std::mem::take(&mut self.stuck_locks);
        let unlock = |directory: String| {
            if stuck.contains(&directory) {
                let text = format!("Cannot remove database lock {}: Delete failed", lock_in(&directory));
                Entry::utility(Severity::Warning, text).into()
            } else {
                Act::UnlockDatabase(directory)
            }
        };
        std::mem::take(&mut self.locks).into_iter().map(unlock).collect()
    }
}

fn lock_in(directory: &str) -> String {
    format!("{}/iris.lck", directory.trim_end_matches('/'))
}
