//! Rooms that decide and do nothing: what they know they are told, so the same inputs give the same answers, and a simulation can
//! run ten thousand of them without a disk.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::table::Room;

/// Rooms whose code, tests aside, names none of [`WORLD`].
const PURE: &[&str] = &["contract", "iris", "planner", "engine", "diagnosis", "invent", "scenario"];

/// What has to do with files, processes, the network or the clock, as it is written after `std::` or by itself.
const WORLD: &[&str] = &["fs", "net", "process", "thread", "env"];

/// Each line of a pure room that reaches for the world.
pub fn faults(room: &Room, folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    if PURE.contains(&room.name) {
        look(&folder.join("src"), room, &mut found)?;
    }
    Ok(found)
}

fn look(folder: &Path, room: &Room, found: &mut Vec<String>) -> Result<()> {
    let listing = || format!("could not list \"{}\"", folder.display());
    for entry in fs::read_dir(folder).with_context(listing)? {
        let path = entry.with_context(listing)?.path();
        if path.is_dir() {
            look(&path, room, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("could not read \"{}\"", path.display()))?;
            let named = named(&text).map(|(line, word)| {
                format!(
                    "{}: {}:{line}: names {word}; a pure room is told what it knows",
                    room.name,
                    path.display()
                )
            });
            found.extend(named);
        }
    }
    Ok(())
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        name == "tests" || name == "tests.rs" || name.ends_with("_tests.rs")
    })
}

/// Lines, from 1 on, up to the tests at the end of a file, with what they name.
fn named(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    let mut in_list = false;
    code.enumerate().filter_map(move |(number, line)| {
        let line = line.split("//").next().unwrap_or_default();
        in_list |= line.contains("use std::{");
        let found = forbidden(line, in_list);
        in_list &= !line.contains(';');
        found.map(|word| (number + 1, word))
    })
}

/// `std::fs::read`, or a name in the list of a `use std::{fs, io};`, on however many lines.
fn forbidden(line: &str, in_list: bool) -> Option<&str> {
    let names = |text: &'_ str| text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let after_std = line.match_indices("std::").map(|(at, std)| &line[at + std.len()..]);
    let mut single = after_std.map(|rest| &rest[..names(rest)]);
    let mut listed = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let is_world = |word: &&str| WORLD.contains(word);
    let of_tokio = line.contains("tokio::").then_some("tokio");
    single.find(is_world).or_else(|| if in_list { listed.find(is_world) } else { None }).or(of_tokio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_for_the_world_is_named_with_its_line() {
        for (text, line) in [
            ("use std::fs;\n", Some(1)),
            ("use std::{collections::BTreeMap, fs};\n", Some(1)),
            ("use std::{\n    fs,\n    io,\n};\n", Some(2)),
            ("fn f() {\n    let x = std::process::id();\n}\n", Some(2)),
            ("use tokio::sync::mpsc;\n", Some(1)),
            ("let path = std::env::var(\"HOME\");\n", Some(1)),
            ("use std::collections::BTreeMap;\n", None),
            ("// std::fs is for others\n", None),
            ("let process = self.process;\n", None),
            ("    process, thread,\n", None),
            ("use std::{\n    io,\n    net, path,\n};\nlet x = (fs, 1);\n", Some(3)),
            ("#[cfg(test)]\nuse std::fs;\n", None),
        ] {
            assert_eq!(named(text).next().map(|(number, _)| number), line, "{text}");
        }
    }
}
