//! Leaving a test out, aloud. Rust's test harness knows no "skipped" at run time, calls such a test passed, and swallows what
//! it prints; so this goes past the harness.

use std::{
    env,
    fmt::Display,
    fs::OpenOptions,
    io::{Write as _, stderr},
    thread,
};

/// Names the file that `cargo xtask test` reads when all is over.
const VARIABLE: &str = "INSTANCE_SKIPPED";

/// Says that the test that calls this proves nothing here, or not all that it could, and why: one line
/// `skipped: <package> <test>: <why>` on the process's own stderr, and the same in the list that `cargo xtask test` prints at
/// its end. The test then returns.
///
/// # Panics
/// When the list cannot be written: then a skipped test would count as passed.
pub fn skipped(why: impl Display) {
    let package = env::var("CARGO_PKG_NAME").unwrap_or_default();
    let thread = thread::current();
    // The harness names the thread of a test after it.
    let test = thread.name().unwrap_or("a test");
    let line = format!("skipped: {package} {test}: {why}\n").replace("  ", " ");
    // `eprint!` would be kept back by the harness.
    let _ = stderr().write_all(line.as_bytes());
    if let Some(list) = env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        let file = OpenOptions::new().create(true).append(true).open(&list);
        // One write, so that tests side by side do not part each other's lines.
        file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap_or_else(|error| {
            panic!("could not note in \"{}\" that this is skipped: {error}", list.display())
        });
    }
}
