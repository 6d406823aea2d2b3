//! Seeds that failed once. They run first.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

const KEPT: &str = include_str!("seeds.txt");

/// In the order in which they failed.
pub fn seeds() -> Vec<u64> {
    seeds_in(KEPT).collect()
}

fn seeds_in(text: &str) -> impl Iterator<Item = u64> {
    text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok())
}

/// Writes a failed seed down, unless it stands there. What became of that, in words.
pub fn keep(path: &Path, seed: u64, rule: &str) -> String {
    let line = format!("{seed} {rule}");
    match append(path, seed, &line) {
        Ok(true) => format!("it runs first from now on: joined {} as \"{line}\"", path.display()),
        Ok(false) => format!("it stands in {} already", path.display()),
        Err(error) => {
            let path = path.display();
            format!("could not write {path} ({error}); to run it first from now on, add this line: {line}")
        }
    }
}

fn append(path: &Path, seed: u64, line: &str) -> io::Result<bool> {
    // As it is now: the text that was built in may be older.
    if seeds_in(&std::fs::read_to_string(path)?).any(|other| other == seed) {
        return Ok(false);
    }
    let mut file = File::options().append(true).open(path)?;
    writeln!(file, "{line}")?;
    Ok(true)
}
