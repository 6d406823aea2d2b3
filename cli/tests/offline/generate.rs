//! `instance generate`: streams, what others read of it, and logs that are not there.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use instance_iris::messages_log::{Timestamp, parse};
use serde_json::Value;

use crate::run::{instance, root};

/// In milliseconds: a stream may go on over midnight.
const DAY: u64 = 86_400_000;

/// Milliseconds of the day of each entry.
fn stamps(log: &str) -> Vec<u64> {
    let of = |at: Timestamp| {
        let minutes = u64::from(at.hour()) * 60 + u64::from(at.minute());
        (minutes * 60 + u64::from(at.second())) * 1000 + u64::from(at.millisecond())
    };
    parse(log.as_bytes()).iter().map(|entry| of(entry.header.as_ref().unwrap().timestamp)).collect()
}

#[test]
fn a_stream_goes_at_its_rate_and_its_stamps_say_so() {
    let began = Instant::now();
    let ran =
        instance(&[&"generate", &"--rate", &"50", &"--count", &"40", &"--output", &"raw", &"--seed", &"3"]);
    let took = began.elapsed();
    let stamps = stamps(&ran.exits(0).stdout);
    assert_eq!(stamps.len(), 40);
    assert!(stamps.windows(2).all(|pair| (pair[1] + DAY - pair[0]) % DAY == 20), "{stamps:?}");
    // Number 40 is due after 39 fiftieths of a second. A slow machine takes longer.
    assert!(took >= Duration::from_millis(780), "{took:?}");
}

#[test]
fn a_stream_for_a_time_ends_by_itself_with_no_more_than_were_due() {
    let began = Instant::now();
    let ran =
        instance(&[&"generate", &"--rate", &"20", &"--for", &"1500ms", &"--output", &"raw", &"--seed", &"3"]);
    let took = began.elapsed();
    let stamps = stamps(&ran.exits(0).stdout);
    // The first at once, then one each 50 ms; a slow machine is late with some, and sends none after the time.
    assert!((1..=30).contains(&stamps.len()), "{}", stamps.len());
    assert!(stamps.windows(2).all(|pair| (pair[1] + DAY - pair[0]) % DAY == 50), "{stamps:?}");
    assert!(took >= Duration::from_millis(1500), "{took:?}");

    for (flag, value) in [("--rate", "0"), ("--rate", "fast"), ("--for", "soon")] {
        let refused = instance(&[&"generate", &flag, &value]).exits(2);
        assert!(refused.stderr.contains(flag) && refused.stdout.is_empty(), "{refused:?}");
    }
}

/// What `tests/clients/read_log.py` makes of a log.
fn read_by_others(log: &str) -> Vec<Value> {
    let mut python = Command::new("python3")
        .arg(root().join("tests/clients/read_log.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    input.write_all(log.as_bytes()).unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_thousand_invented_entries_read_back_with_one_regular_expression_in_another_language() {
    let batch = |seed: &str, output: &str| {
        let words = ["generate", "--count", "100", "--seed", seed, "--output", output];
        let words: Vec<_> = words.iter().map(|word| word as _).collect();
        instance(&words).exits(0).stdout
    };
    let mut read = 0;
    for seed in 1..=10 {
        let seed = seed.to_string();
        let entries = read_by_others(&batch(&seed, "raw"));
        let messages = batch(&seed, "json");
        let messages: Vec<Value> = messages.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((entries.len(), messages.len()), (100, 100), "seed {seed}");
        for (entry, message) in entries.iter().zip(&messages) {
            for field in ["timestamp", "process_id", "severity", "category"] {
                assert_eq!(entry[field], message[field], "seed {seed}: {field} of {message}");
            }
            assert_eq!(entry["text"], message["message_text"], "seed {seed}");
        }
        read += entries.len();
    }
    assert_eq!(read, 1_000);
}

#[test]
fn a_log_to_learn_from_that_is_not_there_is_warned_of_and_the_templates_answer() {
    let words: [&dyn AsRef<std::ffi::OsStr>; 7] =
        [&"generate", &"--learn", &"/nowhere/messages.log", &"--count", &"3", &"--seed", &"5"];
    let ran = instance(&words).exits(0);
    assert!(ran.stderr.contains("warning: could not learn from \"/nowhere/messages.log\""), "{ran:?}");
    let without = instance(&[&"generate", &"--count", &"3", &"--seed", &"5"]).exits(0);
    assert_eq!(ran.stdout, without.stdout);
    assert_eq!(ran.stdout.lines().count(), 3);
}
