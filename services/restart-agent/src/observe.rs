//! What an instance is doing, as far as the `iris` program, its log and its processes tell.

use std::{
    fmt, fs,
    path::Path,
    time::{Duration, Instant},
};

use instance_agent::InstanceSettings;
use instance_agent::evidence::{self, Health, LogMark, Qlist, StateWord};
use instance_iris::messages_log::{Entry, Severity};
use serde::{Deserialize, Serialize};

use crate::{config::Config, error::RestartError};

/// `iris qlist` takes milliseconds; a host that is short of memory takes longer.
const QLIST_LIMIT: Duration = Duration::from_secs(10);

/// How often the state is asked for, while it is waited for.
pub const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// One instance of this host: where it is, and how it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    pub config: &'a Config,
    pub instance: &'a InstanceSettings,
}

/// The state of an instance in one word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Running,
    /// Running, and `iris qlist` calls its health `hung`.
    Hung,
    Down,
    /// Starting, stopping, sign-on inhibited: as printed.
    Other(String),
}

/// What `iris qlist` says.
#[derive(Debug, Clone)]
pub struct Observed {
    pub state: State,
    pub qlist: Qlist,
}

/// One run of an instance, told from the run before it and the run after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Of the host: process ids start afresh with it.
    pub boot_id: Option<String>,
    /// As `iris qlist` prints it, to the second; `None` when the instance was not running.
    pub since: Option<String>,
    /// Its oldest process, where one was found: id and start in clock ticks since the boot.
    pub process: Option<(u32, u64)>,
}

/// The end of `messages.log` at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    pub inode: u64,
    pub size: u64,
}

impl Site<'_> {
    pub fn observe(&self) -> Result<Observed, RestartError> {
        let qlist = evidence::qlist(&self.config.iris_command, &self.instance.name, QLIST_LIMIT)?;
        let state = match (&qlist.state, qlist.health) {
            (StateWord::Running, Health::Hung) => State::Hung,
            (StateWord::Running, _) => State::Running,
            (StateWord::Down, _) => State::Down,
            (other, _) => State::Other(other.to_string()),
        };
        Ok(Observed { state, qlist })
    }

    /// Waits until the instance is up or down, at most for `limit`: one on its way is left to whoever sent it.
    pub fn settled(&self, limit: Duration) -> Result<Observed, RestartError> {
        let began = Instant::now();
        loop {
            let observed = self.observe()?;
            match &observed.state {
                State::Running | State::Hung | State::Down => return Ok(observed),
                State::Other(word) if began.elapsed() >= limit => {
                    return Err(RestartError::Unsettled { state: word.clone() });
                }
                State::Other(_) => std::thread::sleep(LOOK_AGAIN),
            }
        }
    }

    /// The run that is going on, if one is.
    pub fn run(&self, observed: &Observed) -> Run {
        let proc_root = &self.config.proc_root;
        let boot_id = fs::read_to_string(proc_root.join("sys/kernel/random/boot_id")).ok();
        let up = observed.state != State::Down;
        let manager = self.instance.messages_log.parent();
        Run {
            boot_id: boot_id.map(|id| id.trim().to_owned()),
            since: up.then(|| observed.qlist.since.clone()),
            process: if up { manager.and_then(|manager| oldest_process(proc_root, manager)) } else { None },
        }
    }

    pub fn log_end(&self) -> Result<LogEnd, RestartError> {
        let mark = LogMark::now(&self.instance.messages_log).map_err(|source| self.log_error(source))?;
        Ok(LogEnd { inode: mark.inode, size: mark.size })
    }

    /// The entries of the log after a place.
    pub fn log_since(&self, end: LogEnd) -> Result<Vec<Entry>, RestartError> {
        let mark = LogMark { inode: end.inode, size: end.size };
        let since = evidence::entries_since(&self.instance.messages_log, mark);
        since.map(|(entries, _)| entries).map_err(|source| self.log_error(source))
    }

    /// The entries of the log since the last start.
    pub fn log_of_this_run(&self) -> Result<Vec<Entry>, RestartError> {
        let entries = evidence::entries_since_last_start(&self.instance.messages_log);
        entries.map(|(entries, _)| entries).map_err(|source| self.log_error(source))
    }

    fn log_error(&self, source: std::io::Error) -> RestartError {
        RestartError::Log { path: self.instance.messages_log.display().to_string(), source }
    }
}

