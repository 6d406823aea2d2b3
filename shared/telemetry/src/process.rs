//! What the kernel says of this process, read when somebody wants to know.

use std::fs;

use instance_signals::metrics::{CPU, FILES, MEMORY};
use jiff::{SignedDuration, Timestamp};

/// One clock tick of `/proc/PID/stat`, as Linux has it on every machine that we run on.
const TICK_US: u64 = 10_000;
/// A page, likewise.
const PAGE: u64 = 4096;

/// Brings the metrics of the process up to date. What cannot be read stays as it was.
pub(crate) fn look() {
    if let Some(ticks) = cpu_ticks() {
        CPU.stands_at(ticks * TICK_US, &[]);
    }
    if let Some(pages) = resident_pages() {
        MEMORY.set(i64::try_from(pages * PAGE).unwrap_or(i64::MAX), &[]);
    }
    if let Ok(listing) = fs::read_dir("/proc/self/fd") {
        // The listing has one open for itself.
        FILES.set(i64::try_from(listing.count().saturating_sub(1)).unwrap_or(i64::MAX), &[]);
    }
}

/// When this process began, as far as the kernel tells it.
pub(crate) fn began_at() -> Option<Timestamp> {
    let since_boot = field_of_stat(19)? * TICK_US;
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let booted: i64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let after = SignedDuration::from_micros(i64::try_from(since_boot).ok()?);
    Timestamp::from_second(booted).ok()?.checked_add(after).ok()
}

/// The program as it was called, without its arguments.
pub(crate) fn command() -> Option<String> {
    let line = fs::read("/proc/self/cmdline").ok()?;
    let program = line.split(|byte| *byte == 0).next()?;
    (!program.is_empty()).then(|| String::from_utf8_lossy(program).into_owned())
}

/// Of the container that this process is in, if it is in one.
pub(crate) fn container_id() -> Option<String> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let words = groups.split(['/', ':', '-', '.', '\n']);
    words
        .filter(|word| word.len() == 64)
        .find(|word| word.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map(str::to_owned)
}

pub(crate) fn machine_id() -> Option<String> {
    let id = fs::read_to_string("/etc/machine-id").ok()?;
    let id = id.trim();
    (!id.is_empty() && id != "uninitialized").then(|| id.to_owned())
}

fn cpu_ticks() -> Option<u64> {
    Some(field_of_stat(11)? + field_of_stat(12)?)
}

/// Counted from the first field behind the name, which may hold anything.
fn field_of_stat(index: usize) -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(index)?.parse().ok()
}

fn resident_pages() -> Option<u64> {
    fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_read_as_it_writes() {
        look();
        let memory = MEMORY.each()[0].1;
        assert!(memory > 1_000_000.0, "{memory} bytes");
        assert!(FILES.each()[0].1 >= 3.0);
        let began = began_at().unwrap();
        assert!(began > Timestamp::from_second(1_500_000_000).unwrap(), "{began}");
        assert!(command().unwrap().contains("instance_telemetry"));
    }
}
