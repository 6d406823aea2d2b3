use std::{fmt, ops::Range, sync::Arc};

/// One line with its line end, and what it was read as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    raw: Raw,
    kind: Kind,
}

/// The bytes of a line. Nearly every line is text, and is looked at many times: that it is text is found out once.
/// Nearly every line is one of a file that was read whole: it is a part of that text, so that reading a file and copying
/// a document cost nothing for a line.
#[derive(Clone)]
enum Raw {
    OfFile { file: Arc<str>, range: Range<usize> },
    Text(String),
    Bytes(Vec<u8>),
}

impl Raw {
    fn new(raw: Vec<u8>) -> Self {
        String::from_utf8(raw).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Text)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            text => text.text().expect("all others are text").as_bytes(),
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::OfFile { file, range } => Some(&file[range.clone()]),
            Self::Text(text) => Some(text),
            Self::Bytes(_) => None,
        }
    }
}

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Raw {}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.bytes().escape_ascii())
    }
}

/// What a line is. Ranges lie in the line's bytes and hold UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Blank,
    Comment,
    /// `[Name]`.
    Section {
        name: Range<usize>,
    },
    /// `name=value`, split at the first `=`. Blanks around name and value lie outside the ranges.
    Parameter {
        name: Range<usize>,
        value: Range<usize>,
    },
    /// Neither; kept as it is.
    Unreadable,
}

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnd {
    Missing,
    /// A CR LF that was cut in the middle; only the last line of a file can end so.
    Cr,
    Lf,
    CrLf,
}

impl LineEnd {
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Self::Missing => b"",
            Self::Cr => b"\r",
            Self::Lf => b"\n",
            Self::CrLf => b"\r\n",
        }
    }

    /// Whether another line can follow.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Lf | Self::CrLf)
    }

    /// The end that lets another line follow, in a file whose lines end in `style`.
    pub fn completed(self, style: Self) -> Self {
        match (self, style) {
            (Self::Missing, Self::Missing) => Self::Lf,
            (Self::Missing, style) => style,
            (Self::Cr, _) => Self::CrLf,
            (whole, _) => whole,
        }
    }
}

impl Line {
    /// Reads a line that lies outside a `/* */` block.
    pub fn new(raw: Vec<u8>) -> Self {
        let kind = Kind::of(&raw);
        Self { raw: Raw::new(raw), kind }
    }

    /// A part of a file that was read whole; `in_comment` when it lies inside a `/* */` block.
    pub fn of_file(file: &Arc<str>, range: Range<usize>, in_comment: bool) -> Self {
        let kind = if in_comment { Kind::Comment } else { Kind::of(&file.as_bytes()[range.clone()]) };
        Self { raw: Raw::OfFile { file: Arc::clone(file), range }, kind }
    }

    /// A line inside a `/* */` block.
    pub fn commented(raw: Vec<u8>) -> Self {
        Self { raw: Raw::new(raw), kind: Kind::Comment }
    }

    /// The line as somebody who reads its file would have it.
    pub fn as_read(&self) -> Self {
        match (&self.raw, &self.kind) {
            (Raw::OfFile { .. }, _) | (_, Kind::Comment) => self.clone(),
            _ => Self::new(self.raw().to_vec()),
        }
    }

    pub fn raw(&self) -> &[u8] {
        self.raw.bytes()
    }

    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    pub fn section(&self) -> Option<&str> {
        match &self.kind {
            Kind::Section { name } => Some(self.str_at(name)),
            _ => None,
        }
    }

    /// Name and value of a parameter line.
    pub fn parameter(&self) -> Option<(&str, &str)> {
        match &self.kind {
            Kind::Parameter { name, value } => Some((self.str_at(name), self.str_at(value))),
            _ => None,
        }
    }

    pub fn end(&self) -> LineEnd {
        end_of(self.raw())
    }

    /// The line without its line end.
    pub fn content(&self) -> &[u8] {
        let raw = self.raw();
        &raw[..raw.len() - self.end().bytes().len()]
    }

    /// The line without its line end and without blanks around it.
    pub fn text(&self) -> &[u8] {
        let content = self.content();
        &content[trimmed(content, 0..content.len())]
    }

    /// Gives the line another end; what it holds stays.
    pub fn set_end(&mut self, end: LineEnd) {
        let raw = [self.content(), end.bytes()].concat();
        *self = if self.kind == Kind::Comment { Self::commented(raw) } else { Self::new(raw) };
    }

