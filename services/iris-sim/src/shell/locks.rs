//! `iris.lck`: one in the directory of each database that is mounted. Its first line names the host that has it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::shell::host;
use crate::shell::rights::InstanceUser;
use crate::world::facts::LockTrouble;

/// The lock of the database in that directory.
fn lock_in(directory: &str) -> PathBuf {
    Path::new(directory).join("iris.lck")
}

/// Another host that has the database, as far as the instance can read that.
pub fn held_by(user: InstanceUser, directory: &str) -> Option<String> {
    let lock = lock_in(directory);
    let text = fs::read_to_string(&lock).ok().filter(|_| user.may_read(&lock))?;
    let host = text.lines().next()?.trim().to_owned();
    (!host.is_empty() && host != host::system().node).then_some(host)
}

/// What keeps the instance from locking it.
pub fn trouble(user: InstanceUser, directory: &str) -> Option<LockTrouble> {
    let lock = lock_in(directory);
    if !lock.exists() {
        return (!user.may_make_files_in(Path::new(directory))).then_some(LockTrouble::NotWritable);
    }
    if !user.may_read(&lock) {
        return Some(LockTrouble::NotReadable);
    }
    (!user.may_write(&lock)).then_some(LockTrouble::NotWritable)
}

/// Locks it. As far as the disk lets us: a real instance with a full disk comes up too.
pub fn take(directory: &str) {
    let _ = fs::write(lock_in(directory), format!("{}\n", host::system().node));
}

/// Gives it back.
pub fn give_back(directory: &str) {
    let _ = fs::remove_file(lock_in(directory));
}

/// Those that could not be given back now.
pub fn stuck(user: InstanceUser, directories: &[String]) -> Vec<String> {
    let is_stuck = |directory: &&String| {
        lock_in(directory).exists() && !user.may_make_files_in(Path::new(directory.as_str()))
    };
    directories.iter().filter(is_stuck).cloned().collect()
}
