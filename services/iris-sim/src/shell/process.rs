//! Processes by identity, not by pid alone: a pid comes back, a pid with its start time does not.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};

/// A process that was seen alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessKey {
    /// Its pid.
    pub pid: u32,
    /// When it started, in clock ticks since the host came up (field 22 of `/proc/<pid>/stat`).
    pub started: u64,
}

impl ProcessKey {
    /// The process that has this pid now; `None` when there is none, or only its zombie.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything, so count from its end.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        if matches!(state, "Z" | "X" | "x") {
            return None;
        }
        let started = fields.nth(18)?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// This process.
    pub fn own() -> Self {
        Self::of(std::process::id()).expect("a running process is in /proc")
    }

    /// Whether that very process still runs.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends SIGKILL, as the OOM killer does. False when the process was gone.
    pub fn kill(self) -> bool {
        self.send(Signal::SIGKILL)
    }

    /// Whether it was stopped, and does nothing until it is continued.
    pub fn is_paused(self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
        matches!(state, Some("T" | "t")) && self.is_alive()
    }

    /// Sends SIGCONT. False when the process was gone.
    pub fn go_on(self) -> bool {
        self.send(Signal::SIGCONT)
    }

    /// Sends SIGSTOP: it does nothing more until it is killed. False when the process was gone.
    pub fn pause(self) -> bool {
        self.send(Signal::SIGSTOP)
    }

    fn send(self, signal: Signal) -> bool {
        let Ok(pid) = i32::try_from(self.pid) else { return false };
        self.is_alive() && kill(Pid::from_raw(pid), signal).is_ok()
    }
}

/// How the log names the user: root acts as the effective user `irisusr`.
pub fn user_name() -> String {
    let uid = Uid::effective();
    if uid.is_root() {
        return "irisusr (root)".to_owned();
    }
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::ProcessKey;

    #[test]
    fn a_process_is_known_by_pid_and_start_time() {
        let own = ProcessKey::own();
        assert!(own.is_alive());
        assert!(!ProcessKey { started: own.started + 1, ..own }.is_alive());
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let key = ProcessKey::of(child.id());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while key.is_some_and(ProcessKey::is_alive) {
            assert!(std::time::Instant::now() < deadline, "`true` still runs");
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
