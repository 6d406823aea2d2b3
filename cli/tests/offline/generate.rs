//! `instance generate --rate` and `--for`: streams.

use std::time::{Duration, Instant};

use instance_iris::messages_log::{Timestamp, parse};

use crate::run::instance;

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
