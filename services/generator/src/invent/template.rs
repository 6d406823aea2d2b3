//! What messages are invented from: own templates, the examples of the error catalogue, and what was learnt.

use std::collections::{BTreeMap, HashSet};

use instance_contract::{ErrorType, Severity};
use instance_iris::messages_log::parse;
use instance_knowledge::{Place, conditions};
use rand::{Rng, RngExt as _};
use serde::Deserialize;

use crate::message::{Meaning, error_type};

/// At most so many templates are learnt from logs.
const MOST_LEARNT: usize = 100;
/// A longer text is no pattern.
const LONGEST_LEARNT: usize = 2000;

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
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A number from the lowest to the highest.
    Number(u32, u32),
    Slot(String),
}

/// Every template there is, and the values of their slots.
#[derive(Debug, Clone)]
pub struct Templates {
    all: Vec<Template>,
    slots: BTreeMap<String, Vec<String>>,
    numbers: BTreeMap<String, (u32, u32)>,
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
        let mut templates = Self::read(include_str!("../../data/templates.toml"))?;
        templates.all.extend(from_catalogue());
        Ok(templates)
    }

    fn read(text: &str) -> Result<Self, TemplateError> {
        let File { slots, numbers, template } = toml::from_str(text)?;
        let mut templates = Self { all: Vec::new(), slots, numbers };
        for row in template {
            let fault =
                |rule: &str| TemplateError::Template { template: row.name.clone(), rule: rule.to_owned() };
            if row.severities.is_empty() {
                return Err(fault("severities must hold at least one"));
            }
            let pieces = slotted(&row.text);
            let unknown = pieces.iter().find_map(|piece| match piece {
                Piece::Slot(slot) if !templates.has_slot(slot) => Some(slot),
                _ => None,
            });
            if let Some(slot) = unknown {
                return Err(fault(&format!("slot \"{slot}\" has no values")));
            }
            let Row { name, error_type, severities, category, .. } = row;
            templates.all.push(Template { name, error_type, severities, category: Some(category), pieces });
        }
        Ok(templates)
    }

    fn has_slot(&self, name: &str) -> bool {
        self.slots.get(name).is_some_and(|values| !values.is_empty())
            || self.numbers.get(name).is_some_and(|(low, high)| low <= high)
    }

    /// All templates, own ones first.
    pub fn all(&self) -> &[Template] {
        &self.all
    }

    /// Adds the severe and fatal entries of a real log as templates, each wording once, at most 100 from all logs and
    /// as evenly over the kinds of trouble as the log allows. Returns how many of each kind were learnt.
    pub fn learn(&mut self, log: &[u8]) -> BTreeMap<ErrorType, usize> {
        let mut known: HashSet<String> = self.all.iter().map(Template::shape).collect();
        let mut by_kind: BTreeMap<ErrorType, Vec<Template>> = BTreeMap::new();
        for entry in parse(log) {
            let Some(template) = learnt(&entry) else { continue };
            if known.insert(template.shape()) {
                by_kind.entry(template.error_type).or_default().push(template);
            }
        }
        let before = self.all.iter().filter(|template| template.name.starts_with("learnt-")).count();
        let mut room = MOST_LEARNT.saturating_sub(before);
        let mut counts = BTreeMap::new();
        let longest = by_kind.values().map(Vec::len).max().unwrap_or(0);
        for rank in 0..longest {
            for (kind, templates) in &by_kind {
                let Some(template) = templates.get(rank).filter(|_| room > 0) else { continue };
                let number = counts.values().sum::<usize>() + before + 1;
                self.all.push(Template { name: format!("learnt-{kind}-{number}"), ..template.clone() });
                *counts.entry(*kind).or_insert(0) += 1;
                room -= 1;
            }
        }
        counts
    }

    /// A text of this template.
    pub fn fill(&self, template: &Template, rng: &mut impl Rng) -> String {
        let mut chosen: BTreeMap<&str, String> = BTreeMap::new();
        let mut text = String::new();
        for piece in &template.pieces {
            match piece {
                Piece::Text(part) => text.push_str(part),
                Piece::Number(low, high) => text.push_str(&rng.random_range(*low..=*high).to_string()),
                Piece::Slot(slot) => {
                    let value = chosen.entry(slot).or_insert_with(|| self.value(slot, rng));
                    text.push_str(value);
                }
            }
        }
        text
    }

    fn value(&self, slot: &str, rng: &mut impl Rng) -> String {
        if let Some(values) = self.slots.get(slot) {
            return values[rng.random_range(0..values.len())].clone();
        }
        let (low, high) = self.numbers.get(slot).copied().unwrap_or_default();
        rng.random_range(low..=high).to_string()
    }
}

