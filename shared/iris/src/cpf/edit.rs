use super::{
    Document,
    document::{Entry, is_actions},
    line::{Line, LineEnd},
};

/// What an edit changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// Line number of the parameter, from 1.
    pub line: usize,
    /// The value that stood there.
    pub before: String,
    /// The value that stands there now; the same as `before` when nothing was to be done.
    pub after: String,
}

/// Why a CPF was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No such section.
    #[error("could not edit CPF: no section \"{section}\"{}", did_you_mean(suggestion.as_deref()))]
    UnknownSection {
        /// As asked for.
        section: String,
        /// The same name in another case, as the file writes it.
        suggestion: Option<String>,
    },
    /// The section has no such parameter. IRIS refuses to start on a name it does not know, so none is ever added
    /// by [`Document::set`].
    #[error(
        "could not edit CPF: no parameter \"{name}\" in section \"{section}\"{}",
        did_you_mean(suggestion.as_deref())
    )]
    UnknownParameter {
        /// As asked for.
        section: String,
        /// As asked for.
        name: String,
        /// The same name in another case, as the file writes it.
        suggestion: Option<String>,
    },
    /// The name stands on several lines, so it is not clear which is meant.
    #[error("could not edit CPF: parameter \"{name}\" of section \"{section}\" is on lines {lines:?}")]
    Repeated {
        /// As asked for.
        section: String,
        /// As asked for.
        name: String,
        /// Line numbers, from 1.
        lines: Vec<usize>,
    },
    /// The name is there already; IRIS refuses to start on a repeated one.
    #[error("could not add to CPF: parameter \"{name}\" of section \"{section}\" is on line {line} already")]
    Exists {
        /// As asked for.
        section: String,
        /// As asked for.
        name: String,
        /// Line number, from 1.
        line: usize,
    },
    /// The parameter does not have the value that was to be removed.
    #[error("could not remove from CPF: parameter \"{name}\" of section \"{section}\" has another value")]
    OtherValue {
        /// As asked for.
        section: String,
        /// As asked for.
        name: String,
    },
    /// The value cannot stand in a line.
    #[error("could not edit CPF: value of parameter \"{name}\" of section \"{section}\" {reason}")]
    Value {
        /// As asked for.
        section: String,
        /// As asked for.
        name: String,
        /// What is wrong with it.
        reason: InvalidText,
    },
    /// The name cannot stand in a line.
    #[error("could not add to CPF: name \"{}\" for section \"{section}\" {reason}", name.escape_debug())]
    Name {
        /// As asked for.
        section: String,
        /// As asked for.
        name: String,
        /// What is wrong with it.
        reason: InvalidText,
    },
}

/// What keeps a text from standing in a line of a CPF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// A control character or a line separator, NUL, tab and line ends included.
    #[error("holds control character or line separator {0:?}")]
    Control(char),
    /// Blanks at either end have no effect in a CPF, so they would be lost.
    #[error("begins or ends with a blank")]
    OuterBlank,
    /// With it the line would read as something else.
    #[error("would make the line read as something else")]
    Misread,
}

impl Document {
    /// Gives a parameter another value. Exactly one line changes, and in it the value alone: name, blanks around
    /// `=` and line end stay. Setting the value that is there changes nothing and is no error.
    pub fn set(&mut self, section: &str, name: &str, value: &str) -> Result<Edited, EditError> {
        let (line, before) = self.single(section, name).map(|entry| (entry.line, entry.value.to_owned()))?;
        let edited = Edited { line, before, after: value.to_owned() };
        if edited.before == edited.after {
            return Ok(edited);
        }
        let refuse = |reason| EditError::Value { section: section.to_owned(), name: name.to_owned(), reason };
        check_text(value).map_err(refuse)?;
        let at = line - 1;
        self.lines[at] = self.lines[at].with_value(value).ok_or(refuse(InvalidText::Misread))?;
        Ok(edited)
    }

    /// Adds a line `name=value` below the last parameter of a section, as a list like `[Databases]` or
    /// `[Namespaces]` needs it. Refuses a name that is there, except in `[Actions]`.
    pub fn insert(&mut self, section: &str, name: &str, value: &str) -> Result<Edited, EditError> {
        let heading = self.heading(section)?;
        if let Some(line) = self.line_of(section, name).filter(|_| !is_actions(section)) {
            return Err(EditError::Exists { section: section.to_owned(), name: name.to_owned(), line });
        }
        let line = new_line(section, name, value)?;
        let at = self.entries(section).last().map_or(heading + 1, |last| last.line);
        self.insert_line(at, line);
        Ok(Edited { line: at + 1, before: String::new(), after: value.to_owned() })
    }

