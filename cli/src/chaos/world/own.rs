//! What the instance writes for itself: as much of it as tells whether somebody else has been at it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use jiff::{SignedDuration, Timestamp};

use crate::online;

/// A file that only the instance makes longer; the stand-in appends nothing but zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grown {
    pub inode: u64,
    pub length: u64,
    /// Its first bytes, without the zeros at their end.
    pub head: Vec<u8>,
    written_at: Timestamp,
}

/// By which a journal file that is gone may be one that the instance has purged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purge {
    looked_at: Timestamp,
    /// It purges files that nobody has written to for so long; `None`: none at all.
    after: Option<SignedDuration>,
    /// How often it has switched its journal: it purges only then.
    switches: usize,
}

/// Bytes of a file's beginning that are compared: a database block.
const HEAD: u64 = 8192;

impl Grown {
    pub fn of(path: &Path) -> io::Result<Self> {
        let (file, mut head) = (File::open(path)?, Vec::new());
        let metadata = file.metadata()?;
        file.take(HEAD).read_to_end(&mut head)?;
        head.truncate(head.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        let written_at = Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)?;
        Ok(Self { inode: metadata.ino(), length: metadata.len(), head, written_at })
    }
}

impl Purge {
    pub fn of(instance: &Path, parameters: &BTreeMap<(String, String), String>, speed: u32) -> Self {
        let log = fs::read(instance.join("mgr/messages.log")).unwrap_or_default();
        let key = ("Journal".to_owned(), "DaysBeforePurge".to_owned());
        // As the stand-in reads it: what cannot be read counts as the default.
        let days = parameters.get(&key).and_then(|days| days.trim().parse::<i64>().ok()).unwrap_or(2);
        let after = (days > 0).then(|| {
            let speed = i32::try_from(speed.max(1)).unwrap_or(i32::MAX);
            SignedDuration::from_hours(24 * days.min(36_500)) / speed
        });
        let switches = String::from_utf8_lossy(&log).matches("Journaling switched to:").count();
        Self { looked_at: online::now(), after, switches }
    }

    /// May the instance have purged that journal file by the later moment?
    pub fn explains(&self, file: &Grown, later: &Self) -> bool {
        let age = later.looked_at.duration_since(file.written_at);
        later.switches > self.switches && later.after.is_some_and(|after| age >= after)
    }
}

/// The stand-in's write image journal is an object, the CPF that it keeps begins with a section or a remark.
pub fn is_whole(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| b"{[;".contains(first))
}
