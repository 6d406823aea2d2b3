//! Templates from a real log: entries of the same wording are one template, and where they differ it varies.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use instance_contract::{ErrorType, Severity};
use instance_iris::messages_log::{Entry, NewEntry, Options, Reader, write_entry};

use super::loosen::loosened;
use super::{Draft, MOST_SLOTS, Template, Templates};
use crate::message::{Meaning, severity};

/// At most so many templates are learnt from logs.
const MOST_LEARNT: usize = 100;
/// With fewer severe and fatal ones, milder entries fill up to this.
const ENOUGH_LEARNT: usize = 50;
/// A longer text is no pattern.
const LONGEST_LEARNT: usize = 2000;
/// Values that are remembered of one variable part.
const MOST_VALUES: usize = 24;

/// Entries of one wording.
struct Wording {
    severity: Severity,
    category: Option<String>,
    meaning: Meaning,
    /// The first one seen.
    example: String,
    /// Where its words lie.
    words: Vec<Range<usize>>,
    /// What was seen at each word that differs.
    seen: BTreeMap<usize, Vec<String>>,
}

impl Templates {
    /// Adds the wordings of a real log as templates, at most 100 from all logs and as evenly over the kinds of trouble as
    /// the log allows: severe and fatal entries, and milder ones where those are fewer than 50. Words in which entries
    /// of one wording differ vary, and so do numbers that may. Returns how many of each kind were learnt.
    pub fn learn(&mut self, log: &[u8]) -> BTreeMap<ErrorType, usize> {
        let mut known: HashSet<String> = self.all.iter().map(Template::shape).collect();
        let mut room = MOST_LEARNT - self.learnt().min(MOST_LEARNT);
        let mut counts = BTreeMap::new();
        let wordings = wordings(log);
        for severities in [&[Severity::Fatal, Severity::Severe][..], &[Severity::Warning], &[Severity::Info]]
        {
            let learnt: usize = counts.values().sum();
            if severities[0] <= Severity::Warning {
                room = room.min(ENOUGH_LEARNT.saturating_sub(learnt));
            }
            let of_these = wordings.iter().filter(|wording| severities.contains(&wording.severity));
            let templates: Vec<Template> =
                of_these.filter_map(Wording::template).filter(|t| known.insert(t.shape())).collect();
            room -= self.add_evenly(templates, room, &mut counts);
        }
        counts
    }

    /// How many templates were learnt so far.
    pub fn learnt(&self) -> usize {
        self.all.iter().filter(|template| template.is_learnt()).count()
    }

    /// Adds at most `room` templates, one of each kind in turn; tells how many.
    fn add_evenly(
        &mut self,
        templates: Vec<Template>,
        room: usize,
        counts: &mut BTreeMap<ErrorType, usize>,
    ) -> usize {
        let mut by_kind: BTreeMap<ErrorType, Vec<Template>> = BTreeMap::new();
        for template in templates {
            by_kind.entry(template.error_type).or_default().push(template);
        }
        let longest = by_kind.values().map(Vec::len).max().unwrap_or(0);
        let mut number = self.learnt();
        let mut added = 0;
        for rank in 0..longest {
            for (kind, templates) in &by_kind {
                let Some(template) = templates.get(rank).filter(|_| added < room) else { continue };
                (number, added) = (number + 1, added + 1);
                self.all.push(Template { name: format!("learnt-{kind}-{number}"), ..template.clone() });
                *counts.entry(*kind).or_insert(0) += 1;
            }
        }
        added
    }
}

impl Template {
    /// Whether it came from a log.
    pub fn is_learnt(&self) -> bool {
        self.name.starts_with("learnt-")
    }
}

/// Every wording of a log, the oldest first.
fn wordings(log: &[u8]) -> Vec<Wording> {
    let mut wordings: Vec<Wording> = Vec::new();
    let mut by_length: BTreeMap<(Severity, usize), Vec<usize>> = BTreeMap::new();
    let mut texts = HashSet::new();
    let mut take = |entry: &Entry| {
        let Some((severity, text)) = usable(entry) else { return };
        // Most of a log repeats itself to the letter.
        if !texts.insert((severity, text.clone())) {
            return;
        }
        let words = words(&text);
        let alike = by_length.entry((severity, words.len())).or_default();
        let category = entry.header.as_ref().and_then(|header| header.category.clone());
        let meaning = Meaning::of(&text, severity, category.as_deref());
        let same = |place: &&usize| {
            let wording: &Wording = &wordings[**place];
            wording.meaning == meaning && wording.category == category && wording.takes(&text, &words)
        };
        if let Some(place) = alike.iter().find(same).copied() {
            wordings[place].add(&text, &words);
            return;
        }
        alike.push(wordings.len());
        wordings.push(Wording { severity, category, meaning, example: text, words, seen: BTreeMap::new() });
    };
    let mut reader = Reader::new(Options::bounded());
    reader.read(log, |entry| take(&entry.to_entry()));
    if let Some(last) = reader.finish() {
        take(&last);
    }
    wordings
}

