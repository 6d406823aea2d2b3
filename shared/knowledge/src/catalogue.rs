//! The rows that a user can add to: log messages, CPF parameters, kernel parameters; those compiled in, and the user's.

mod condition_row;

use std::collections::HashSet;
use std::sync::LazyLock;

use self::condition_row::ConditionRow;
use crate::condition::Condition;
use crate::cpf_parameter::{self, Parameter};
use crate::kernel_parameter::{self, KernelParameter};
use crate::matcher::{AlreadyInForce, Matcher};
use crate::rows::{self, DataError, fault};
use crate::text::folded;

/// All conditions of the catalogue in force, in the order of the files.
pub fn conditions() -> &'static [Condition] {
    Catalogue::in_force().conditions()
}

/// The condition of that id in the catalogue in force.
pub fn condition(id: &str) -> Option<&'static Condition> {
    Catalogue::in_force().condition(id)
}

/// Checked rows: ids, names and wordings unique, wordings never empty.
#[derive(Debug, Clone)]
pub struct Catalogue {
    conditions: Vec<Condition>,
    pub(crate) cpf: cpf_parameter::Table,
    pub(crate) kernel: kernel_parameter::Table,
}

static BUILTIN: LazyLock<Catalogue> = LazyLock::new(|| {
    let (cpf, kernel) = (cpf_parameter::Table::builtin(), kernel_parameter::Table::builtin());
    let mut catalogue = Catalogue { conditions: Vec::new(), cpf, kernel };
    catalogue.read(FILES, &["condition"]).expect("the built-in conditions are checked by a test");
    catalogue
});

/// What a file of a user's own may hold.
const OWN_TABLES: &[&str] = &["condition", "cpf_parameter", "kernel_parameter"];

macro_rules! files {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../data/conditions/", $name)))),*] };
}

/// The files compiled in, in reading order.
const FILES: &[(&str, &str)] = files![
    "configuration.toml",
    "license.toml",
    "memory.toml",
    "journal.toml",
    "database.toml",
    "write_daemon.toml",
    "mirror.toml",
    "ecp_and_locks.toml",
    "security.toml",
    "start_and_stop.toml",
    "system_monitor.toml",
    "system_errors.toml",
];

impl Catalogue {
    /// The rows compiled in.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// The rows that the whole process answers with: those compiled in, and those that were put in force.
    pub fn in_force() -> &'static Self {
        Matcher::extended().map_or_else(Self::builtin, Matcher::catalogue)
    }

    /// The rows compiled in, then those of `files`, each a file name (for errors) and its text.
    ///
    /// An added row may not carry the id, the name or the wording of another one: what a message means, or a value may
    /// be, must not depend on which file is read first. For the same reason its examples must mean itself, not a more
    /// specific row. What makes a value dangerous is never taken away by an added row.
    pub fn with_extra<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, DataError> {
        let files: Vec<_> = files.into_iter().collect();
        let mut catalogue = Self::builtin().clone();
        let origins = catalogue.read(&files, OWN_TABLES)?;
        catalogue.check_examples(&origins)?;
        for (file, text) in files {
            catalogue.cpf.add_own(file, text, OWN_TABLES)?;
            catalogue.kernel.add_own(file, text, OWN_TABLES)?;
        }
        Ok(catalogue)
    }

    /// All rows about log messages, in the order of the files.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// The row of that id.
    pub fn condition(&self, id: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.id == id)
    }

    /// All CPF parameters, by section, then name.
    pub fn parameters(&self) -> &[Parameter] {
        self.cpf.rows()
    }

    /// All kernel parameters that may be written.
    pub fn kernel_parameters(&self) -> &[KernelParameter] {
        self.kernel.rows()
    }

    /// Makes these rows the ones that the whole process answers with. Once, before anything is asked of them.
    pub fn put_in_force(self) -> Result<(), AlreadyInForce> {
        self.into_matcher().put_in_force()
    }

    /// A matcher over these rows.
    pub fn into_matcher(self) -> Matcher {
        Matcher::new(self)
    }

    /// Appends the rows of `files`; returns the file of each appended row.
    fn read<'a>(&mut self, files: &[(&'a str, &str)], tables: &[&str]) -> Result<Vec<&'a str>, DataError> {
        let mut seen = Seen::default();
        for condition in &self.conditions {
            seen.add("built-in", condition)?;
        }
        let mut origins = Vec::new();
        for (file, text) in files {
            for row in rows::read::<ConditionRow>(file, text, "condition", "id", tables)? {
                let condition = row.value.into_condition();
                condition_row::check(&condition).map_err(|rule| fault(file, &row.label, rule))?;
                seen.add(file, &condition)?;
                self.conditions.push(condition);
                origins.push(*file);
            }
        }
        let appended = &self.conditions[self.conditions.len() - origins.len()..];
        for (condition, file) in appended.iter().zip(&origins) {
            let whole = condition.part_of.as_deref().map(|id| (id, self.condition(id)));
            if let Some((id, found)) = whole
                && found.is_none_or(|found| found.part_of.is_some() || found.id == condition.id)
            {
                let rule = format!("it cannot be a part of \"{id}\", which is no whole condition");
                return Err(fault(file, &condition.id, rule));
            }
        }
        Ok(origins)
    }

    /// Whether each appended row answers to its own examples; the rows compiled in are held to this by a test.
    fn check_examples(&self, origins: &[&str]) -> Result<(), DataError> {
        let matcher = Matcher::new(self.clone());
        let appended = &self.conditions[self.conditions.len() - origins.len()..];
        for (condition, file) in appended.iter().zip(origins) {
            for wording in &condition.wordings {
                let found = matcher.classify(&wording.example).map_or("nothing", |found| &found.id);
                if found != condition.id {
                    let rule = format!("the example {:?} is taken for \"{found}\"", wording.example);
                    return Err(fault(file, &condition.id, rule));
                }
            }
        }
        Ok(())
    }
}

/// Ids and wordings already taken.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    wordings: HashSet<Vec<String>>,
}

impl Seen {
    fn add(&mut self, file: &str, condition: &Condition) -> Result<(), DataError> {
        if !self.ids.insert(condition.id.clone()) {
            return Err(fault(file, &condition.id, "the id is already taken by another row"));
        }
        for wording in &condition.wordings {
            let texts: Vec<_> = wording.texts.iter().map(|text| folded(text)).collect();
            if !self.wordings.insert(texts) {
                let rule = format!("the texts {:?} are already those of another row", wording.texts);
                return Err(fault(file, &condition.id, rule));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
