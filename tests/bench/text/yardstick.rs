//! What can be done at best: a bare field splitter, and a writer of lines that were rendered before. Written anew after
//! the idea of the yardstick that the project was given; it shares no code with what is measured.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt as _,
    path::Path,
};

use memchr::{memchr, memchr_iter};

/// As much as is read or written at once.
pub const CHUNK: usize = 1 << 20;

const TEXTS: [(&str, &str); 12] = [
    ("Utility.Event", "[SYSTEM MONITOR] CPUusage Warning: CPUusage = 79 ( Warnvalue is 75)."),
    ("Utility.Event", "Journal file switched to /data/journal/20261120.004"),
    ("Generic.Event", "Process terminated abnormally (pid 48213, jobid 0x0004011b)"),
    ("Generic.Event", "There is no more space in database /data/user/ - attempted to expand by 10 MB"),
    ("WriteDaemon.Pausing", "CP: Write Daemon encountered serious error - System Frozen"),
    ("Database.FullExpansion", "Expansion completed for database /data/user/. Expanded by 200 MB."),
    ("Utility.Event", "LMF Warning: Approaching license limit of 100 units (97 in use)"),
    ("Generic.Event", "Mirror failover member connection lost, 10.4.2.17:2188, retrying in 5 s"),
    ("Backup.Event", "Full backup finished, 12 databases, 48213 blocks in 00:14:31"),
    ("Utility.Event", "ERROR #5002: ObjectScript error: <UNDEFINED>zRun+12^App.Remedy.1 *x"),
    ("Utility.Event", "Lock table 85% full, 12.4 MB of 14.5 MB used by 1044 processes"),
    ("SIMD", "Start of cpf prestart actions, merging /etc/iris/merge.cpf into iris.cpf"),
];

/// Writes lines that were rendered before: each is copied, and time, process id and severity are put into the copy.
pub fn pre_rendered(out: &mut impl Write, bytes: usize) -> io::Result<()> {
    let ready: Vec<Vec<u8>> = TEXTS
        .iter()
        .map(|(category, text)| format!("11/20/26-00:00:00:000 (00000) 0 [{category}] {text}\n").into_bytes())
        .collect();
    let mut buffer = Vec::with_capacity(CHUNK + 256);
    let (mut random, mut milliseconds, mut written) = (42_u64, 0_u64, 0);
    while written < bytes {
        buffer.clear();
        while buffer.len() < CHUNK {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let line = &ready[(random >> 32) as usize % ready.len()];
            let at = buffer.len();
            buffer.extend_from_slice(line);
            milliseconds += random & 63;
            put(&mut buffer[at..], milliseconds, random);
        }
        out.write_all(&buffer)?;
        written += buffer.len();
    }
    Ok(())
}

fn put(line: &mut [u8], milliseconds: u64, random: u64) {
    let seconds = milliseconds / 1000 % 86_400;
    two(&mut line[9..], seconds / 3600);
    two(&mut line[12..], seconds / 60 % 60);
    two(&mut line[15..], seconds % 60);
    line[18] = digit(milliseconds % 1000 / 100);
    two(&mut line[19..], milliseconds % 100);
    let process_id = 10_000 + (random >> 8) % 90_000;
    two(&mut line[23..], process_id / 1000);
    two(&mut line[25..], process_id / 10 % 100);
    line[27] = digit(process_id % 10);
    line[30] = digit((random >> 28) & 3);
}

fn two(out: &mut [u8], value: u64) {
    out[0] = digit(value / 10);
    out[1] = digit(value % 10);
}

#[expect(clippy::cast_possible_truncation, reason = "a digit is below ten")]
fn digit(value: u64) -> u8 {
    b'0' + value as u8
}

/// What a splitter finds: as many numbers as it takes to hinder the compiler from leaving the work out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    pub entries: u64,
    pub process_ids: u64,
    pub severities: u64,
    pub category_bytes: u64,
}

impl Sum {
    pub fn and(self, other: Self) -> Self {
        Self {
            entries: self.entries + other.entries,
            process_ids: self.process_ids.wrapping_add(other.process_ids),
            severities: self.severities + other.severities,
            category_bytes: self.category_bytes + other.category_bytes,
        }
    }
}

/// Splits the lines from `from` to `to`, which are starts of lines, into fields; checks hardly anything.
pub fn split(path: &Path, from: u64, to: u64) -> io::Result<Sum> {
    let file = File::open(path)?;
    let (mut buffer, mut keep, mut at, mut sum) = (vec![0; CHUNK * 2], 0, from, Sum::default());
    while at < to {
        let want = usize::try_from(to - at).unwrap_or(CHUNK).min(CHUNK);
        let read = file.read_at(&mut buffer[keep..keep + want], at)?;
        if read == 0 {
            break;
        }
        at += read as u64;
        let full = keep + read;
        let mut start = 0;
        for end in memchr_iter(b'\n', &buffer[..full]) {
            add(&mut sum, &buffer[start..end]);
            start = end + 1;
        }
        buffer.copy_within(start..full, 0);
        keep = full - start;
    }
    Ok(sum)
}

#[inline]
fn add(sum: &mut Sum, line: &[u8]) {
    let Some((process_id, severity, category, text)) = fields(line) else { return };
    sum.entries += 1;
    sum.process_ids = sum.process_ids.wrapping_add(process_id);
    sum.severities += u64::from(severity);
    sum.category_bytes += category.len() as u64;
    std::hint::black_box(text);
}

#[inline]
fn fields(line: &[u8]) -> Option<(u64, u8, &[u8], &[u8])> {
    if line.len() < 30 || line[2] != b'/' || line[8] != b'-' || line[21] != b' ' || line[22] != b'(' {
        return None;
    }
    let (mut at, mut process_id) = (23, 0_u64);
    while at < line.len() && line[at].is_ascii_digit() {
        process_id = process_id * 10 + u64::from(line[at] - b'0');
        at += 1;
    }
    let rest = line.get(at..)?;
    if rest.len() < 6 || rest[0] != b')' || rest[4] != b'[' {
        return None;
    }
    let end = memchr(b']', &rest[5..])? + 5;
    Some((process_id, rest[2].wrapping_sub(b'0'), &rest[5..end], rest.get(end + 2..)?))
}
