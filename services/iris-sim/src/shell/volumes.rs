//! Journal and database files on a real disk, with all that can go wrong there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::posix_fallocate;

const MB: u64 = 1024 * 1024;
/// Bytes of a database block.
const BLOCK: u64 = 8192;

/// Makes a file longer, and takes the space for it from the disk.
pub fn extend(path: &Path, mb: u64) -> io::Result<()> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let before = file.metadata()?.len();
    let (from, length) = (i64::try_from(before), i64::try_from(mb * MB));
    let (Ok(from), Ok(length)) = (from, length) else { return Err(io::Error::other("too long")) };
    posix_fallocate(&file, from, length).map_err(|errno| {
        // A part may have been taken: give it back, as IRIS uses nothing of a step that failed.
        let _ = file.set_len(before);
        io::Error::from(errno)
    })
}

/// Whether a database file holds what no database can hold. The stand-in keeps no data: its blocks are all zero.
pub fn is_damaged(path: &Path) -> bool {
    let mut begin = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BLOCK).read_to_end(&mut begin));
    read.is_ok() && begin.iter().any(|byte| *byte != 0)
}

/// The number after the last journal file of that day; the first is 1.
pub fn next_journal_number(directory: &str, day: &str) -> u32 {
    let numbers = fs::read_dir(directory).into_iter().flatten().flatten().filter_map(|file| {
        file.file_name().to_str()?.strip_prefix(day)?.strip_prefix('.')?.parse::<u32>().ok()
    });
    numbers.max().unwrap_or(0) + 1
}

/// Begins the next journal file of a directory.
pub fn new_journal(directory: &str, at: &jiff::Zoned) -> io::Result<String> {
    let day = at.strftime("%Y%m%d").to_string();
    let file = format!("{directory}{day}.{:03}", next_journal_number(directory, &day));
    File::create_new(&file)?;
    Ok(file)
}

/// Removes journal files that nobody has written to for `age`, never the one in use; what was removed, oldest first.
pub fn purge_journals(directory: &str, age: Duration, in_use: &str) -> Vec<String> {
    let mut removed = Vec::new();
    for file in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = file.file_name();
        let is_journal = name.to_str().and_then(|name| name.split_once('.')).is_some_and(|(day, number)| {
            day.len() == 8 && [day, number].iter().all(|it| it.bytes().all(|byte| byte.is_ascii_digit()))
        });
        let written = file.metadata().and_then(|found| found.modified()).ok();
        let old = written.and_then(|at| at.elapsed().ok()).is_some_and(|since| since >= age);
        if is_journal && old && file.path() != Path::new(in_use) {
            // One that cannot be removed stays for the next time.
            if fs::remove_file(file.path()).is_ok() {
                removed.push(file.path().display().to_string());
            }
        }
    }
    // Their names begin with their day.
    removed.sort();
    removed
}
