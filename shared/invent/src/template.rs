//! What messages are invented from: own templates, the examples of the error catalogue, and what was learnt.

mod catalogue;
mod learn;
mod loosen;

use std::collections::BTreeMap;

use instance_contract::{ErrorType, Severity};
use serde::Deserialize;

/// Variable parts that a template has at most; further ones stay as they are in its example.
pub(crate) const MOST_SLOTS: usize = 12;
/// Slots that share one throw: two numbers of seven digits leave enough of it.
pub(crate) const SLOTS_OF_A_THROW: usize = 2;

/// A pattern of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Unique: letters, digits and hyphens.
    pub name: String,
    pub error_type: ErrorType,
    /// Severities that it is written with, rising, at least one.
    pub severities: Vec<Severity>,
    /// Without brackets.
    pub category: Option<String>,
    pieces: Vec<Piece>,
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// The place of a slot.
    Slot(usize),
}

/// A variable part. The same one twice in a text takes the same value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A number from the lowest to the highest.
    Number(u32, u32),
    OneOf(Vec<String>),
}

/// A piece before slots are numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Draft {
    Text(String),
    Number(u32, u32),
    OneOf(Vec<String>),
    Named(String),
}

/// Every template there is.
#[derive(Debug, Clone)]
pub struct Templates {
    all: Vec<Template>,
}

/// A file of templates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("could not read the file of templates")]
    Read(#[from] toml::de::Error),
    #[error("template \"{template}\": {rule}")]
    Template { template: String, rule: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    slots: BTreeMap<String, Vec<String>>,
    numbers: BTreeMap<String, (u32, u32)>,
    template: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    error_type: ErrorType,
    severities: Vec<Severity>,
    category: String,
    text: String,
}

impl Templates {
    /// Those compiled in.
    pub fn builtin() -> Result<Self, TemplateError> {
        let mut templates = Self::read(include_str!("../data/templates.toml"))?;
        templates.all.extend(catalogue::templates());
        Ok(templates)
    }

    fn read(text: &str) -> Result<Self, TemplateError> {
        let File { slots, numbers, template } = toml::from_str(text)?;
        let value = |name: &str| match (slots.get(name), numbers.get(name)) {
            (Some(values), _) if !values.is_empty() => Some(Slot::OneOf(values.clone())),
            (_, Some((low, high))) if low <= high => Some(Slot::Number(*low, *high)),
            _ => None,
        };
        let mut all = Vec::new();
        for row in template {
            let name = row.name.clone();
            let fault = |rule: String| TemplateError::Template { template: name.clone(), rule };
            if row.severities.is_empty() {
                return Err(fault("severities must hold at least one".to_owned()));
            }
            let (pieces, slots) = numbered(slotted(&row.text), &value)
                .map_err(|slot| fault(format!("slot \"{slot}\" has no values")))?;
            let Row { name, error_type, severities, category, .. } = row;
            all.push(Template { name, error_type, severities, category: Some(category), pieces, slots });
        }
        Ok(Self { all })
    }

    /// All templates, own ones first.
    pub fn all(&self) -> &[Template] {
        &self.all
    }
}

impl Template {
    /// The text, cut into what varies and what does not.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// What varies, by its place.
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn new(name: String, error_type: ErrorType, category: Option<String>, drafts: Vec<Draft>) -> Self {
        let (pieces, slots) = numbered(drafts, &|_| None).expect("nothing is named here");
        Self { name, error_type, severities: Vec::new(), category, pieces, slots }
    }

    /// The text, with what varies in braces: `{1-99}` a number, `{a|b}` one of these.
    pub fn pattern(&self) -> String {
        self.written(|slot| match slot {
            Slot::Number(low, high) => format!("{{{low}-{high}}}"),
            Slot::OneOf(values) => format!("{{{}}}", values.join("|")),
        })
    }

    /// The text without what varies: two templates of one shape are the same wording.
    fn shape(&self) -> String {
        shape_of(&self.written(|_| "0".to_owned()))
    }

    fn written(&self, slot: impl Fn(&Slot) -> String) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Slot(place) => slot(&self.slots[*place]),
        };
        self.pieces.iter().map(piece).collect()
    }
}

/// A text with every run of digits as one zero.
fn shape_of(text: &str) -> String {
    let mut shape = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '0'..='9' if shape.ends_with('0') => {}
            '0'..='9' => shape.push('0'),
            other => shape.push(other),
        }
    }
    shape
}

/// Numbers the slots of a text; the error is the name of a slot without values.
fn numbered(
    drafts: Vec<Draft>,
    value: &dyn Fn(&str) -> Option<Slot>,
) -> Result<(Vec<Piece>, Vec<Slot>), String> {
    let (mut pieces, mut slots, mut names) = (Vec::new(), Vec::new(), Vec::<Option<String>>::new());
    for draft in drafts {
        let (slot, name) = match draft {
            Draft::Text(text) => {
                pieces.push(Piece::Text(text));
                continue;
            }
            Draft::Number(low, high) => (Slot::Number(low, high), None),
            Draft::OneOf(values) => (Slot::OneOf(values), None),
            Draft::Named(name) => (value(&name).ok_or_else(|| name.clone())?, Some(name)),
        };
        let known = names.iter().position(|known| known.is_some() && *known == name);
        let place = known.unwrap_or(slots.len());
        if known.is_none() {
            slots.push(slot);
            names.push(name);
        }
        pieces.push(Piece::Slot(place));
    }
    debug_assert!(slots.len() <= MOST_SLOTS, "whoever drafts a template counts");
    Ok((pieces, slots))
}

/// Cuts `{slot}` out of a text.
fn slotted(text: &str) -> Vec<Draft> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((slot, after)) = after.split_once('}') else { break };
        pieces.push(Draft::Text(before.to_owned()));
        pieces.push(Draft::Named(slot.to_owned()));
        rest = after;
    }
    pieces.push(Draft::Text(rest.to_owned()));
    pieces
}

#[cfg(test)]
mod tests;
