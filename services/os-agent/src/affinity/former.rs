//! Where each thread ran before, as the ledger keeps it.

use std::collections::{BTreeMap, BTreeSet};

use instance_agent::Prepared;
use instance_contract::Failure;
use serde::{Deserialize, Serialize};

use crate::host::Thread;

/// Every thread of the instance with its CPUs, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    pub parameter: String,
    /// By set of CPUs: process, thread, and start of the thread. An instance has thousands.
    threads: BTreeMap<String, Vec<(u32, u32, u64)>>,
}

impl Former {
    pub fn of(parameter: &str, all: &[Thread]) -> Self {
        let mut threads: BTreeMap<String, Vec<(u32, u32, u64)>> = BTreeMap::new();
        for thread in all {
            threads.entry(thread.cpus.clone()).or_default().push((thread.process, thread.id, thread.started));
        }
        Self { parameter: parameter.to_owned(), threads }
    }

    pub fn read(prepared: &Prepared) -> Result<Self, Failure> {
        serde_json::from_value(prepared.material.clone()).map_err(|error| {
            let message = format!("the ledger's record of the change cannot be read: {error}");
            Failure::permanent("ledger_unreadable", message)
        })
    }

    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("texts and numbers are JSON")
    }

    pub fn count(&self) -> usize {
        self.threads.values().map(Vec::len).sum()
    }

    pub fn shown(&self) -> String {
        self.threads.keys().cloned().collect::<Vec<_>>().join(" | ")
    }

    pub fn knows(&self, thread: &Thread) -> bool {
        self.recorded(thread).is_some()
    }

    /// Is the thread where it was, or where it was sent? One that began since may be where anybody was.
    pub fn explains(&self, thread: &Thread, wanted: &str) -> bool {
        thread.cpus == wanted
            || match self.recorded(thread) {
                Some(before) => before == thread.cpus,
                None => self.threads.contains_key(&thread.cpus),
            }
    }

    /// Where the thread would be had nothing been changed: where it was, or its process, or the nearest of its parents
    /// that was there; failing that, where most were. `None` when all who were there have ended: those of now belong to
    /// another run, and are none of ours.
    pub fn before(&self, thread: &Thread, all: &[Thread]) -> Option<&str> {
        if let Some(before) = self.recorded(thread) {
            return Some(before);
        }
        let parents: BTreeMap<u32, u32> = all.iter().map(|thread| (thread.process, thread.parent)).collect();
        let mut seen = BTreeSet::new();
        let mut process = thread.process;
        while seen.insert(process) {
            let mut of_process = all.iter().filter(|other| other.process == process);
            if let Some(before) = of_process.find_map(|other| self.recorded(other)) {
                return Some(before);
            }
            match parents.get(&process) {
                Some(parent) => process = *parent,
                None => break,
            }
        }
        let is_same_run = all.iter().any(|other| self.knows(other));
        let most = || self.threads.iter().max_by_key(|(_, threads)| threads.len());
        is_same_run.then(most).flatten().map(|(cpus, _)| cpus.as_str())
    }

    fn recorded(&self, thread: &Thread) -> Option<&str> {
        let key = (thread.process, thread.id, thread.started);
        self.threads.iter().find(|(_, threads)| threads.contains(&key)).map(|(cpus, _)| cpus.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(process: u32, parent: u32, id: u32, started: u64, cpus: &str) -> Thread {
        Thread { process, parent, id, started, cpus: cpus.to_owned() }
    }

    #[test]
    fn a_thread_goes_back_to_where_it_or_its_parent_was() {
        let before =
            [thread(10, 1, 10, 5, "0-3"), thread(11, 10, 11, 6, "0-1"), thread(12, 10, 12, 7, "0-3")];
        let former = Former::of("process.cpu_affinity", &before);
        let moved = |process, parent, id, started| thread(process, parent, id, started, "2");
        let now = [
            moved(10, 1, 10, 5),
            moved(11, 10, 11, 6),
            moved(11, 10, 111, 90), // A second thread of process 11.
            moved(20, 11, 20, 91),  // A child of 11.
            moved(21, 20, 21, 92),  // And its child.
            moved(30, 1, 30, 93),   // An orphan.
            moved(12, 10, 12, 94),  // Another process under an old id.
        ];
        let back: Vec<_> = now.iter().map(|thread| former.before(thread, &now).unwrap()).collect();
        assert_eq!(back, ["0-3", "0-1", "0-1", "0-1", "0-1", "0-3", "0-3"]);
        // After a restart nobody is left of those who were moved.
        let others = [moved(40, 1, 40, 200)];
        assert_eq!(former.before(&others[0], &others), None);
    }

    #[test]
    fn who_is_somewhere_else_was_moved_by_somebody_else() {
        let former =
            Former::of("process.cpu_affinity", &[thread(10, 1, 10, 5, "0-3"), thread(11, 1, 11, 6, "0")]);
        for (seen, explained) in [
            (thread(10, 1, 10, 5, "0-3"), true),
            (thread(10, 1, 10, 5, "2"), true),
            (thread(10, 1, 10, 5, "0"), false),
            (thread(10, 1, 10, 5, "1"), false),
            (thread(12, 1, 12, 9, "0"), true),
            (thread(12, 1, 12, 9, "1"), false),
        ] {
            assert_eq!(former.explains(&seen, "2"), explained, "{seen:?}");
        }
        assert_eq!((former.count(), former.shown().as_str()), (2, "0 | 0-3"));
    }
}
