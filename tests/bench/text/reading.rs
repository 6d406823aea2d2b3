//! The log reader beside a bare splitter, on one thread and on two, and its memory.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    thread,
    time::Duration,
};

use instance_iris::messages_log::{EntryRef, Options, Reader, Severity, next_stamped_line};

use crate::{
    Arguments,
    measure::{Goal, Job, Report, Time, medians},
    yardstick::{self, CHUNK, Sum, pre_rendered, split},
};

/// The processor time of the splitter, and of the reader, one thread each.
pub fn measure(folder: &Path, arguments: &Arguments, report: &mut Report) -> [Duration; 2] {
    let log = folder.join("messages.log");
    pre_rendered(&mut File::create(&log).unwrap(), arguments.mb << 20).unwrap();
    let size = fs::metadata(&log).unwrap().len();
    let middle = start_after(&log, size / 2).unwrap();
    let parts = [(0, middle), (middle, size)];

    // First, while little else was held: what a whole reading adds to the memory of this process.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = peak_memory();
    let whole = read(&log, 0, size).unwrap();
    let added = peak_memory() - before;
    let bare = split(&log, 0, size).unwrap();
    assert_eq!(whole, bare, "both find the same");
    assert_eq!(both(parts, |from, to| read(&log, from, to).unwrap()), whole, "two threads find the same");

    let mut alone: Vec<Job<'_>> = vec![
        ("splitter", Box::new(|| assert_eq!(split(&log, 0, size).unwrap(), whole))),
        ("reader", Box::new(|| assert_eq!(read(&log, 0, size).unwrap(), whole))),
    ];
    let times = medians(arguments.rounds, Time::Processor, &mut alone);
    let mut two: Vec<Job<'_>> = vec![
        ("reader", Box::new(|| assert_eq!(read(&log, 0, size).unwrap(), whole))),
        (
            "reader, two threads",
            Box::new(|| assert_eq!(both(parts, |from, to| read(&log, from, to).unwrap()), whole)),
        ),
        ("splitter", Box::new(|| assert_eq!(split(&log, 0, size).unwrap(), whole))),
        (
            "splitter, two threads",
            Box::new(|| assert_eq!(both(parts, |from, to| split(&log, from, to).unwrap()), whole)),
        ),
    ];
    let wall = medians(arguments.rounds, Time::Wall, &mut two);
    let gained = |one: usize, two: usize| wall[one].as_secs_f64() / wall[two].as_secs_f64();
    let rate = |at: usize| size as f64 / times[at].as_secs_f64() / 1e9;
    report.add("log splitter, one thread", rate(0), "GB/s", Goal::None);
    report.add("log reader, one thread", rate(1), "GB/s", Goal::None);
    report.add("log reader, of the splitter", rate(1) / rate(0), "", Goal::AtLeast(0.8));
    report.add("log reader, two threads, of one", gained(0, 1), "", Goal::AtLeast(1.8));
    report.add("log splitter, two threads, of one (what the machine gives)", gained(2, 3), "", Goal::None);
    report.add("log reader, memory added", added, "MB", Goal::AtMost(8.0));
    [times[0], times[1]]
}

/// Reads the entries from `from` to `to`, which are starts of entries.
fn read(path: &Path, from: u64, to: u64) -> io::Result<Sum> {
    let file = File::open(path)?;
    let (mut reader, mut sum) = (Reader::starting_at(Options::bounded(), from), yardstick::Sum::default());
    let (mut buffer, mut at) = (vec![0; CHUNK / 4], from);
    while at < to {
        let want = usize::try_from(to - at).unwrap_or(usize::MAX).min(buffer.len());
        let read = file.read_at(&mut buffer[..want], at)?;
        if read == 0 {
            break;
        }
        at += read as u64;
        reader.read(&buffer[..read], |entry| add(&mut sum, &entry));
    }
    if let Some(last) = reader.finish() {
        add(&mut sum, &last.view());
    }
    Ok(sum)
}

#[inline]
fn add(sum: &mut Sum, entry: &EntryRef<'_>) {
    let Some(header) = entry.header else { return };
    sum.entries += 1;
    sum.process_ids = sum.process_ids.wrapping_add(header.process_id);
    sum.severities += u64::from(header.severity.map_or(0, Severity::as_u8));
    sum.category_bytes += header.category.map_or(0, |category| category.as_bytes().len()) as u64;
    std::hint::black_box((header.timestamp, entry.text_bytes()));
}

fn both(parts: [(u64, u64); 2], work: impl Fn(u64, u64) -> Sum + Sync) -> Sum {
    let work = &work;
    thread::scope(|scope| {
        let threads = parts.map(|(from, to)| scope.spawn(move || work(from, to)));
        threads.map(|thread| thread.join().unwrap()).into_iter().fold(Sum::default(), Sum::and)
    })
}

/// The first stamped line at or after this place.
fn start_after(path: &Path, at: u64) -> io::Result<u64> {
    let mut bytes = vec![0; CHUNK];
    let read = File::open(path)?.read_at(&mut bytes, at)?;
    Ok(at + next_stamped_line(&bytes[..read]).unwrap() as u64)
}

/// The most memory that this process has held, in MB.
fn peak_memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
