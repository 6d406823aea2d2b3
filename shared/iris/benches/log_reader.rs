//! How fast the log reader is, beside a bare splitter of lines that does nothing else.
//!
//! `cargo bench -p instance-iris` prints throughput of each, and at the end their ratio in one run.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput};
use instance_iris::messages_log::{NewEntry, Options, Reader, Severity, Timestamp, write_entry};

const LOG_BYTES: usize = 8 << 20;
/// As a tailer or `log parse` reads a file.
const CHUNK: usize = 1 << 20;

const TEXTS: [(&str, &str); 6] = [
    ("Utility.Event", "[SYSTEM MONITOR] CPUusage Warning: CPUusage = 79 (Warnvalue is 75)."),
    ("Generic.Event", "Allocated 504MB shared memory using Huge Pages"),
    ("Database.MountedRW", "Mounted database /srv/iris/mgr/user/ (SFN 7) read-write."),
    ("WriteDaemon.Started", "Write daemon started."),
    (
        "Generic.Event",
        "CP: Pausing users because the Write Daemon has not shown\n    signs of activity for 301 seconds.",
    ),
    (
        "Utility.Event",
        "LMF Error: No valid license key. No valid local file found and LicenseID not defined.",
    ),
];

/// A log of the usual mix: one entry in six has a continuation line.
fn generate() -> Vec<u8> {
    let mut log = Vec::with_capacity(LOG_BYTES + 256);
    let mut number: u64 = 0;
    while log.len() < LOG_BYTES {
        let part =
            |shift: u32, limit: u64| u8::try_from((number >> shift) % limit).expect("limits fit a byte");
        let time = (part(16, 24), part(10, 60), part(4, 60), u16::from(part(0, 250)) * 4);
        let (category, text) = TEXTS[usize::from(part(0, 6))];
        let entry = NewEntry {
            timestamp: Timestamp::new((2026, 1, 2), time).expect("a real moment"),
            process_id: 10_000 + number % 90_000,
            severity: Severity::from_digit(part(1, 4)).expect("four severities"),
            category: Some(category),
            text,
            repeated: 0,
        };
        write_entry(&mut log, &entry).expect("the texts are plain");
        number += 1;
    }
    log
}

fn split_lines(log: &[u8]) -> usize {
    let mut from = 0;
    let mut sum = 0;
    for line_end in memchr::memchr_iter(b'\n', log) {
        sum += black_box(&log[from..line_end]).len();
        from = line_end + 1;
    }
    sum
}

/// Borrowed entries: what counts, filters and prints.
fn read(log: &[u8]) -> u64 {
    let mut reader = Reader::new(Options::whole());
    let mut sum = 0;
    for chunk in log.chunks(CHUNK) {
        reader.read(chunk, |entry| sum += black_box(entry).header.map_or(0, |header| header.process_id));
    }
    sum + reader.finish().map_or(0, |entry| entry.offset)
}

/// Entries of their own: what a service keeps.
fn push(log: &[u8]) -> usize {
    let mut reader = Reader::new(Options::whole());
    log.chunks(CHUNK).map(|chunk| black_box(reader.push(chunk)).len()).sum()
}

fn ratio(log: &[u8]) {
    let median = |work: &dyn Fn()| {
        let mut times: Vec<Duration> = (0..31)
            .map(|_| {
                let start = Instant::now();
                work();
                start.elapsed()
            })
            .collect();
        times.sort();
        times[times.len() / 2].as_secs_f64()
    };
    let split = median(&|| _ = black_box(split_lines(log)));
    for (name, seconds) in [
        ("read (borrowed entries)", median(&|| _ = black_box(read(log)))),
        ("push (entries of their own)", median(&|| _ = black_box(push(log)))),
    ] {
        let rate = |seconds: f64| f64::from(u32::try_from(log.len()).expect("8 MB")) / seconds / 1e9;
        println!(
            "{name}: {:.2} GB/s, bare line splitter {:.2} GB/s, ratio {:.1}",
            rate(seconds),
            rate(split),
            seconds / split
        );
    }
}

fn main() {
    let log = generate();
    let mut criterion = Criterion::default().configure_from_args().measurement_time(Duration::from_secs(2));
    let mut group = criterion.benchmark_group("messages_log");
    group.throughput(Throughput::Bytes(log.len() as u64)).sample_size(20);
    group.bench_function(BenchmarkId::from_parameter("memchr line splitter"), |bencher| {
        bencher.iter(|| split_lines(black_box(&log)));
    });
    group.bench_function(BenchmarkId::from_parameter("read"), |bencher| {
        bencher.iter(|| read(black_box(&log)));
    });
    group.bench_function(BenchmarkId::from_parameter("push"), |bencher| {
        bencher.iter(|| push(black_box(&log)));
    });
    group.finish();
    criterion.final_summary();
    ratio(&log);
}
