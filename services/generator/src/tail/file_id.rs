//! Which log a file is, however it is called now.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// How many of its first bytes tell one log from another.
const HEAD: usize = 256;

/// Identity of a log file: device and inode where it was first seen, and a hash of its head.
///
/// Device and inode alone do not do: a new log may get the inode of a deleted one, a log cut to nothing keeps its inode,
/// and a log copied to another disk (IRIS moves its durable data so) is the same log under another. A birth time has the
/// same holes, and not every file system has one. The head tells: the first line of a log carries its
/// moment to the millisecond (a banner: to the second), so two logs never begin alike. So **the head decides** what
/// is the same log; device and inode make the text unique and are the first place to look.
///
/// The length of the head is part of the identity and fixed at first sight, so the text does not change while a young
/// log grows, and anybody can check it against a file later.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
    head_length: u16,
    head_hash: u64,
    /// How often the same log was cut shorter in place: its offsets then mean other bytes.
    generation: u32,
}

/// A text that is no file identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a file identity")]
pub struct InvalidFileId(String);

impl FileId {
    /// The identity of a file that is seen for the first time. `None` while its head is too short to tell it from
    /// others, unless `quiet` says that no more is coming.
    pub fn of(file: &File, quiet: bool) -> io::Result<Option<Self>> {
        let head = head(file, HEAD)?;
        let ripe = head.len() == HEAD || has_whole_line(&head) || (quiet && !head.is_empty());
        if !ripe {
            return Ok(None);
        }
        let found = file.metadata()?;
        Ok(Some(Self {
            device: found.dev(),
            inode: found.ino(),
            head_length: u16::try_from(head.len()).expect("a head has at most 256 bytes"),
            head_hash: hash(&head),
            generation: 0,
        }))
    }

    /// Whether this file begins as the log of this identity does.
    pub fn matches(&self, file: &File) -> io::Result<bool> {
        let head = head(file, usize::from(self.head_length))?;
        Ok(head.len() == usize::from(self.head_length) && hash(&head) == self.head_hash)
    }

    /// Whether this is the file where the log was first seen.
    pub(super) fn is_at(&self, device: u64, inode: u64) -> bool {
        (self.device, self.inode) == (device, inode)
    }

    /// The same log after it was cut shorter.
    pub(super) fn shortened(&self) -> Self {
        Self { generation: self.generation + 1, ..self.clone() }
    }
}

fn head(file: &File, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Whether a line that is not blank has ended in it.
fn has_whole_line(head: &[u8]) -> bool {
    let text = head.iter().position(|byte| !byte.is_ascii_whitespace());
    text.is_some_and(|at| head[at..].contains(&b'\n'))
}

fn hash(head: &[u8]) -> u64 {
    let digest = Sha256::digest(head);
    u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, inode, head_length, head_hash, generation } = self;
        write!(f, "{device:x}-{inode:x}-{head_length}-{head_hash:016x}-{generation}")
    }
}

impl FromStr for FileId {
    type Err = InvalidFileId;

    fn from_str(text: &str) -> Result<Self, InvalidFileId> {
        let read = || {
            let mut parts = text.split('-');
            let id = Self {
                device: u64::from_str_radix(parts.next()?, 16).ok()?,
                inode: u64::from_str_radix(parts.next()?, 16).ok()?,
                head_length: parts.next()?.parse().ok().filter(|length| (1..=256).contains(length))?,
                head_hash: u64::from_str_radix(parts.next()?, 16).ok()?,
                generation: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(id)
        };
        read().ok_or_else(|| InvalidFileId(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_young_log_keeps_its_identity_while_it_grows_and_when_it_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("messages.log");
        let mut writer = File::create(&path).unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(FileId::of(&file, true).unwrap(), None);
        writer.write_all(b"\n\n11/14/25-09:45").unwrap();
        assert_eq!(FileId::of(&file, false).unwrap(), None, "half a line does not tell");
        writer.write_all(b":55:657 (50745) 0 [SIMD] x\n").unwrap();
        let id = FileId::of(&file, false).unwrap().unwrap();
        writer.write_all(&[b'x'; 500]).unwrap();
        assert!(id.matches(&file).unwrap());
        let copy = folder.path().join("copy");
        std::fs::copy(&path, &copy).unwrap();
        assert!(id.matches(&File::open(&copy).unwrap()).unwrap());
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        std::fs::write(&path, "another log\n").unwrap();
        assert!(!id.matches(&file).unwrap());
        for wrong in ["", "1-2-3", "1-2-0-4-0", "1-2-3-4-5-6", "x-2-3-4-0"] {
            assert!(wrong.parse::<FileId>().is_err(), "{wrong}");
        }
    }
}
