//! The result of a command, on stdout: lines and tables for people, documents for programs.

use std::{
    fmt::Display,
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::Serialize;

use crate::exit::{Exit, Stop};

/// A line of the result.
pub fn print(line: impl Display) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}

/// A document of the result, on one line.
pub fn print_json(document: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec(document)?;
    text.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&text)?;
    Ok(stdout.flush()?)
}

/// A file that was not there before: what somebody keeps under that name is never overwritten.
pub fn new_file(path: &Path, text: &str) -> Result<()> {
    let mut file = match File::create_new(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let text = format!("\"{}\" is there already", path.display());
            return Err(Stop::new(Exit::Refused, text).next("take another name").into());
        }
        Err(error) => return Err(error).with_context(|| format!("could not make \"{}\"", path.display())),
    };
    file.write_all(text.as_bytes()).with_context(|| format!("could not write \"{}\"", path.display()))
}

/// An instant for people: to the second, UTC.
pub fn when(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Rows below one another, columns aligned, for people.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header.map(str::to_uppercase));
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Text from elsewhere, so that no control character in it reaches the terminal. Line ends and tabs stay.
pub fn printable(text: &str) -> String {
    let harmless = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    if text.chars().all(harmless) {
        return text.to_owned();
    }
    text.chars().map(|c| if harmless(c) { c.to_string() } else { c.escape_default().to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_log_can_command_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\r\nc\t\u{9b}1m"), "a\\u{1b}[2Jb\\r\nc\t\\u{9b}1m");
    }

    #[test]
    fn tables_align_and_end_without_blanks() {
        let rows = [["config".to_owned(), "success".to_owned()], ["r".to_owned(), "x".to_owned()]];
        assert_eq!(table(["step", "status"], rows), "STEP    STATUS\nconfig  success\nr       x");
    }
}
