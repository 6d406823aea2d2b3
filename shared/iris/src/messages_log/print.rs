use super::{
    Options, Severity, Timestamp,
    entry::split_repeat,
    header::{LineStart, category, is_damaged},
};

/// An entry that is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewEntry<'a> {
    /// Must carry a year.
    pub timestamp: Timestamp,
    /// Process id of the writer.
    pub process_id: u64,
    /// How serious it is.
    pub severity: Severity,
    /// Without brackets; see [`is_category`].
    pub category: Option<&'a str>,
    /// First line and continuation lines, joined by `\n`, without a line end at the end.
    pub text: &'a str,
    /// How often the message came again; 0 writes nothing.
    pub repeated: u32,
}

/// Why an entry cannot be written so that it reads back as the same entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// IRIS always writes the year.
    #[error("could not write log entry: timestamp \"{0}\" has no year")]
    NoYear(Timestamp),
    /// See [`is_category`].
    #[error("could not write log entry: category \"{0}\" is not letters, digits, dots and underscores")]
    Category(String),
    /// Line ends are `\n` alone.
    #[error("could not write log entry: text holds a carriage return")]
    CarriageReturn,
    /// A reader gives no more than [`Options::DEFAULT_TEXT_LIMIT`].
    #[error("could not write log entry: text has {0} bytes, more than 65536")]
    TooLong(usize),
    /// Blank lines at the end may belong to a recovery banner below.
    #[error("could not write log entry: text ends in a line end")]
    TrailingLineEnd,
    /// Without a category, a name in brackets at the start of the text is one.
    #[error("could not write log entry: text begins with what reads as category \"{0}\"")]
    LooksLikeCategory(String),
    /// `dRO] ` or `dRW] ` at the start marks a damaged line.
    #[error("could not write log entry: text begins like a damaged repeat line")]
    LooksDamaged,
    /// `...(repeated N times)` at the end is the counter, not text.
    #[error("could not write log entry: text ends like a repeat counter")]
    LooksRepeated,
    /// A continuation line that reads as a new entry.
    #[error("could not write log entry: line {0} of the text reads as the start of another entry")]
    LooksLikeEntry(usize),
    /// A continuation line that reads as a process dump, which a reader cuts off.
    #[error("could not write log entry: line {0} of the text reads as a process dump")]
    LooksLikeDump(usize),
}

/// Whether a name can be a category: a letter, then letters, digits, dots and underscores, at most 128 in all.
pub fn is_category(name: &str) -> bool {
    let bracketed = format!("[{name}]");
    category(bracketed.as_bytes()).is_some_and(|found| found.as_str() == name)
}

/// Appends an entry as IRIS writes it: `MM/DD/YY-HH:MM:SS:mmm (pid) S [Category] text` and a line end.
///
/// Refuses what would not read back as the same values; nothing is appended then.
pub fn write_entry(out: &mut Vec<u8>, entry: &NewEntry<'_>) -> Result<(), WriteError> {
    if entry.timestamp.year().is_none() {
        return Err(WriteError::NoYear(entry.timestamp));
    }
    if let Some(name) = entry.category.filter(|name| !is_category(name)) {
        return Err(WriteError::Category(name.to_owned()));
    }
    check_text(entry)?;

    out.reserve(64 + entry.category.map_or(0, str::len) + entry.text.len());
    entry.timestamp.write_to(out);
    out.extend_from_slice(b" (");
    push_number(out, entry.process_id);
    out.extend_from_slice(&[b')', b' ', b'0' + entry.severity.as_u8(), b' ']);
    if let Some(name) = entry.category {
        out.push(b'[');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"] ");
    }
    out.extend_from_slice(entry.text.as_bytes());
    if entry.repeated > 0 {
        out.extend_from_slice(b"...(repeated ");
        push_number(out, u64::from(entry.repeated));
        out.extend_from_slice(b" times)");
    }
    out.push(b'\n');
    Ok(())
}

fn check_text(entry: &NewEntry<'_>) -> Result<(), WriteError> {
    let text = entry.text.as_bytes();
    // The line end counts, and so does the counter.
    let length = text.len() + if entry.repeated > 0 { 40 } else { 1 };
    if length > Options::DEFAULT_TEXT_LIMIT {
        return Err(WriteError::TooLong(text.len()));
    }
    if memchr::memchr(b'\r', text).is_some() {
        return Err(WriteError::CarriageReturn);
    }
    if text.ends_with(b"\n") {
        return Err(WriteError::TrailingLineEnd);
    }
    if let Some(name) = category(text).filter(|_| entry.category.is_none()) {
        return Err(WriteError::LooksLikeCategory(name.as_str().to_owned()));
    }
    if is_damaged(text) {
        return Err(WriteError::LooksDamaged);
    }
    if split_repeat(text).is_some() {
        return Err(WriteError::LooksRepeated);
    }
    check_continuations(text)
}

fn check_continuations(text: &[u8]) -> Result<(), WriteError> {
    let mut number = 1;
    let mut rest = text;
    while let Some(line_end) = memchr::memchr(b'\n', rest) {
        number += 1;
        rest = &rest[line_end + 1..];
        let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        let mut ended = line.to_vec();
        ended.push(b'\n');
        if matches!(LineStart::of(&ended), LineStart::Stamped(_) | LineStart::Banner) {
            return Err(WriteError::LooksLikeEntry(number));
        }
        if memchr::memmem::find(line, b"IRISSTAT").is_some() {
            return Err(WriteError::LooksLikeDump(number));
        }
    }
    Ok(())
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
