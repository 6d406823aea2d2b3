//! A database that its users fill: it grows in steps, until its disk is full.

use rand::RngExt as _;

use crate::world::act::{Act, Category, Daemon, Entry, Severity, Writer};
use crate::world::locks::READ_ONLY;
use crate::world::{Phase, World};

/// The database that the users of the stand-in write to.
const FILLED: &str = "USER";
/// MB by which a database grows at a time, as real logs show it.
const STEP_MB: u64 = 10;

/// How full that database is.
#[derive(Debug, Default)]
pub struct Growth {
    size_mb: u64,
    used_mb: u64,
}

impl World {
    /// MB of a database that it has grown by and that nobody has filled yet; only the one that users fill grows.
    pub fn free_mb(&self, database: &str) -> u64 {
        if database == FILLED { self.growth.size_mb.saturating_sub(self.growth.used_mb) } else { 0 }
    }

    /// What the users wrote since the last pass.
    pub(super) fn fill_database(&mut self) -> Vec<Act> {
        let added = self.load.database_mb_per_pass;
        let Some(directory) = self.parameters.as_ref().and_then(|known| known.database(FILLED)) else {
            return Vec::new();
        };
        if added == 0 {
            return Vec::new();
        }
        let directory = directory.to_owned();
        let mut acts = Vec::new();
        if !self.mounted.iter().any(|(name, _)| name == FILLED) {
            let (category, how) = match self.lock_database(&directory) {
                Ok(lock) => {
                    acts.push(lock);
                    ("Database.MountedRW", "read-write.")
                }
                Err(told) => {
                    acts.push(told);
                    ("Database.MountedRO", READ_ONLY)
                }
            };
            acts.push(entry(
                category,
                format!("Mounted database {directory} (SFN {}) {how}", self.mounted.len()),
            ));
            self.mounted.push((FILLED.to_owned(), directory.clone()));
        }
        // Nothing is written to one that came up read-only.
        if !self.locks().contains(&directory) {
            return acts;
        }
        self.growth.used_mb += added;
        acts.extend(self.expand(directory));
        acts
    }

    pub(super) fn database_expanded(&mut self, directory: String, expanded: bool) -> Vec<Act> {
        if !expanded {
            // What does not fit was not written; the next one to write meets the same end.
            self.growth.used_mb = self.growth.size_mb;
            let text = format!("<FILEFULL>in database {directory}");
            return vec![Entry::kernel(EXPANDER, Severity::Severe, text).into()];
        }
        self.growth.size_mb += STEP_MB;
        let text = format!("Expansion completed for database {directory}. Expanded by {STEP_MB} MB.");
        let mut acts = vec![entry("Database.FullExpansion", text)];
        acts.extend(self.expand(directory));
        acts
    }

    /// The write daemon meets a block that is none: nothing more is written, or the damage would spread.
    pub(super) fn database_damaged(&mut self, directory: &str) -> Vec<Act> {
        if !matches!(self.phase, Phase::Running { .. }) {
            return Vec::new();
        }
        let number = self.mounted.iter().position(|(_, there)| there == directory).unwrap_or_default();
        let pid: u32 = self.random.random_range(1_000..60_000);
        let degradation = format!(
            "*** SERIOUS INTERSYSTEMS IRIS ERROR THAT COULD CAUSE DATABASE DEGRADATION\n\tHAS OCCURRED.  TO PREVENT \
             DEGRADATION THE WRITE DAEMON WILL NOT RUN ***\nERROR: <<DATABASE MAP LABEL>> (59)  FILE: {number}   \
             ({directory})  GLOBAL: ^APP.D  PID: {pid}  ERROR MODULE: {}",
            self.identity.release.source_position("dbmap.c", 2210)
        );
        self.phase = Phase::Frozen;
        let daemon = Writer::Daemon(Daemon::WriteDaemon);
        [
            (Severity::Fatal, degradation.as_str()),
            (Severity::Info, "Suspending system due to <DATABASE> error"),
        ]
        .map(|(severity, text)| Entry::kernel(daemon, severity, text).into())
        .into()
    }

    fn expand(&self, directory: String) -> Vec<Act> {
        if self.growth.used_mb <= self.growth.size_mb {
            return Vec::new();
        }
        let text = format!("Starting Expansion for database {directory}. {STEP_MB} MB requested.");
        vec![entry("Database.StartExpansion", text), Act::ExpandDatabase { directory, mb: STEP_MB }]
    }
}

const EXPANDER: Writer = Writer::Daemon(Daemon::ExpansionDaemon);

fn entry(category: &'static str, text: String) -> Act {
    Entry { writer: EXPANDER, severity: Severity::Info, category: Category::Other(category), text }.into()
}