/// Severity and text of an entry that can become a template.
fn usable(entry: &Entry) -> Option<(Severity, String)> {
    let header = entry.header.as_ref()?;
    let text = entry.message_text().trim_end().to_owned();
    let short = !text.trim().is_empty() && text.len() <= LONGEST_LEARNT;
    let whole = !entry.truncated() && !entry.is_damaged_repeat();
    let new = NewEntry {
        timestamp: header.timestamp,
        process_id: 1,
        severity: header.severity?,
        category: header.category.as_deref(),
        text: &text,
        repeated: 0,
    };
    let writable = write_entry(&mut Vec::new(), &new).is_ok();
    (short && whole && writable).then(|| (severity(header.severity.unwrap_or(new.severity)), text))
}

fn words(text: &str) -> Vec<Range<usize>> {
    let start = text.as_ptr() as usize;
    text.split([' ', '\n', '\t'])
        .filter(|word| !word.is_empty())
        .map(|word| {
            let from = word.as_ptr() as usize - start;
            from..from + word.len()
        })
        .collect()
}

impl Wording {
    /// Whether a text of as many words says the same: it begins alike, and at most a third of the words differ.
    fn takes(&self, text: &str, words: &[Range<usize>]) -> bool {
        let differing: Vec<usize> = self.differing(text, words).collect();
        let begins_alike = differing.first().is_none_or(|place| *place > 0);
        let mut all: Vec<usize> = self.seen.keys().copied().chain(differing).collect();
        all.sort_unstable();
        all.dedup();
        begins_alike && all.len() * 3 <= self.words.len() && all.len() <= MOST_SLOTS / 2
    }

    fn differing(&self, text: &str, words: &[Range<usize>]) -> impl Iterator<Item = usize> {
        let pairs = self.words.iter().zip(words).enumerate();
        pairs
            .filter(|(_, (ours, theirs))| self.example[(*ours).clone()] != text[(*theirs).clone()])
            .map(|(place, _)| place)
    }

    fn add(&mut self, text: &str, words: &[Range<usize>]) {
        let places: Vec<usize> = self.differing(text, words).collect();
        for place in places {
            let ours = self.example[self.words[place].clone()].to_owned();
            let values = self.seen.entry(place).or_insert_with(|| vec![ours]);
            let value = text[words[place].clone()].to_owned();
            if values.len() < MOST_VALUES && !values.contains(&value) {
                values.push(value);
            }
        }
    }

    /// The template; its name is given later. `None` when a mixture of what was seen would mean something else.
    fn template(&self) -> Option<Template> {
        let taken: Vec<(Range<usize>, Draft)> = self
            .seen
            .iter()
            .map(|(place, values)| {
                let (part, draft) = varying(values);
                let word = self.words[*place].start;
                (word + part.start..word + part.end, draft)
            })
            .collect();
        let category = self.category.as_deref();
        let same = |varied: &str| Meaning::of(varied, self.severity, category) == self.meaning;
        let drafts = loosened(&self.example, &taken, same);
        let kind = self.meaning.error_type;
        let template = Template::new(String::new(), kind, self.category.clone(), drafts);
        let mixed = template.written(|slot| match slot {
            super::Slot::Number(_, high) => high.to_string(),
            super::Slot::OneOf(values) => values.last().cloned().unwrap_or_default(),
        });
        same(&mixed).then(|| Template { severities: vec![self.severity], ..template })
    }
}

/// What varies of a word, the first value being the one it stands for: the number in it, between the lowest and the highest
/// that were seen, where the values differ in one number alone (`35060MB`, `7758,`); else all of it, among those seen.
fn varying(values: &[String]) -> (Range<usize>, Draft) {
    number_of(values).unwrap_or_else(|| (0..values[0].len(), Draft::OneOf(values.to_vec())))
}

fn number_of(values: &[String]) -> Option<(Range<usize>, Draft)> {
    let parts: Vec<Vec<&str>> = values.iter().map(|value| in_parts(value)).collect();
    let (first, others) = parts.split_first()?;
    if others.iter().any(|other| other.len() != first.len()) {
        return None;
    }
    let mut differing = (0..first.len()).filter(|place| others.iter().any(|it| it[*place] != first[*place]));
    let (Some(place), None) = (differing.next(), differing.next()) else { return None };
    let number = |parts: &Vec<&str>| {
        // One with zeros before it is no number that may have fewer digits.
        parts[place].parse::<u32>().ok().filter(|number| number.to_string() == parts[place])
    };
    let numbers: Vec<u32> = parts.iter().map(number).collect::<Option<_>>()?;
    let start = first[..place].iter().map(|part| part.len()).sum();
    let draft = Draft::Number(*numbers.iter().min()?, *numbers.iter().max()?);
    Some((start..start + first[place].len(), draft))
}

/// Runs of digits, and what lies between them.
fn in_parts(word: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let ends = |letter: char| letter.is_ascii_digit() != first.is_ascii_digit();
        let (part, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
        parts.push(part);
        rest = after;
    }
    parts
}