impl Template {
    /// The text without what varies: two templates of one shape are the same wording.
    fn shape(&self) -> String {
        let fixed = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.replace(|c: char| c.is_ascii_digit(), "0"),
            Piece::Number(..) | Piece::Slot(_) => "0".to_owned(),
        });
        fixed.collect()
    }
}

/// One template for each wording of the error catalogue that messages.log shows.
fn from_catalogue() -> Vec<Template> {
    let mut templates = Vec::new();
    for condition in conditions().iter().filter(|condition| condition.place == Place::MessagesLog) {
        let mut severities: Vec<Severity> =
            condition.severities.iter().filter_map(|digit| Severity::try_from(*digit).ok()).collect();
        severities.sort_unstable();
        if severities.is_empty() {
            severities.push(Severity::Severe);
        }
        for (number, wording) in condition.wordings.iter().enumerate() {
            let name =
                if number == 0 { condition.id.clone() } else { format!("{}-{}", condition.id, number + 1) };
            let text = wording.example.trim_end();
            let same = |varied: &str| {
                Meaning::of(varied, Severity::Severe, None)
                    .condition
                    .is_some_and(|found| found.as_str() == condition.id)
            };
            templates.push(Template {
                name,
                error_type: error_type(condition.class),
                severities: severities.clone(),
                category: Some(
                    condition.categories.first().map_or("Utility.Event", String::as_str).to_owned(),
                ),
                pieces: loosened(text, same),
            });
        }
    }
    templates
}

/// A template of a severe or fatal entry of a real log; its name is given later.
fn learnt(entry: &instance_iris::messages_log::Entry) -> Option<Template> {
    let header = entry.header.as_ref()?;
    let severity = crate::message::severity(header.severity?);
    let text = entry.message_text();
    let usable = severity >= Severity::Severe
        && !text.trim().is_empty()
        && text.len() <= LONGEST_LEARNT
        && !entry.truncated()
        && !entry.is_damaged_repeat();
    if !usable {
        return None;
    }
    let meaning = Meaning::of(&text, severity, header.category.as_deref());
    let same = |varied: &str| Meaning::of(varied, severity, header.category.as_deref()) == meaning;
    Some(Template {
        name: String::new(),
        error_type: meaning.error_type,
        severities: vec![severity],
        category: header.category.clone(),
        pieces: loosened(text.trim_end(), same),
    })
}

/// Cuts `{slot}` out of a text.
fn slotted(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((slot, after)) = after.split_once('}') else { break };
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(Piece::Slot(slot.to_owned()));
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces
}

/// Makes the numbers of an example variable where another number is as plausible, and the meaning stays `same`.
fn loosened(text: &str, same: impl Fn(&str) -> bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for (start, end) in digit_runs(text) {
        let Some((low, high)) = range_of(text, start, end) else { continue };
        let other = if text[start..end].parse() == Ok(high) { low } else { high };
        if same(&format!("{}{other}{}", &text[..start], &text[end..])) {
            pieces.push(Piece::Text(text[from..start].to_owned()));
            pieces.push(Piece::Number(low, high));
            from = end;
        }
    }
    pieces.push(Piece::Text(text[from..].to_owned()));
    pieces
}

fn digit_runs(text: &str) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, _) in text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match runs.last_mut() {
            Some((_, end)) if *end == at => *end = at + 1,
            _ => runs.push((at, at + 1)),
        }
    }
    runs
}

/// What else may stand for a number: a share below 100, or a count or process id of as many digits. Codes, versions,
/// dates and parts of names stay.
fn range_of(text: &str, start: usize, end: usize) -> Option<(u32, u32)> {
    let before = text[..start].chars().next_back();
    let after = &text[end..];
    let stands_alone = before.is_none_or(|c| matches!(c, ' ' | '='))
        && !after.starts_with(['/', '-', ':', '_', ',', '+'])
        && !after.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if !stands_alone || text[start..].starts_with('0') {
        return None;
    }
    let digits = u32::try_from(end - start).ok().filter(|digits| *digits <= 6)?;
    if after.starts_with('%') {
        return Some((1, 99));
    }
    let counted = ["MB", " MB", " second", " minute", " day", " time", " block", " user"];
    let is_count = counted.iter().any(|unit| after.starts_with(unit));
    if !is_count && digits < 4 {
        return None;
    }
    Some((10_u32.pow(digits - 1).max(2), 10_u32.pow(digits) - 1))
}

#[cfg(test)]
mod tests;
