//! The kinds of problem that an IrisMessage names, and a guess at the kind of a text that no row knows.

use std::fmt;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use serde::Deserialize;

use crate::matcher::Matcher;
use crate::rows::{self, DataError, fault};
use crate::text::folded;

/// The kind of problem that a message tells of; the `error_type` of an IrisMessage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorType {
    /// `iris.cpf`, merge files, settings of the instance.
    Config,
    /// License keys, units and servers.
    License,
    /// Memory, huge pages, processes, limits, storage that stalls.
    Resource,
    /// Journal files and directories.
    Journal,
    /// Database files, their integrity, mounts and space.
    Database,
    /// Certificates, encryption, audit, authentication.
    Security,
    /// Mirror members, arbiter, failover.
    Mirror,
    /// None of these, or not to be told.
    Other,
}

impl ErrorType {
    /// All of them, in the order of the contract.
    pub const ALL: [Self; 8] = [
        Self::Config,
        Self::License,
        Self::Resource,
        Self::Journal,
        Self::Database,
        Self::Security,
        Self::Mirror,
        Self::Other,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::License => "license",
            Self::Resource => "resource",
            Self::Journal => "journal",
            Self::Database => "database",
            Self::Security => "security",
            Self::Mirror => "mirror",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The kind of problem that a message tells of: by its catalogue row, else by telling words.
///
/// `severity` is 0..=3. Words that everyday lines use too count only from a severity upwards; `category` is
/// without brackets and decides only when no word does.
pub fn classify_error_type(text: &str, severity: u8, category: Option<&str>) -> ErrorType {
    if let Some(condition) = Matcher::builtin().classify(text) {
        return condition.class;
    }
    guess_error_type(text, severity, category)
}

/// As [`classify_error_type`], by words and category alone: what is made of a text that no row knows.
pub fn guess_error_type(text: &str, severity: u8, category: Option<&str>) -> ErrorType {
    WORDS.class_of(text, severity).or_else(|| WORDS.class_of_category(category?)).unwrap_or(ErrorType::Other)
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    Words::read("error_type_words.toml", include_str!("../data/error_type_words.toml"))
        .expect("the built-in words are checked by a test")
});

/// Telling words, strongest first.
struct Words {
    rows: Vec<WordRow>,
    automaton: AhoCorasick,
    /// The row of each word of the automaton.
    row_of: Vec<usize>,
}

/// Words that mean the same kind of problem.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WordRow {
    class: ErrorType,
    words: Vec<String>,
    /// The lowest severity at which these words tell something.
    #[serde(default)]
    from_severity: u8,
    /// First parts of categories that mean this kind.
    #[serde(default)]
    categories: Vec<String>,
}

impl Words {
    fn read(file: &str, text: &str) -> Result<Self, DataError> {
        let rows = rows::read::<WordRow>(file, text, "kind", "class", &["kind"])?;
        let mut words = Vec::new();
        let mut row_of = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            for word in &row.value.words {
                let word = folded(word);
                if word.len() < 3 {
                    return Err(fault(file, &row.label, "a word must have at least three characters"));
                }
                words.push(word);
                row_of.push(index);
            }
        }
        let automaton = AhoCorasick::new(&words).map_err(|error| fault(file, "all", error.to_string()))?;
        Ok(Self { rows: rows.into_iter().map(|row| row.value).collect(), automaton, row_of })
    }

    /// The class of the strongest row that has a word in `text`: rows are ordered from special to general.
    fn class_of(&self, text: &str, severity: u8) -> Option<ErrorType> {
        let found = self
            .automaton
            .find_overlapping_iter(&folded(text))
            .map(|found| self.row_of[found.pattern().as_usize()])
            .collect::<Vec<_>>();
        found
            .into_iter()
            .filter(|row| self.rows[*row].from_severity <= severity)
            .min()
            .map(|row| self.rows[row].class)
    }

    fn class_of_category(&self, category: &str) -> Option<ErrorType> {
        let head = category.split('.').next().unwrap_or(category);
        let row = self
            .rows
            .iter()
            .find(|row| row.categories.iter().any(|known| known.eq_ignore_ascii_case(head)))?;
        Some(row.class)
    }
}

#[cfg(test)]
mod tests;
