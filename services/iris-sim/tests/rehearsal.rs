//! A life without processes: what comes of a story is the same each time, and is what a real life writes.

mod support;

use std::fs;

use instance_iris::messages_log::{Entry, parse};
use support::{Bench, text};

const STORY: &str = r#"
begins_at = "2026-02-03T04:05:06+00:00[UTC]"
seconds = 3600

[[events]]
at = 0
do = "start"

[[events]]
at = 300
do = "load"
dirty_mb_per_pass = 200
journal_mb_per_pass = 300
database_mb_per_pass = 4

[[events]]
at = 900
do = "disk"
full = true

[[events]]
at = 1200
do = "disk"
full = false

[[events]]
at = 1300
do = "connect"
sessions = 70

[[events]]
at = 2000
do = "kill_daemon"
daemon = "WRTDMN"

[[events]]
at = 2100
do = "stop"

[[events]]
at = 2300
do = "start"
"#;

#[expect(clippy::unwrap_used, reason = "it is the body of the tests below")]
fn rehearsed(bench: &Bench, out: &str, words: &[&str]) -> Vec<u8> {
    let (story, out) = (bench.path("story.toml"), bench.path(out));
    fs::write(&story, STORY).unwrap();
    let mut all = vec!["--story", story.to_str().unwrap(), "--out", out.to_str().unwrap()];
    all.extend(words);
    bench.sim("rehearse", &all);
    fs::read(out.join("messages.log")).unwrap()
}

#[test]
fn the_same_story_and_seed_give_the_same_log_byte_for_byte() {
    let bench = Bench::new();
    let first = rehearsed(&bench, "first", &[]);
    assert!(first == rehearsed(&bench, "second", &[]), "byte for byte");
    assert!(first == rehearsed(&bench, "first", &[]), "a log that is there is replaced");
    assert!(first != rehearsed(&bench, "other", &["--seed", "8"]), "another seed is another life");
    assert_eq!(bench.state().0, "down", "nothing was started");
    assert_eq!(bench.log(), "");
}

#[test]
fn a_story_is_told_in_order_and_every_message_has_its_cause() {
    let bench = Bench::new();
    let log = rehearsed(&bench, "out", &[]);
    let entries = parse(&log);
    let mut stamps: Vec<_> =
        entries.iter().filter_map(|entry| Some(entry.header.as_ref()?.timestamp.to_string())).collect();
    let told = stamps.clone();
    stamps.sort();
    assert_eq!(told, stamps, "times only rise");
    let starting: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry.message_text().starts_with("Instance 'PROD' starting "))
        .collect();
    assert_eq!(starting.len(), 2);
    for entry in starting {
        // The story is in UTC: `02/03/26-04:05:07:012` in the header, `02/03/2026 04:05:07.012 UTC` in the text.
        let stamp = entry.header.as_ref().unwrap().timestamp.to_string();
        let (clock, ms) = stamp[9..].rsplit_once(':').unwrap();
        assert!(
            entry.message_text().ends_with(&format!(" {clock}.{ms} UTC")),
            "{stamp}: {}",
            entry.message_text()
        );
    }
    let log = text(&log);
    let mut rest = log.as_str();
    for line in [
        "Enabling logons",
        "Insufficient global buffers - WRTDMN in panic mode",
        "Expansion completed for database",
        "Journaling switched to: ",
        "Write to journal file has failed",
        "License limit exceeded 6 times since instance start.",
        "Daemon WRTDMN (pid ",
        "WDSTOP set, system being forced",
        "*** Recovery started at ",
        "Previous system shutdown was abnormal",
        "Enabling logons",
    ] {
        let at = rest.find(line).unwrap_or_else(|| panic!("no \"{line}\" in the rest of\n{log}"));
        rest = &rest[at + line.len()..];
    }
}
