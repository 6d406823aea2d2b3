//! Tests on real file systems that are full, read-only or fail; promise tests; crash points: each agent has some.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::{Source, files};

/// The agents, and the loop that they share.
const ROOMS: [&str; 4] =
    ["services/config-agent", "services/os-agent", "services/restart-agent", "shared/agent"];
/// Services that have crash points of their own.
const CRASHING: [&str; 5] = [
    "services/config-agent",
    "services/os-agent",
    "services/restart-agent",
    "shared/agent",
    "services/router",
];

/// Prints the count of each; returns what is missing.
pub fn count(root: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    println!("{:42} {:>16} {:>8} {:>12}", "proofs", "file-fault tests", "promises", "crash points");
    for room in CRASHING {
        let sources = files(root, room, ".rs")?;
        let disks = file_faults(&sources);
        let promises: usize = sources.iter().map(|file| promises_in(&file.text)).sum();
        let points = crash_points(&sources);
        println!("{room:42} {:16} {promises:8} {:12}", disks.len(), points.len());
        for test in &disks {
            println!("    {test}");
        }
        if ROOMS.contains(&room) && disks.is_empty() {
            faults.push(format!("{room}: no test on a real file system that is full, read-only or fails"));
        }
        if room.starts_with("services/") && ROOMS.contains(&room) && promises == 0 {
            faults.push(format!("{room}: no promise test"));
        }
        if points.is_empty() {
            faults.push(format!("{room}: no crash point"));
        }
    }
    Ok(faults)
}

/// The tests of files that mount a file system of their own.
fn file_faults(sources: &[Source]) -> Vec<String> {
    let mounts = |file: &&Source| {
        let text = &file.text;
        text.contains("#[test]") && text.contains("Disk::mount(")
    };
    sources.iter().filter(mounts).flat_map(|file| tests(&file.text)).collect()
}

/// Calls of the promise tests of testkit, whole or as far as a restart can keep them.
fn promises_in(text: &str) -> usize {
    let calls = ["keep_promises(||", "twice_is_once_and_a_lost_answer_is_found(&"];
    calls.iter().map(|call| text.matches(call).count()).sum()
}

/// The names of the tests in a file.
fn tests(text: &str) -> Vec<String> {
    let after = text.split("#[test]").skip(1);
    after.filter_map(|rest| Some(rest.split_once("fn ")?.1.split_once('(')?.0.to_owned())).collect()
}

fn crash_points(sources: &[Source]) -> BTreeSet<String> {
    let calls = sources.iter().flat_map(|file| file.text.split("crash_point(\"").skip(1));
    calls.filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests_of_the_count {
    use super::*;

    #[test]
    fn tests_that_mount_are_counted() {
        let source = |text: &str| Source { path: "x.rs".to_owned(), text: text.to_owned() };
        let mounting = source("let disk = SmallDisk::mount(at);\n#[test]\nfn a() {}\n#[test]\nfn b() {}\n");
        let other = source("#[test]\nfn c() {}\n");
        assert_eq!(file_faults(&[mounting, other]), ["a", "b"]);
        let points =
            crash_points(&[source("crash_point(\"x.a\"); crash_point(\"x.b\"); crash_point(\"x.a\");")]);
        assert_eq!(points.len(), 2);
    }
}
