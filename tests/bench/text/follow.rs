//! Following a growing log: what a look costs beside the new bytes, and whether a rotation loses or repeats anything.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use instance_generator::{StartAt, tail::Tail};

use crate::{
    measure::{Goal, Report},
    yardstick::pre_rendered,
};

/// How often entries are added.
const ADDITIONS: u32 = 400;
const LARGE: usize = 64 << 20;

pub fn measure(folder: &Path, report: &mut Report) {
    let small = additions(&folder.join("small"), 1 << 20);
    let large = additions(&folder.join("large"), LARGE);
    report.add("tail: 100 new entries in a log of 1 MB", small, "us", Goal::None);
    report.add("tail: the same in a log of 64 MB, of that", large / small, "", Goal::AtMost(1.5));
    let (lost, repeated) = rotations(&folder.join("rotated"));
    report.add("tail: entries lost over 20 rotations", lost, "", Goal::AtMost(0.0));
    report.add("tail: entries repeated over 20 rotations", repeated, "", Goal::AtMost(0.0));
}

/// The median cost of taking in 100 new entries, in microseconds, when the log has this size already.
fn additions(folder: &Path, size: usize) -> f64 {
    fs::create_dir(folder).unwrap();
    let log = folder.join("messages.log");
    pre_rendered(&mut File::create(&log).unwrap(), size).unwrap();
    let mut tail = Tail::new(&log, None, Duration::from_millis(1), StartAt::Beginning);
    drain(&mut tail);
    let mut times: Vec<Duration> = (0..ADDITIONS)
        .map(|number| {
            append(&log, number * 100..number * 100 + 100);
            let began = Instant::now();
            let mut found = 0;
            while found < 99 {
                found += tail.look(began).unwrap().parts.len();
            }
            began.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// Numbered entries over many rotations; how many were never seen, and how often one was seen again.
fn rotations(folder: &Path) -> (f64, f64) {
    fs::create_dir(folder).unwrap();
    let log = folder.join("messages.log");
    let mut tail = Tail::new(&log, None, Duration::from_millis(1), StartAt::Beginning);
    let mut seen: Vec<String> = Vec::new();
    let mut take = |tail: &mut Tail| {
        seen.extend(drain(tail).into_iter().filter(|text| text.starts_with("entry ")));
    };
    for rotation in 0..20 {
        append(&log, rotation * 1000..rotation * 1000 + 500);
        // Some are read before the log is moved away, some only afterwards.
        if rotation % 2 == 0 {
            take(&mut tail);
        }
        append(&log, rotation * 1000 + 500..rotation * 1000 + 1000);
        fs::rename(&log, folder.join(format!("messages.old_20261121_{rotation:03}"))).unwrap();
    }
    append(&log, 20_000..20_001);
    take(&mut tail);
    let all = seen.len();
    seen.sort();
    seen.dedup();
    ((20_001 - seen.len()) as f64, (all - seen.len()) as f64)
}

/// Everything that can be had now: the clock of the tail is set forward so that quiet times pass.
fn drain(tail: &mut Tail) -> Vec<String> {
    let mut now = Instant::now();
    let (mut texts, mut idle) = (Vec::new(), 0);
    while idle < 20 {
        let look = tail.look(now).unwrap();
        idle = if look.more || !look.parts.is_empty() { 0 } else { idle + 1 };
        texts.extend(look.parts.iter().map(|part| part.entry.message_text().into_owned()));
        now += Duration::from_millis(20);
    }
    texts
}

fn append(log: &Path, numbers: std::ops::Range<u32>) {
    let mut text = String::new();
    for number in numbers {
        let entry = format!("11/14/25-09:45:55:657 (50745) 1 [Utility.Event] entry {number}\n");
        text.push_str(&entry);
    }
    OpenOptions::new().append(true).create(true).open(log).unwrap().write_all(text.as_bytes()).unwrap();
}
