//! The databases that a start mounts.

use crate::world::World;
use crate::world::act::{Act, Category, Entry, Severity, Writer};
use crate::world::facts::StartFacts;
use crate::world::locks::READ_ONLY;

impl World {
    /// The manager's own and the library, before any code runs.
    pub(super) fn first_databases(&mut self, facts: &StartFacts) -> Vec<Act> {
        self.mounts(facts, 0, 2)
    }

    /// What single-user mode needs beside them to know who may log on, in releases that have it by itself.
    pub(super) fn security_database(&mut self, facts: &StartFacts) -> Vec<Act> {
        let names = self.identity.release.system_databases();
        let Some(at) = names.iter().position(|name| *name == "IRISSECURITY") else { return Vec::new() };
        self.mounts(facts, at, at + 1)
    }

    /// Those that come up before the CPF is checked.
    pub(super) fn databases_of_the_check(&mut self, facts: &StartFacts) -> Vec<Act> {
        self.mounts(facts, 2, self.audit_database())
    }

    /// The rest.
    pub(super) fn late_databases(&mut self, facts: &StartFacts) -> Vec<Act> {
        self.mounts(facts, self.audit_database(), self.identity.release.system_databases().len())
    }

    /// The line about auditing, where its database is there.
    pub(super) fn auditing(&self) -> Option<Act> {
        let (_, directory) = self.mounted.iter().find(|(name, _)| name == "IRISAUDIT")?;
        Some(Entry::kernel(Writer::Asker, Severity::Info, format!("Auditing to {directory}")).into())
    }

    fn audit_database(&self) -> usize {
        let names = self.identity.release.system_databases();
        names.iter().position(|name| *name == "IRISAUDIT").expect("every release audits")
    }

    /// Mount lines of the system databases from..to; the position is the system file number. Nothing is said about a
    /// database whose file is not there.
    fn mounts(&mut self, facts: &StartFacts, from: usize, to: usize) -> Vec<Act> {
        let names = self.identity.release.system_databases();
        let mut acts = Vec::new();
        for (number, name) in names.into_iter().enumerate().take(to).skip(from) {
            let Some(directory) = facts.parameters.database(name) else { continue };
            let locked = facts.obstacles.locked_elsewhere.iter().any(|(there, _)| there == directory);
            if locked || !facts.databases_there.iter().any(|there| there == directory) {
                continue;
            }
            let (category, how) = match self.lock_database(directory) {
                Err(told) => {
                    acts.push(told);
                    ("Database.MountedRO", READ_ONLY)
                }
                Ok(lock) => {
                    acts.push(lock);
                    if name == "IRISLIB" {
                        ("Database.MountedRO", "read-only. Database label is marked read-only. ")
                    } else {
                        ("Database.MountedRW", "read-write.")
                    }
                }
            };
            self.mounted.push((name.to_owned(), directory.to_owned()));
            let entry = Entry {
                writer: Writer::Asker,
                severity: Severity::Info,
                category: Category::Other(category),
                text: format!("Mounted database {directory} (SFN {number}) {how}"),
            };
            acts.push(entry.into());
        }
        acts
    }
}
