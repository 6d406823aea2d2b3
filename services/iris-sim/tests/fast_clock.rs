//! Time that runs faster than the clock: stamps keep pace with the waits, and rise over restarts.

#![expect(clippy::unwrap_used, reason = "a test whose log cannot be read has failed")]

mod support;

use std::time::Instant;

use instance_iris::messages_log::parse;
use support::Bench;

/// Milliseconds of every stamped entry, in the order in which they were written.
fn stamps(log: &str) -> Vec<i64> {
    let entries = parse(log.as_bytes());
    entries
        .iter()
        .filter_map(|entry| Some(milliseconds(&entry.header.as_ref()?.timestamp.to_string())))
        .collect()
}

/// Of a stamp like `02/03/26-04:05:06:789`.
fn milliseconds(stamp: &str) -> i64 {
    let (seconds, rest) = stamp.split_at(17);
    let civil = jiff::civil::DateTime::strptime("%m/%d/%y-%H:%M:%S", seconds).unwrap();
    let whole = civil.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_millisecond();
    whole + rest[1..].parse::<i64>().unwrap()
}

#[test]
fn the_stamps_of_a_fast_clock_run_faster_than_the_clock_and_rise_over_restarts_and_deaths() {
    let bench = Bench::with(&["--fast-clock"]);
    let began = Instant::now();
    bench.start();
    bench.stop();
    bench.start();
    bench.iris_ok(&["force", "PROD"]);
    bench.start();
    bench.stop();
    let real = i64::try_from(began.elapsed().as_millis()).unwrap();
    let log = bench.log();
    let stamps = stamps(&log);
    assert!(stamps.windows(2).all(|pair| pair[0] <= pair[1]), "times only rise\n{log}");
    let told = stamps[stamps.len() - 1] - stamps[0];
    // A hundred times faster; the first start's way to its first entry is not in the log.
    assert!(told > real * 10, "{told} ms in the log, {real} ms on the clock\n{log}");
}
