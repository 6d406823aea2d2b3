use std::sync::Arc;

use super::line::{Kind, Line};

/// A CPF as the lines it is made of.
///
/// Invariant: [`to_bytes`](Self::to_bytes) gives the bytes that were parsed, whatever they were, with exactly the
/// lines changed that an edit named.
///
/// Names are matched as they are written, upper and lower case included. A line that is not UTF-8 is kept and never
/// read. Line numbers count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub(super) lines: Vec<Line>,
}

/// One `name=value` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Line number, from 1.
    pub line: usize,
    /// Name of the section it stands in; `None` above the first section.
    pub section: Option<&'a str>,
    /// The text before the first `=`.
    pub name: &'a str,
    /// The text after it; never stripped of what looks like a comment.
    pub value: &'a str,
}

/// One line of the `[Actions]` section of a merge file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Line number, from 1.
    pub line: usize,
    /// What is asked for, like `CreateDatabase`.
    pub name: &'a str,
    /// What follows the colon. May hold secrets (`PasswordHash=...`): never log it.
    pub arguments: &'a str,
}

impl Document {
    /// Reads a CPF or a merge file. Never fails: what is not understood is kept.
    pub fn parse(bytes: &[u8]) -> Self {
        // Nearly every file is text, all of it.
        let file: Option<Arc<str>> = std::str::from_utf8(bytes).ok().map(Arc::from);
        let mut lines = Vec::with_capacity(memchr::memchr_iter(b'\n', bytes).count() + 1);
        let (mut in_comment, mut start) = (false, 0);
        while start < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at + 1);
            let line = match &file {
                Some(file) => Line::of_file(file, start..end, in_comment),
                None if in_comment => Line::commented(bytes[start..end].to_vec()),
                None => Line::new(bytes[start..end].to_vec()),
            };
            in_comment = comment_goes_on(in_comment, &line);
            lines.push(line);
            start = end;
        }
        Self { lines }
    }

    /// As a reader of its bytes would have it. An edit keeps the place of a value that has become empty, which a reader cannot
    /// know; only lines that were edited are read again.
    #[must_use]
    pub fn as_read(&self) -> Self {
        Self { lines: self.lines.iter().map(Line::as_read).collect() }
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.lines.iter().map(|line| line.raw().len()).sum());
        self.lines.iter().for_each(|line| bytes.extend_from_slice(line.raw()));
        bytes
    }

    /// Section names in the order of the file; a section that is written twice comes twice.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(Line::section)
    }

    /// Every `name=value` line of the file, in order.
    pub fn all_entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.lines_with_section().filter_map(entry)
    }

    /// The `name=value` lines of a section, in order.
    pub fn entries(&self, section: &str) -> impl Iterator<Item = Entry<'_>> {
        // Most lines stand in other sections, and need not be looked at.
        let inside = self.lines_with_section().filter(move |(_, of, _)| *of == Some(section));
        inside.filter_map(entry)
    }

    /// The value of a parameter; the first one where the name is repeated.
    pub fn get(&self, section: &str, name: &str) -> Option<&str> {
        self.entries(section).find(|entry| entry.name == name).map(|entry| entry.value)
    }

    /// Every value of a name in a section.
    pub fn get_all(&self, section: &str, name: &str) -> Vec<&str> {
        self.entries(section).filter(|entry| entry.name == name).map(|entry| entry.value).collect()
    }

    /// The line number of a parameter; the first one where the name is repeated.
    pub fn line_of(&self, section: &str, name: &str) -> Option<usize> {
        self.entries(section).find(|entry| entry.name == name).map(|entry| entry.line)
    }

    /// Every line but those of the parameters that are named by section and name, without line ends. Two documents that
    /// agree in these differ in the named parameters at most.
    pub fn lines_but<'a>(&'a self, named: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = &'a [u8]> {
        let mut named_here: Vec<&str> = Vec::new();
        self.lines.iter().filter_map(move |line| {
            if let Some(section) = line.section() {
                named_here = named.iter().filter(|(of, _)| *of == section).map(|(_, name)| *name).collect();
            }
            let is_named = !named_here.is_empty()
                && line.parameter().is_some_and(|(name, _)| named_here.contains(&name));
            (!is_named).then(|| line.content())
        })
    }

    /// `[ConfigFile] Version`: the format version, like `2024.2`.
    pub fn version(&self) -> Option<&str> {
        self.get("ConfigFile", "Version")
    }

    /// The lines of the `[Actions]` sections, which only a merge file may have.
    pub fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        let inside = self.lines_with_section().filter(|(_, section, _)| section.is_some_and(is_actions));
        inside.filter_map(|(at, _, line)| {
            if !matches!(line.kind(), Kind::Parameter { .. } | Kind::Unreadable) {
                return None;
            }
            let text = std::str::from_utf8(line.text()).ok()?;
            let (name, arguments) = text.split_once(':').unwrap_or((text, ""));
            Some(Operation { line: at + 1, name, arguments })
        })
    }

    /// The index of the line whose `/*` has no `*/` below it.
    pub(super) fn unclosed_comment(&self) -> Option<usize> {
        self.lines
            .iter()
            .enumerate()
            .fold(None, |open, (at, line)| comment_goes_on(open.is_some(), line).then(|| open.unwrap_or(at)))
    }

    /// Every line that is no section heading, with its index and the section it stands in.
    pub(super) fn lines_with_section(&self) -> impl Iterator<Item = (usize, Option<&str>, &Line)> {
        let mut section = None;
        self.lines.iter().enumerate().filter_map(move |(at, line)| {
            if let Some(name) = line.section() {
                section = Some(name);
                return None;
            }
            Some((at, section, line))
        })
    }
}

fn entry<'a>((at, section, line): (usize, Option<&'a str>, &'a Line)) -> Option<Entry<'a>> {
    let (name, value) = line.parameter()?;
    Some(Entry { line: at + 1, section, name, value })
}

/// Whether a `/* */` block is open below a line, given whether it is open above.
fn comment_goes_on(open_above: bool, line: &Line) -> bool {
    let text = line.text();
    let inside = if open_above { Some(text) } else { text.strip_prefix(b"/*") };
    inside.is_some_and(|text| memchr::memmem::find(text, b"*/").is_none())
}

/// Operations are matched without case, as merge files write section names in several ways.
pub(super) fn is_actions(section: &str) -> bool {
    section.eq_ignore_ascii_case("Actions")
}