    /// Removes the line of a parameter, if it has the value that the caller believes it has.
    pub fn remove(&mut self, section: &str, name: &str, value: &str) -> Result<Edited, EditError> {
        self.heading(section)?;
        let matching: Vec<usize> = self
            .entries(section)
            .filter(|entry| entry.name == name && entry.value == value)
            .map(|entry| entry.line)
            .collect();
        match matching[..] {
            [line] => {
                self.remove_line(line - 1);
                Ok(Edited { line, before: value.to_owned(), after: String::new() })
            }
            [] => {
                self.single(section, name)?;
                Err(EditError::OtherValue { section: section.to_owned(), name: name.to_owned() })
            }
            _ => Err(EditError::Repeated {
                section: section.to_owned(),
                name: name.to_owned(),
                lines: matching,
            }),
        }
    }

    /// Adds an empty section at the end, a blank line above it.
    pub(super) fn append_section(&mut self, section: &str) -> Result<(), EditError> {
        let refuse = |reason| EditError::Name { section: section.to_owned(), name: String::new(), reason };
        check_text(section).map_err(refuse)?;
        let line = Line::new(format!("[{section}]").into_bytes());
        if line.section() != Some(section) || self.unclosed_comment().is_some() {
            return Err(refuse(InvalidText::Misread));
        }
        if self.lines.last().is_some_and(|last| !last.content().is_empty()) {
            self.insert_line(self.lines.len(), Line::new(Vec::new()));
        }
        self.insert_line(self.lines.len(), line);
        Ok(())
    }

    /// The one line that holds a parameter.
    pub(super) fn single(&self, section: &str, name: &str) -> Result<Entry<'_>, EditError> {
        self.heading(section)?;
        let found: Vec<Entry<'_>> = self.entries(section).filter(|entry| entry.name == name).collect();
        match found[..] {
            [entry] => Ok(entry),
            [] => Err(EditError::UnknownParameter {
                section: section.to_owned(),
                name: name.to_owned(),
                suggestion: self
                    .entries(section)
                    .find(|entry| entry.name.eq_ignore_ascii_case(name))
                    .map(|entry| entry.name.to_owned()),
            }),
            _ => Err(EditError::Repeated {
                section: section.to_owned(),
                name: name.to_owned(),
                lines: found.iter().map(|entry| entry.line).collect(),
            }),
        }
    }

    /// The index of the heading of a section; of the last one where it is repeated, as the last parameter is there.
    fn heading(&self, section: &str) -> Result<usize, EditError> {
        self.lines.iter().rposition(|line| line.section() == Some(section)).ok_or_else(|| {
            EditError::UnknownSection {
                section: section.to_owned(),
                suggestion: self
                    .sections()
                    .find(|other| other.eq_ignore_ascii_case(section))
                    .map(str::to_owned),
            }
        })
    }

    fn insert_line(&mut self, at: usize, mut line: Line) {
        let style = self.lines.first().map_or(LineEnd::Lf, Line::end);
        match at.checked_sub(1).map(|above| &mut self.lines[above]) {
            // A file without a last line end stays one.
            Some(above) if !above.end().is_whole() => {
                line.set_end(above.end());
                above.set_end(above.end().completed(style));
            }
            Some(above) => line.set_end(above.end()),
            None => line.set_end(LineEnd::Lf),
        }
        self.lines.insert(at, line);
    }

    fn remove_line(&mut self, at: usize) {
        let removed = self.lines.remove(at);
        if let (false, Some(above)) = (removed.end().is_whole(), at.checked_sub(1)) {
            self.lines[above].set_end(removed.end());
        }
    }
}

fn new_line(section: &str, name: &str, value: &str) -> Result<Line, EditError> {
    let bad_name = |reason| EditError::Name { section: section.to_owned(), name: name.to_owned(), reason };
    let bad_value = |reason| EditError::Value { section: section.to_owned(), name: name.to_owned(), reason };
    check_text(name).map_err(bad_name)?;
    check_text(value).map_err(bad_value)?;
    let line = Line::new(format!("{name}={value}").into_bytes());
    if line.parameter() == Some((name, value)) { Ok(line) } else { Err(bad_name(InvalidText::Misread)) }
}

/// Bytes that would end a line for somebody, or vanish in it, never reach a file.
fn check_text(text: &str) -> Result<(), InvalidText> {
    let is_separator = |character: &char| matches!(character, '\u{2028}' | '\u{2029}');
    if let Some(character) = text.chars().find(|character| character.is_control() || is_separator(character))
    {
        return Err(InvalidText::Control(character));
    }
    if text.starts_with(' ') || text.ends_with(' ') {
        return Err(InvalidText::OuterBlank);
    }
    Ok(())
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or(String::new(), |name| format!("; did you mean \"{name}\"?"))
}
