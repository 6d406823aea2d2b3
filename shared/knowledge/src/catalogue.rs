//! The rows about log messages: those compiled in, and those a user adds.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::condition::{Answer, Condition, Place, Restart, Wording};
use crate::error_type::ErrorType;
use crate::matcher::{AlreadyInForce, Matcher};
use crate::rows::{self, DataError, fault};
use crate::text::{folded, is_kebab_case};

/// All conditions of the catalogue in force, in the order of the files.
pub fn conditions() -> &'static [Condition] {
    Matcher::in_force().catalogue().conditions()
}

/// The condition of that id in the catalogue in force.
pub fn condition(id: &str) -> Option<&'static Condition> {
    Matcher::in_force().catalogue().condition(id)
}

/// A checked set of conditions: ids unique, wordings never empty and never shared by two rows.
#[derive(Debug, Clone)]
pub struct Catalogue {
    conditions: Vec<Condition>,
}

static BUILTIN: LazyLock<Catalogue> = LazyLock::new(|| {
    let mut catalogue = Catalogue { conditions: Vec::new() };
    catalogue.read(FILES).expect("the built-in conditions are checked by a test");
    catalogue
});

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

    /// The rows compiled in, then those of `files`, each a file name (for errors) and its text.
    ///
    /// An added row may not carry the id or the wording of another one: what a message means must not depend on
    /// which file is read first. For the same reason its examples must mean itself, not a more specific row.
    pub fn with_extra<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, DataError> {
        let files: Vec<_> = files.into_iter().collect();
        let mut catalogue = Self::builtin().clone();
        let origins = catalogue.read(&files)?;
        catalogue.check_examples(&origins)?;
        Ok(catalogue)
    }

    /// All rows, in the order of the files.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// The row of that id.
    pub fn condition(&self, id: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.id == id)
    }

    /// Makes these rows the ones that the whole process answers with. Once, before anything is classified.
    pub fn put_in_force(self) -> Result<(), AlreadyInForce> {
        self.into_matcher().put_in_force()
    }

    /// A matcher over these rows.
    pub fn into_matcher(self) -> Matcher {
        Matcher::new(self)
    }

    /// Appends the rows of `files`; returns the file of each appended row.
    fn read<'a>(&mut self, files: &[(&'a str, &str)]) -> Result<Vec<&'a str>, DataError> {
        let mut seen = Seen::default();
        for condition in &self.conditions {
            seen.add("built-in", condition)?;
        }
        let mut origins = Vec::new();
        for (file, text) in files {
            for row in rows::read::<ConditionRow>(file, text, "condition", "id", &["condition"])? {
                let condition = row.value.into_condition();
                check(&condition).map_err(|rule| fault(file, &row.label, rule))?;
                seen.add(file, &condition)?;
                self.conditions.push(condition);
                origins.push(*file);
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

/// A row as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionRow {
    id: String,
    /// With `example`, left out when nobody knows a wording.
    #[serde(default)]
    texts: Vec<String>,
    #[serde(default)]
    example: String,
    #[serde(default)]
    other_wordings: Vec<Wording>,
    class: ErrorType,
    severities: Vec<u8>,
    categories: Vec<String>,
    #[serde(default)]
    place: Place,
    #[serde(default = "yes")]
    wording_known: bool,
    cause: String,
    gather: Vec<String>,
    remedy: String,
    answer: Answer,
    restart: Restart,
    #[serde(default)]
    must_not_restart: bool,
    source: String,
}

fn yes() -> bool {
    true
}

impl ConditionRow {
    fn into_condition(self) -> Condition {
        let has_wording = self.wording_known || !self.texts.is_empty() || !self.example.is_empty();
        let first = Wording { texts: self.texts, example: self.example };
        let wordings = has_wording.then_some(first).into_iter().chain(self.other_wordings).collect();
        Condition {
            id: self.id,
            wordings,
            class: self.class,
            severities: self.severities,
            categories: self.categories,
            place: self.place,
            wording_known: self.wording_known,
            cause: self.cause,
            gather: self.gather,
            remedy: self.remedy,
            answer: self.answer,
            restart: self.restart,
            must_not_restart: self.must_not_restart,
            source: self.source,
        }
    }
}

/// The rules that hold for each row alone.
fn check(condition: &Condition) -> Result<(), String> {
    if !is_kebab_case(&condition.id) {
        return Err("id must be lower-case words joined by hyphens, at most 64 bytes".to_owned());
    }
    for wording in &condition.wordings {
        if wording.texts.is_empty() || wording.texts.iter().any(|text| folded(text).is_empty()) {
            return Err("texts must hold at least one part, and no part may be blank".to_owned());
        }
        if wording.texts.iter().all(|text| folded(text).len() < 4) {
            return Err("texts must hold a part of at least four characters".to_owned());
        }
        if !occur_in_order(&wording.texts, &wording.example) {
            return Err(format!("the texts {:?} do not occur in this order in the example", wording.texts));
        }
    }
    if let Some(severity) = condition.severities.iter().find(|severity| **severity > 3) {
        return Err(format!("severities must be 0..=3, found {severity}"));
    }
    let bad_category = |name: &&String| {
        name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
    };
    if let Some(category) = condition.categories.iter().find(bad_category) {
        return Err(format!("categories are letters, digits, dots and underscores, found \"{category}\""));
    }
    for (name, text) in
        [("cause", &condition.cause), ("remedy", &condition.remedy), ("source", &condition.source)]
    {
        if text.trim().is_empty() {
            return Err(format!("{name} must not be empty; write \"unknown\" where nobody knows"));
        }
    }
    if condition.must_not_restart && condition.answer == Answer::Remedy {
        return Err("a condition that must not be restarted is answered by a person".to_owned());
    }
    Ok(())
}

fn occur_in_order(texts: &[String], example: &str) -> bool {
    let example = folded(example);
    let mut rest = example.as_str();
    texts.iter().all(|text| match rest.split_once(&folded(text)) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests;