impl Observed {
    pub fn is_primary(&self) -> bool {
        self.qlist.mirror_status.eq_ignore_ascii_case("primary")
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Hung => "hung",
            Self::Down => "down",
            Self::Other(word) => word,
        })
    }
}

impl Run {
    /// Is `now` another run than this one? What is not known on either side tells nothing.
    pub fn is_over(&self, now: &Self) -> bool {
        fn differ<T: PartialEq>(before: Option<&T>, after: Option<&T>) -> bool {
            before.zip(after).is_some_and(|(before, after)| before != after)
        }
        differ(self.boot_id.as_ref(), now.boot_id.as_ref())
            || differ(self.process.as_ref(), now.process.as_ref())
            || differ(self.since.as_ref(), now.since.as_ref())
            || (self.since.is_none() && now.since.is_some())
    }
}

/// Has a start been finished in these entries? qlist says "running" before logons are enabled; this line is the sign.
pub fn logons_enabled(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.message_text().contains("Enabling logons"))
}

/// What the instance itself says is wrong: severe entries, and those that the catalogue knows to stop a start.
pub fn complaints(entries: &[Entry]) -> Vec<String> {
    let severe = |entry: &&Entry| {
        let severity = entry.header.as_ref().and_then(|header| header.severity);
        severity >= Some(Severity::Severe)
    };
    let line = |entry: &Entry| entry.message_text().trim().lines().next().unwrap_or_default().to_owned();
    let mut lines: Vec<_> = entries.iter().filter(severe).map(line).collect();
    lines.dedup();
    lines
}

/// The oldest process that works in the manager directory under the name of IRIS's only binary. A name alone would be
/// no proof, and nothing is ever signalled by it.
fn oldest_process(proc_root: &Path, manager: &Path) -> Option<(u32, u64)> {
    let manager = fs::canonicalize(manager).ok()?;
    let started = |process: u32| {
        let folder = proc_root.join(process.to_string());
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        // The name stands in brackets and may hold anything, brackets too.
        let (head, tail) = stat.rsplit_once(')')?;
        let is_iris = head.split_once('(')?.1.starts_with("irisdb");
        let here = fs::read_link(folder.join("cwd")).ok()? == manager;
        // Field 22 of the line; the third follows the name.
        let ticks = tail.split_ascii_whitespace().nth(19)?.parse::<u64>().ok()?;
        (is_iris && here).then_some((ticks, process))
    };
    let processes = fs::read_dir(proc_root).ok()?.flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(started).min().map(|(ticks, process)| (process, ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(boot: &str, since: Option<&str>, process: Option<(u32, u64)>) -> Run {
        Run { boot_id: Some(boot.to_owned()), since: since.map(str::to_owned), process }
    }

    #[test]
    fn a_run_is_over_when_anything_known_of_it_has_changed() {
        let before = run("a", Some("since x"), Some((100, 5000)));
        for (now, over) in [
            (run("a", Some("since x"), Some((100, 5000))), false),
            (run("a", Some("since x"), None), false),
            (run("a", None, None), false),
            (run("a", Some("since y"), None), true),
            // The same process id again, started at another time.
            (run("a", Some("since x"), Some((100, 9000))), true),
            (run("b", Some("since x"), Some((100, 5000))), true),
        ] {
            assert_eq!(before.is_over(&now), over, "{now:?}");
        }
        let down = run("a", None, None);
        assert!(down.is_over(&before) && !down.is_over(&down));
    }

    #[test]
    fn the_oldest_process_of_the_manager_directory_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let manager = folder.path().join("mgr");
        fs::create_dir(&manager).unwrap();
        let process = |id: &str, name: &str, cwd: &Path, ticks: u64| {
            let place = folder.path().join("proc").join(id);
            fs::create_dir_all(&place).unwrap();
            let fields = format!("{id} ({name}) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {ticks} 1 1\n");
            fs::write(place.join("stat"), fields).unwrap();
            std::os::unix::fs::symlink(cwd, place.join("cwd")).unwrap();
        };
        let manager_real = fs::canonicalize(&manager).unwrap();
        process("300", "irisdb", &manager_real, 900);
        process("200", "irisdb (x)", &manager_real, 800);
        process("100", "bash", &manager_real, 100);
        process("150", "irisdb", folder.path(), 50);
        process("self", "irisdb", &manager_real, 1);
        assert_eq!(oldest_process(&folder.path().join("proc"), &manager), Some((200, 800)));
        assert_eq!(oldest_process(&folder.path().join("none"), &manager), None);
    }
}