    /// The same parameter line with another value, or `None` if it would no longer read as that parameter.
    pub fn with_value(&self, value: &str) -> Option<Self> {
        let Kind::Parameter { value: range, .. } = &self.kind else { return None };
        let old = self.raw();
        let raw = [&old[..range.start], value.as_bytes(), &old[range.end..]].concat();
        let mut line = Self::new(raw);
        let same = line.parameter() == Some((self.parameter()?.0, value));
        if let (Kind::Parameter { value: new, .. }, true) = (&mut line.kind, value.is_empty()) {
            // An empty value has no place of its own among the blanks; it keeps the one it had.
            *new = range.start..range.start;
        }
        same.then_some(line)
    }

    fn str_at(&self, range: &Range<usize>) -> &str {
        let text = self.raw.text().expect("a line that is no text has neither a name nor a value");
        &text[range.clone()]
    }
}

impl Kind {
    fn of(raw: &[u8]) -> Self {
        let content = &raw[..raw.len() - end_of(raw).bytes().len()];
        let all = trimmed(content, 0..content.len());
        let text = &content[all.clone()];
        if text.is_empty() {
            return Self::Blank;
        }
        if [&b";"[..], b"#", b"//", b"/*"].iter().any(|mark| text.starts_with(mark)) {
            return Self::Comment;
        }
        if std::str::from_utf8(text).is_err() {
            return Self::Unreadable;
        }
        if let Some(name) = text.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) {
            // A value may look like a section, so brackets inside make it none.
            if !name.is_empty() && !name.iter().any(|byte| matches!(byte, b'[' | b']')) {
                return Self::Section { name: all.start + 1..all.end - 1 };
            }
        }
        match memchr::memchr(b'=', text).map(|at| all.start + at) {
            Some(equals) if equals > all.start => Self::Parameter {
                name: trimmed(content, all.start..equals),
                value: trimmed(content, equals + 1..content.len()),
            },
            _ => Self::Unreadable,
        }
    }
}

fn end_of(raw: &[u8]) -> LineEnd {
    if raw.ends_with(b"\r\n") {
        LineEnd::CrLf
    } else if raw.ends_with(b"\n") {
        LineEnd::Lf
    } else if raw.ends_with(b"\r") {
        LineEnd::Cr
    } else {
        LineEnd::Missing
    }
}

/// Leading and trailing blanks have no effect; inner ones count. All blanks of an empty range lie before it.
fn trimmed(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let part = &bytes[range.clone()];
    let start = part.iter().position(is_text).unwrap_or(part.len());
    let end = part.iter().rposition(is_text).map_or(start, |last| last + 1);
    range.start + start..range.start + end
}

#[cfg(test)]
mod tests {
    use super::Line;

    fn check(line: &str, expected: &str) {
        let line = Line::new(line.as_bytes().to_vec());
        let found = match (line.section(), line.parameter()) {
            (Some(name), _) => format!("section {name:?}"),
            (_, Some((name, value))) => format!("{name:?} = {value:?}"),
            _ => format!("{:?}", line.kind()),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn real_lines_with_traps() {
        check("[Map.%ALL]\n", r#"section "Map.%ALL""#);
        check("[Journal]    \r\n", r#"section "Journal""#);
        check("%Java Server=Java,53272,,\n", r#""%Java Server" = "Java,53272,,""#);
        check("BINARY=%Library.Binary(MAXLEN=1)", r#""BINARY" = "%Library.Binary(MAXLEN=1)""#);
        check(
            "Global_IRIS.Msg(\"Arial,Tahoma\")=ENSLIB\n",
            r#""Global_IRIS.Msg(\"Arial,Tahoma\")" = "ENSLIB""#,
        );
        check(
            "IdTrxFrom=~ `!@#$%^&*()_+-=[]\\{}|;':\",./<>?\n",
            r#""IdTrxFrom" = "~ `!@#$%^&*()_+-=[]\\{}|;':\",./<>?""#,
        );
        check(
            "C-ANSI=80^#,$C(27,91)_\";\"_x ; no comment\n",
            r#""C-ANSI" = "80^#,$C(27,91)_\";\"_x ; no comment""#,
        );
        check("  key =  a b  \n", r#""key" = "a b""#);
        check("wijdir=\r\n", r#""wijdir" = """#);
        check("#--CPF conversion=detail--\n", "Comment");
        check("  // x=1\n", "Comment");
        check(" \t\r\n", "Blank");
        check("=1\n", "Unreadable");
        check("words\n", "Unreadable");
        check("[a[b]\n", "Unreadable");
    }

    #[test]
    fn a_value_that_would_change_what_the_line_is_has_no_line() {
        let line = Line::new(b"[a=1\n".to_vec());
        assert_eq!(line.parameter(), Some(("[a", "1")));
        assert_eq!(line.with_value("]"), None);
        assert!(line.with_value("2").is_some());
    }
}
