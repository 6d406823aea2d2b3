//! What the services take: memory, open files, threads, once a second, from `/proc`.

use std::{collections::BTreeMap, fs, time::Duration};

use serde::Serialize;

use crate::up::supervisor::State;

/// What one process holds at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Held {
    pub memory_kb: u64,
    pub files: u64,
    pub threads: u64,
}

/// All that was seen.
#[derive(Debug)]
pub struct Resources {
    /// Growth is judged after this time, when nobody is killed any more.
    quiet_from: Duration,
    /// Of the quiet time, by service.
    quiet: BTreeMap<&'static str, Vec<Held>>,
    peak: BTreeMap<&'static str, Held>,
    starts: BTreeMap<&'static str, u32>,
}

/// What a service held, and by how much that grew while nobody was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Use {
    pub service: &'static str,
    /// How often it was started.
    pub starts: u32,
    /// The most at any moment, each figure by itself.
    pub peak: Held,
    /// Median of the first fifth of the quiet time.
    pub first: Held,
    /// Median of the last fifth.
    pub last: Held,
}

impl Use {
    /// What grew beyond what a steady service may, if anything. The bounds leave room for buffers that fill once.
    pub fn growth(&self) -> Option<String> {
        let (first, last) = (self.first, self.last);
        let memory = last.memory_kb > first.memory_kb + first.memory_kb / 4 + 8_192;
        let files = last.files > first.files + 16;
        let threads = last.threads > first.threads + 8;
        (memory || files || threads).then(|| {
            format!(
                "{} grew: {} KB, {} files, {} threads became {} KB, {} files, {} threads",
                self.service,
                first.memory_kb,
                first.files,
                first.threads,
                last.memory_kb,
                last.files,
                last.threads
            )
        })
    }
}

impl Resources {
    pub fn new(quiet_from: Duration) -> Self {
        Self { quiet_from, quiet: BTreeMap::new(), peak: BTreeMap::new(), starts: BTreeMap::new() }
    }

    /// Looks at all of them.
    pub fn look(&mut self, elapsed: Duration, states: &BTreeMap<&'static str, State>) {
        for (service, state) in states {
            self.starts.insert(service, state.starts);
            // One that has just ended is looked at the next time.
            let Some(held) = state.pid.and_then(held) else { continue };
            let peak = self.peak.entry(service).or_insert(held);
            peak.memory_kb = peak.memory_kb.max(held.memory_kb);
            peak.files = peak.files.max(held.files);
            peak.threads = peak.threads.max(held.threads);
            if elapsed >= self.quiet_from {
                self.quiet.entry(service).or_default().push(held);
            }
        }
    }

    /// How many services were seen at any time.
    pub fn services(&self) -> usize {
        self.starts.len()
    }

    /// By service, in the order of their names.
    pub fn uses(&self) -> Vec<Use> {
        let used = |(service, seen): (&&'static str, &Vec<Held>)| {
            let fifth = (seen.len() / 5).max(1);
            Some(Use {
                service,
                starts: self.starts.get(service).copied().unwrap_or_default(),
                peak: *self.peak.get(service)?,
                first: median(seen.get(..fifth)?),
                last: median(&seen[seen.len() - fifth..]),
            })
        };
        self.quiet.iter().filter_map(used).collect()
    }
}

fn held(pid: u32) -> Option<Held> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let number = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    Some(Held {
        memory_kb: number("VmRSS:")?,
        files: u64::try_from(files).ok()?,
        threads: number("Threads:")?,
    })
}

/// Of each figure by itself; `seen` holds at least one.
fn median(seen: &[Held]) -> Held {
    let middle = |figure: fn(&Held) -> u64| {
        let mut all: Vec<u64> = seen.iter().map(figure).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    Held {
        memory_kb: middle(|held| held.memory_kb),
        files: middle(|held| held.files),
        threads: middle(|held| held.threads),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(memory_kb: u64, files: u64) -> Held {
        Held { memory_kb, files, threads: 4 }
    }

    #[test]
    fn a_steady_service_does_not_grow_and_a_leaking_one_does() {
        let mut resources = Resources::new(Duration::ZERO);
        resources.quiet.insert("steady", (0..50).map(|n| of(20_000 + n % 7 * 500, 20 + n % 3)).collect());
        resources.quiet.insert("leaks memory", (0..50).map(|n| of(20_000 + n * 500, 20)).collect());
        resources.quiet.insert("leaks files", (0..50).map(|n| of(20_000, 20 + n)).collect());
        for service in ["steady", "leaks memory", "leaks files"] {
            resources.peak.insert(service, of(0, 0));
        }
        let grown: Vec<_> =
            resources.uses().iter().filter_map(|seen| seen.growth().map(|_| seen.service)).collect();
        assert_eq!(grown, ["leaks files", "leaks memory"]);
    }

    #[test]
    fn this_process_holds_something() {
        let held = held(std::process::id()).unwrap();
        assert!(held.memory_kb > 100 && held.files >= 3 && held.threads >= 1, "{held:?}");
    }
}
