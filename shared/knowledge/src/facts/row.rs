//! Rows of `data/facts.toml`: the name of a fact, its kind, and where it comes from.

use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::FactValue;
use crate::rows::{self, DataError, fault};
use crate::value::canonical_decimal;

/// All facts that preconditions, formulas and cases may name.
pub fn facts() -> &'static [Fact] {
    &FACTS
}

/// The row of that name.
pub fn fact(name: &str) -> Option<&'static Fact> {
    facts().iter().find(|fact| fact.name == name)
}

/// One fact: what it tells and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Fact {
    /// Stable name: what it is about, a dot, what is told of it.
    pub name: String,
    /// What its values are.
    pub kind: FactKind,
    /// Unit of a number; empty for the other kinds.
    #[serde(default)]
    pub unit: String,
    /// What it says, for people.
    pub tells: String,
    /// The place in the answer of an agent.
    #[serde(default)]
    pub asked: Option<Asked>,
    /// The places in entries of the log.
    #[serde(default)]
    pub entry: Vec<EntryText>,
    /// Where that is known from, by the tags of the README.
    pub source: String,
}

/// What the values of a fact are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FactKind {
    /// A whole number from 0 on.
    Number,
    /// Yes or no.
    Flag,
    /// Text.
    Text,
}

impl fmt::Display for FactKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Number => "a number",
            Self::Flag => "true or false",
            Self::Text => "a text",
        })
    }
}

impl FactKind {
    /// Whether a value is of this kind.
    pub fn fits(self, value: &FactValue) -> bool {
        matches!(
            (self, value),
            (Self::Number, FactValue::Number(_))
                | (Self::Flag, FactValue::Flag(_))
                | (Self::Text, FactValue::Text(_))
        )
    }
}

/// A place in what an agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Asked {
    /// `config`, `os` or `restart`.
    pub agent: String,
    /// JSON pointer (RFC 6901) into its answer.
    pub pointer: String,
    /// A number there is divided by this, rounded down.
    #[serde(default)]
    pub divided_by: Option<u64>,
    /// For values of `iris.cpf`: `[section] name`, which config-agent puts below `/values`.
    #[serde(default)]
    pub cpf: Option<CpfName>,
}

/// A parameter of `iris.cpf`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpfName {
    /// Section without brackets.
    pub section: String,
    /// Key.
    pub parameter: String,
}

impl Asked {
    pub(super) fn value_in(&self, answer: &Value, kind: FactKind) -> Option<FactValue> {
        let found = answer.pointer(&self.pointer)?;
        let number = |number: u64| FactValue::Number(number / self.divided_by.unwrap_or(1).max(1));
        match (kind, found) {
            (FactKind::Number, Value::Number(found)) => found.as_u64().map(number),
            // A CPF and the kernel write numbers as texts.
            (FactKind::Number, Value::String(text)) => canonical_decimal(text).map(number),
            // How many there are of them.
            (FactKind::Number, Value::Array(list)) => Some(number(list.len() as u64)),
            (FactKind::Flag, Value::Bool(flag)) => Some(FactValue::Flag(*flag)),
            (FactKind::Text, Value::String(text)) => Some(FactValue::Text(text.clone())),
            (FactKind::Text, Value::Number(number)) => Some(FactValue::Text(number.to_string())),
            _ => None,
        }
    }
}

/// A place in the text of an entry: what stands between two fixed parts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EntryText {
    /// The condition of the entry.
    pub condition: String,
    /// The fixed part before it, exactly as IRIS writes it.
    pub before: String,
    /// The fixed part after it.
    pub after: String,
}

impl EntryText {
    pub(super) fn value_in(&self, text: &str, kind: FactKind) -> Option<FactValue> {
        let (_, rest) = text.split_once(&self.before)?;
        let (found, _) = rest.split_once(&self.after)?;
        let found = found.trim();
        match kind {
            FactKind::Number => canonical_decimal(found).map(FactValue::Number),
            FactKind::Text if !found.is_empty() => Some(FactValue::Text(found.to_owned())),
            _ => None,
        }
    }
}

static FACTS: LazyLock<Vec<Fact>> = LazyLock::new(|| {
    read("facts.toml", include_str!("../../data/facts.toml"))
        .expect("the built-in facts are checked by a test")
});

pub(super) fn read(file: &str, text: &str) -> Result<Vec<Fact>, DataError> {
    let rows = rows::read::<Fact>(file, text, "fact", "name", &["fact"])?;
    for (index, row) in rows.iter().enumerate() {
        check(&row.value).map_err(|rule| fault(file, &row.label, rule))?;
        if rows[..index].iter().any(|earlier| earlier.value.name == row.value.name) {
            return Err(fault(file, &row.label, "the name is already taken by another row"));
        }
    }
    Ok(rows.into_iter().map(|row| row.value).collect())
}

/// The rules that hold for each row alone. Whether its conditions and parameters exist is held by a test: the catalogue
/// is checked against the facts, and must not be needed to read them.
fn check(fact: &Fact) -> Result<(), String> {
    let plain = |name: &str| {
        let mut parts = name.split('.');
        let words = |part: &str| crate::text::is_kebab_case(part);
        parts.next().is_some_and(words) && parts.next().is_some_and(words) && parts.next().is_none()
    };
    if !plain(&fact.name) {
        return Err("name must be two lower-case words with a dot between, like host.memory-mb".to_owned());
    }
    if fact.tells.trim().is_empty() || (fact.kind == FactKind::Number) == fact.unit.is_empty() {
        return Err("tells must say something, and numbers alone have a unit".to_owned());
    }
    if fact.asked.is_some() != fact.entry.is_empty() {
        return Err("exactly one of asked and entry must be there".to_owned());
    }
    if let Some(asked) = &fact.asked {
        check_asked(asked)?;
    }
    for text in &fact.entry {
        if text.before.trim().is_empty() || text.after.trim().is_empty() || fact.kind == FactKind::Flag {
            return Err("an entry names numbers and texts, between two fixed parts".to_owned());
        }
    }
    Ok(())
}

fn check_asked(asked: &Asked) -> Result<(), String> {
    if !["config", "os", "restart"].contains(&asked.agent.as_str()) {
        return Err(format!("agent must be config, os or restart, not \"{}\"", asked.agent));
    }
    if !asked.pointer.starts_with('/') {
        return Err("pointer must begin with /".to_owned());
    }
    let Some(name) = &asked.cpf else { return Ok(()) };
    let wanted = format!("/values/{}/{}", name.section, name.parameter);
    if asked.agent != "config" || asked.pointer != wanted {
        return Err(format!("a value of the CPF is told by config at {wanted}"));
    }
    Ok(())
}
