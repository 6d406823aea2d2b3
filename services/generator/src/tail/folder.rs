//! The files beside a live log: where it was moved to, what came between.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::FileId;

/// A file beside the live log.
pub(super) struct Sibling {
    pub file: File,
    /// When it was last written.
    pub written: SystemTime,
    pub length: u64,
    at: (u64, u64),
    path: PathBuf,
}

/// The log of this identity among the files beside `live`, long enough to hold `end`. The file where it was first seen
/// goes first; a copy serves as well.
pub(super) fn find(live: &Path, id: &FileId, end: u64) -> io::Result<Option<Sibling>> {
    let mut found = None;
    for sibling in siblings(live)? {
        if sibling.length < end || !id.matches(&sibling.file)? {
            continue;
        }
        if id.is_at(sibling.at.0, sibling.at.1) {
            return Ok(Some(sibling));
        }
        found = Some(sibling);
    }
    Ok(found)
}

/// The log that was rotated away next after one last written at `after`, when a whole log came and went unread.
pub(super) fn next_rotated(live: &Path, after: SystemTime, read: &[FileId]) -> io::Result<Option<Sibling>> {
    let mut candidates = Vec::new();
    for sibling in siblings(live)? {
        if sibling.written < after || sibling.length == 0 || !is_rotated(live, &sibling.path) {
            continue;
        }
        let mut known = false;
        for id in read {
            known |= id.matches(&sibling.file)?;
        }
        if !known && !begins_as(&sibling, live)? {
            candidates.push(sibling);
        }
    }
    candidates.sort_by(|a, b| (a.written, &a.path).cmp(&(b.written, &b.path)));
    Ok(candidates.into_iter().next())
}

/// Whether a sibling is a copy of what the live log is now.
fn begins_as(sibling: &Sibling, live: &Path) -> io::Result<bool> {
    match File::open(live) {
        Ok(live) => FileId::of(&live, true)?.map_or(Ok(false), |id| id.matches(&sibling.file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// `messages.old_20260926_5` as IRIS names it; `cconsole.log.20180614`, `messages.log.1` as Caché and logrotate do.
fn is_rotated(live: &Path, path: &Path) -> bool {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let (Some(live_name), Some(name)) = (name(live), name(path)) else { return false };
    let stem = live.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let by_iris = name.strip_prefix(&stem).is_some_and(|rest| rest.starts_with(".old_"));
    let by_number = name
        .strip_prefix(&live_name)
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    by_iris || by_number
}

/// Regular files whose names begin as that of the live log does, without it.
fn siblings(live: &Path) -> io::Result<Vec<Sibling>> {
    let folder = live.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let stem = live.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with(&stem) || path.file_name() == live.file_name() {
            continue;
        }
        // Asked before opening: to open a pipe would wait for its writer. It may be moved or deleted while we look;
        // a log that is gone, or that we may not read, is no sibling.
        if !fs::metadata(&path).is_ok_and(|found| found.is_file()) {
            continue;
        }
        let Ok(file) = File::open(&path) else { continue };
        let metadata = file.metadata()?;
        let (written, at) = (metadata.modified()?, (metadata.dev(), metadata.ino()));
        found.push(Sibling { file, written, length: metadata.len(), at, path });
    }
    Ok(found)
}
