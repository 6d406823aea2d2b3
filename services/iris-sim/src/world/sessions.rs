//! Who works in the instance: sessions, their open transactions, and the license units that they take.
//!
//! Ours, because the stand-in does not know its users apart: each session takes one unit.

use std::collections::BTreeMap;

use rand::RngExt as _;

use crate::world::act::{Act, Entry, Job, Severity, Writer};
use crate::world::{PASS_CYCLE, World};

/// All open sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    open: BTreeMap<u64, Session>,
    /// How often somebody was turned away for want of a license unit.
    refused: u64,
}

#[derive(Debug)]
struct Session {
    /// Since when a transaction is open in it.
    transaction: Option<jiff::Timestamp>,
    /// How many passes of the write daemon have seen it open: waits of a stand-in may pass faster than its clock.
    passes: u32,
}

/// Passes of 80 s after which the longest open transaction is older than 10 minutes (a warning) and 20 (an alert) [MG].
const LONG: [(u32, Severity); 2] = [(8, Severity::Warning), (16, Severity::Severe)];

impl Sessions {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// Since when each open transaction is open.
    pub fn transactions(&self) -> impl Iterator<Item = jiff::Timestamp> + '_ {
        self.open.values().filter_map(|session| session.transaction)
    }

    pub(super) fn close_all(&mut self) {
        self.open.clear();
    }
}

impl World {
    /// Somebody connects, and is turned away again when all license units are taken.
    pub(super) fn open_session(&mut self, session: u64) -> Vec<Act> {
        let limit = self.licensed_users.map_or(usize::MAX, |users| users as usize);
        if self.sessions.open.len() < limit {
            self.sessions.open.insert(session, Session { transaction: None, passes: 0 });
            return self.suspension();
        }
        self.sessions.refused += 1;
        let text = format!("License limit exceeded {} times since instance start.", self.sessions.refused);
        vec![Act::CloseSession(session), Entry::kernel(Writer::Control, Severity::Severe, text).into()]
    }

    /// Said once, to the first that connects while every update waits.
    fn suspension(&mut self) -> Vec<Act> {
        let suspended = self.is_frozen() || self.users_are_paused();
        let said = std::mem::replace(&mut self.suspension_told, suspended);
        if !suspended || said {
            return Vec::new();
        }
        let text = "Superserver detected that updates are suspended";
        vec![Entry::job(Job::Superserver, Severity::Warning, text).into()]
    }

    pub(super) fn close_session(&mut self, session: u64) {
        // What was open in it is rolled back without a word, as a user process that ends does it.
        self.sessions.open.remove(&session);
    }

    /// The instance lives on; only that one user is gone.
    pub(super) fn crash_session(&mut self, session: u64) -> Vec<Act> {
        if self.sessions.open.remove(&session).is_none() {
            return Vec::new();
        }
        // Sessions have no processes here; the number is one that a process could have.
        let pid: u32 = self.random.random_range(10_000..60_000);
        let text = format!(
            "Process {pid} (JobType=0,Dumpstyle=0,Directory='{}') caught signal 11.",
            self.identity.manager_directory()
        );
        let texts = [text, "Parent process will clean up and halt".to_owned()];
        let mut acts: Vec<Act> =
            texts.map(|text| Entry::kernel(Writer::Control, Severity::Fatal, text).into()).into();
        acts.push(Act::CloseSession(session));
        acts
    }

    pub(super) fn begin_transaction(&mut self, session: u64, at: jiff::Timestamp) {
        if let Some(session) = self.sessions.open.get_mut(&session) {
            // A transaction inside another one belongs to it.
            session.transaction.get_or_insert(at);
        }
    }

    /// System Monitor looks at the longest open transaction, and says once that it is long and once that it is very long.
    pub(super) fn watch_transactions(&mut self) -> Vec<Act> {
        let open = self.sessions.open.values_mut().filter(|session| session.transaction.is_some());
        let longest = open.map(|session| {
            session.passes = session.passes.saturating_add(1);
            session.passes
        });
        let Some(passes) = longest.max() else { return Vec::new() };
        let told = LONG.into_iter().filter(|(limit, _)| passes == *limit).map(|(_, severity)| {
            let minutes = (PASS_CYCLE * passes).as_secs() / 60;
            // No real line is known; the words are those of the catalogue's guess.
            let text = format!("[SYSTEM MONITOR] Longest open transaction is {minutes} minutes old");
            Entry::job(Job::SystemMonitor, severity, text).into()
        });
        told.collect()
    }

    pub(super) fn end_transaction(&mut self, session: u64) {
        if let Some(session) = self.sessions.open.get_mut(&session) {
            (session.transaction, session.passes) = (None, 0);
        }
    }
}
