//! What is known about an instance and its host when something has to be decided: names with typed values.
//!
//! A name is a row of `data/facts.toml`, which says where the value comes from: a place in what an agent answers when
//! it is asked for facts, or a figure that an entry of the log names. What nobody could tell is absent, never a default.

mod row;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

pub use self::row::{Asked, EntryText, Fact, FactKind, fact, facts};

/// The value of a fact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(untagged)]
pub enum FactValue {
    /// A count or a size in the unit of the fact's row.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// Anything else, as it was read.
    Text(String),
}

impl fmt::Display for FactValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Flag(flag) => write!(formatter, "{flag}"),
            Self::Text(text) => formatter.write_str(text),
        }
    }
}

/// What was found out, taken at one time.
///
/// Invariant: every name is a row of `data/facts.toml`, and every value is of its kind and at most
/// [`LONGEST_TEXT`](Self::LONGEST_TEXT) bytes long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<&'static str, FactValue>);

/// Why a fact was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownFact {
    /// No row has that name.
    #[error("no fact is called \"{0}\"")]
    NoSuchFact(String),
    /// The value is not of the kind of the row.
    #[error("fact \"{name}\" cannot be {value}: its row says {kind}")]
    WrongKind {
        /// The fact.
        name: &'static str,
        /// What was given.
        value: String,
        /// What its row wants.
        kind: FactKind,
    },
}

impl Facts {
    /// The longest text that is taken, in bytes. Longer ones are left out: no path or value of ours is as long.
    pub const LONGEST_TEXT: usize = 4096;

    /// Takes everything that the answer of an agent tells. `agent` is `config`, `os` or `restart`, `answer` what it says
    /// when it is asked for facts. What is not there, or not of the right kind, stays unknown.
    pub fn learn_from_agent(&mut self, agent: &str, answer: &Value) {
        for fact in facts() {
            if let Some(asked) = fact.asked.as_ref().filter(|asked| asked.agent == agent)
                && let Some(value) = asked.value_in(answer, fact.kind)
            {
                self.keep(fact, value);
            }
        }
    }

    /// Takes the figures that an entry of the log names. What a later entry of the same condition says wins.
    pub fn learn_from_entry(&mut self, condition: &str, message_text: &str) {
        for fact in facts() {
            let mut texts = fact.entry.iter().filter(|text| text.condition == condition);
            if let Some(value) = texts.find_map(|text| text.value_in(message_text, fact.kind)) {
                self.keep(fact, value);
            }
        }
    }

    /// Takes what entries told of another trouble of the same instance, as far as no entry has told it here.
    pub fn learn_from_entries_of(&mut self, other: &Self) {
        for (name, value) in &other.0 {
            let told = fact(name).filter(|row| !row.entry.is_empty() && !self.0.contains_key(name));
            if let Some(row) = told {
                self.keep(row, value.clone());
            }
        }
    }

    /// Sets one fact, for what is known from elsewhere.
    pub fn set(&mut self, name: &str, value: FactValue) -> Result<(), UnknownFact> {
        let row = fact(name).ok_or_else(|| UnknownFact::NoSuchFact(name.to_owned()))?;
        if !row.kind.fits(&value) {
            let (name, value) = (row.name.as_str(), value.to_string());
            return Err(UnknownFact::WrongKind { name, value, kind: row.kind });
        }
        self.keep(row, value);
        Ok(())
    }

    /// The value, when it is known.
    pub fn get(&self, name: &str) -> Option<&FactValue> {
        self.0.get(name)
    }

    /// The value of a fact that is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            FactValue::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The value of a fact that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            FactValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// All that is known, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &FactValue)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn keep(&mut self, row: &'static Fact, value: FactValue) {
        let too_long = matches!(&value, FactValue::Text(text) if text.len() > Self::LONGEST_TEXT);
        if !too_long {
            self.0.insert(&row.name, value);
        }
    }
}

#[cfg(test)]
mod tests;
