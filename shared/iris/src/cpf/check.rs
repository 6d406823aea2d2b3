use std::{collections::HashMap, fmt};

use super::{
    Document,
    document::is_actions,
    line::{Kind, Line},
};

/// One thing that is wrong with the shape of an `iris.cpf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line number, from 1; 0 when the fault is that something is not there.
    pub line: usize,
    /// What is violated.
    pub rule: Rule,
    /// What was found, in words.
    pub text: String,
}

/// What the shape of an `iris.cpf` must keep to. Names and values are the catalogue's business, not this one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A line stands above the first section.
    OutsideSection,
    /// A line is neither blank, comment, section nor `name=value`, or not UTF-8.
    UnreadableLine,
    /// A value holds a control character.
    ControlCharacter,
    /// A `/*` has no `*/`: everything below it is comment.
    UnclosedComment,
    /// A name stands twice in a section: IRIS refuses to start.
    DuplicateLine,
    /// A section stands twice.
    RepeatedSection,
    /// `[Actions]` is for merge files; IRIS refuses it here.
    ActionsSection,
    /// No `[ConfigFile]` with a `Version`.
    MissingVersion,
    /// Some lines end in CR LF and some in LF.
    MixedLineEnds,
}

impl Rule {
    /// The rule as one word, for machines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OutsideSection => "outside_section",
            Self::UnreadableLine => "unreadable_line",
            Self::ControlCharacter => "control_character",
            Self::UnclosedComment => "unclosed_comment",
            Self::DuplicateLine => "duplicate_line",
            Self::RepeatedSection => "repeated_section",
            Self::ActionsSection => "actions_section",
            Self::MissingVersion => "missing_version",
            Self::MixedLineEnds => "mixed_line_ends",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// Finds every structural fault of an `iris.cpf`, in the order of lines.
pub fn check(document: &Document) -> Vec<Fault> {
    let mut faults = Vec::new();
    check_lines(document, &mut faults);
    check_sections(document, &mut faults);
    check_names(document, &mut faults);
    check_line_ends(document, &mut faults);
    check_comments(document, &mut faults);
    if document.version().is_none_or(str::is_empty) {
        faults.push(fault(0, Rule::MissingVersion, "no Version in section \"ConfigFile\"".to_owned()));
    }
    faults.sort_by_key(|fault| fault.line);
    faults
}

fn check_lines(document: &Document, faults: &mut Vec<Fault>) {
    for (at, section, line) in document.lines_with_section() {
        let number = at + 1;
        match line.kind() {
            Kind::Unreadable if section.is_some_and(is_actions) => {}
            Kind::Unreadable => {
                let text = "neither a section, a comment nor \"name=value\"".to_owned();
                faults.push(fault(number, Rule::UnreadableLine, text));
            }
            Kind::Parameter { .. } if section.is_none() => {
                let text = "a parameter above the first section".to_owned();
                faults.push(fault(number, Rule::OutsideSection, text));
            }
            _ => {}
        }
        let control = line.parameter().and_then(|(name, value)| {
            name.chars().chain(value.chars()).find(|character| character.is_control())
        });
        if let Some(character) = control {
            let text = format!("the line holds control character {character:?}");
            faults.push(fault(number, Rule::ControlCharacter, text));
        }
    }
}

fn check_sections(document: &Document, faults: &mut Vec<Fault>) {
    let mut first_lines: HashMap<&str, usize> = HashMap::new();
    for (at, line) in document.lines.iter().enumerate() {
        let Some(name) = line.section() else { continue };
        if is_actions(name) {
            let text = format!("section \"{name}\" is for merge files only");
            faults.push(fault(at + 1, Rule::ActionsSection, text));
        }
        if let Some(first) = first_lines.get(name) {
            let text = format!("section \"{name}\" begins on line {first} already");
            faults.push(fault(at + 1, Rule::RepeatedSection, text));
        } else {
            first_lines.insert(name, at + 1);
        }
    }
}

fn check_names(document: &Document, faults: &mut Vec<Fault>) {
    let mut first_lines: HashMap<(&str, &str), usize> = HashMap::new();
    let in_sections = document.all_entries().filter_map(|entry| Some((entry.section?, entry)));
    for (section, entry) in in_sections.filter(|(section, _)| !is_actions(section)) {
        if let Some(first) = first_lines.get(&(section, entry.name)) {
            let text = format!("\"{}\" of section \"{section}\" is on line {first} already", entry.name);
            faults.push(fault(entry.line, Rule::DuplicateLine, text));
        } else {
            first_lines.insert((section, entry.name), entry.line);
        }
    }
}

fn check_line_ends(document: &Document, faults: &mut Vec<Fault>) {
    let mut ends = document.lines.iter().map(Line::end).enumerate();
    let Some((_, first)) = ends.next() else { return };
    if let Some((at, _)) = ends.find(|(_, end)| *end != first && end.is_whole()) {
        let text = "this line ends in another way than the lines above".to_owned();
        faults.push(fault(at + 1, Rule::MixedLineEnds, text));
    }
}

fn check_comments(document: &Document, faults: &mut Vec<Fault>) {
    if let Some(at) = document.unclosed_comment() {
        faults.push(fault(at + 1, Rule::UnclosedComment, "\"/*\" without \"*/\"".to_owned()));
    }
}

fn fault(line: usize, rule: Rule, text: String) -> Fault {
    Fault { line, rule, text }
}
