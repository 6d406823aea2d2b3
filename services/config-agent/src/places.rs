//! What is true of the places that a CPF names: can its journal directories be used, is a port free? Reads only, but
//! that a port is tried for a moment.

use std::{
    fs::{self, Metadata},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use instance_iris::cpf::Document;
use nix::sys::statvfs::statvfs;
use serde_json::{Value, json};

/// How many ports above the present one are tried.
const PORTS_TRIED: u16 = 100;
/// A folder with more in it was not made for journals alone, or is in use.
const MOST_ENTRIES: usize = 4096;

/// More room than this is told as this: where there is enough, the same place is told in the same words.
const MOST_ROOM_MB: u64 = 1024;

/// What is known of the journal directories of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalPlaces {
    /// Whether `[Journal] CurrentDirectory` can be used; `None` when it is not named as IRIS names it.
    pub current_usable: Option<bool>,
    /// The same of `[Journal] AlternateDirectory`.
    pub alternate_usable: Option<bool>,
    /// Room on the file system of `[Journal] CurrentDirectory` for who is not root, in MB, 1024 for that and more; `None` when that cannot be told.
    pub current_free_mb: Option<u64>,
    /// A directory that was made for journals and lies unused beside the one in use, as a CPF names it.
    pub spare_directory: Option<String>,
}

impl JournalPlaces {
    /// Of the CPF that lies at `cpf`: its owner is the one who must be able to write.
    pub fn of(document: &Document, cpf: &Path) -> Self {
        let Ok(owner) = fs::metadata(cpf) else { return Self::default() };
        let named =
            |parameter| document.get("Journal", parameter).map(Path::new).filter(|it| it.is_absolute());
        let (current, alternate) = (named("CurrentDirectory"), named("AlternateDirectory"));
        let spare = current.and_then(|current| spare(current, alternate, &owner));
        Self {
            current_usable: current.map(|path| is_usable(path, &owner)),
            alternate_usable: alternate.map(|path| is_usable(path, &owner)),
            current_free_mb: current.and_then(free_mb),
            spare_directory: spare.and_then(|path| Some(format!("{}/", path.to_str()?))),
        }
    }

    /// As the agent tells it.
    pub fn facts(&self) -> Value {
        json!({
            "current_usable": self.current_usable,
            "alternate_usable": self.alternate_usable,
            "current_free_mb": self.current_free_mb,
            "spare_directory": self.spare_directory,
        })
    }
}

/// Whether the owner of the CPF can make files there, by owner, group and mode.
fn is_usable(directory: &Path, owner: &Metadata) -> bool {
    let Ok(there) = fs::metadata(directory) else { return false };
    let needed = if there.uid() == owner.uid() {
        0o300
    } else if there.gid() == owner.gid() {
        0o030
    } else {
        0o003
    };
    there.is_dir() && (owner.uid() == 0 || there.mode() & needed == needed)
}

/// What a file system has left for who is not root, in MB, up to [`MOST_ROOM_MB`].
fn free_mb(directory: &Path) -> Option<u64> {
    let found = statvfs(directory).ok()?;
    let free = found.blocks_available().saturating_mul(found.fragment_size()) / (1024 * 1024);
    Some(free.min(MOST_ROOM_MB))
}

/// The first directory beside the one in use that is called after journals, can be used, and holds nothing but journal
/// files of former days.
fn spare(current: &Path, alternate: Option<&Path>, owner: &Metadata) -> Option<PathBuf> {
    let in_use = [Some(current), alternate].map(|path| path.and_then(|path| fs::canonicalize(path).ok()));
    let beside = fs::canonicalize(current).ok()?.parent()?.to_owned();
    let mut candidates: Vec<PathBuf> =
        fs::read_dir(beside).ok()?.flatten().map(|entry| entry.path()).collect();
    candidates.sort();
    candidates.into_iter().find(|path| {
        let named_so = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("journal"));
        // A link may lead anywhere.
        let folder = fs::symlink_metadata(path).is_ok_and(|it| it.is_dir());
        let free = !in_use.contains(&Some(path.clone()));
        named_so && folder && free && is_usable(path, owner) && holds_journals_only(path)
    })
}

fn holds_journals_only(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).take(MOST_ENTRIES + 1).collect();
    names.len() <= MOST_ENTRIES && names.iter().all(|name| is_journal_file(&name.to_string_lossy()))
}

/// `20260219.001`, or with a `z` when compressed. No other file: a lock means that somebody uses the directory.
fn is_journal_file(name: &str) -> bool {
    let Some((day, number)) = name.split_once('.') else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    day.len() == 8 && digits(day) && digits(number.strip_suffix('z').unwrap_or(number))
}

/// The first port above `port` that nobody listens on and that is not among `taken`.
pub fn free_port_above(port: u16, taken: &[u16]) -> Option<u16> {
    let last = port.saturating_add(PORTS_TRIED);
    (port.checked_add(1)?..=last)
        .find(|port| !taken.contains(port) && TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An instance with journal directories of these names, and what its CPF says of two of them.
    fn places(made: &[&str], current: &str, alternate: &str) -> (tempfile::TempDir, JournalPlaces) {
        let folder = tempfile::tempdir().unwrap();
        for name in made {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let at = |name: &str| folder.path().join(name).display().to_string();
        let text = format!(
            "[Journal]\r\nCurrentDirectory={}/\r\nAlternateDirectory={}/\r\n",
            at(current),
            at(alternate)
        );
        let cpf = folder.path().join("iris.cpf");
        fs::write(&cpf, &text).unwrap();
        let places = JournalPlaces::of(&Document::parse(text.as_bytes()), &cpf);
        (folder, places)
    }

    #[test]
    fn a_directory_that_is_gone_cannot_be_used() {
        let (folder, places) = places(&["journal"], "journal", "journal2");
        assert_eq!((places.current_usable, places.alternate_usable), (Some(true), Some(false)));
        assert_eq!(places.spare_directory, None);
        let free_mb = places.current_free_mb.expect("a directory that is there lies on a file system");
        assert!(free_mb <= MOST_ROOM_MB);
        assert_eq!(places.facts()["current_free_mb"], serde_json::json!(places.current_free_mb));
        drop(folder);
        let nothing = JournalPlaces::of(&Document::parse(b"[Journal]\r\n"), Path::new("/"));
        assert_eq!(nothing, JournalPlaces::default());
    }

    #[test]
    fn a_spare_directory_was_made_for_journals_and_lies_unused() {
        let made = ["journal", "journal-other", "journal2", "journal3", "stream"];
        let (folder, _) = places(&made, "journal", "journal");
        fs::write(folder.path().join("journal-other/notes.txt"), "not a journal").unwrap();
        fs::write(folder.path().join("journal3/20260219.001"), "").unwrap();
        let cpf = folder.path().join("iris.cpf");
        let read = |cpf: &Path| JournalPlaces::of(&Document::parse(&fs::read(cpf).unwrap()), cpf);
        let spare =
            |name: &str| Some(format!("{}/", fs::canonicalize(folder.path()).unwrap().join(name).display()));
        assert_eq!(read(&cpf).spare_directory, spare("journal2"));
        // Somebody else uses it.
        fs::write(folder.path().join("journal2/iris.jrnlock"), "").unwrap();
        assert_eq!(read(&cpf).spare_directory, spare("journal3"));
        fs::remove_dir_all(folder.path().join("journal3")).unwrap();
        std::os::unix::fs::symlink("/tmp", folder.path().join("journal3")).unwrap();
        assert_eq!(read(&cpf).spare_directory, None);
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_free() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let found = free_port_above(port - 1, &[]).unwrap();
        assert!(found > port, "{found} is not above {port}");
        assert_ne!(free_port_above(port - 1, &[found]), Some(found));
        assert_eq!(free_port_above(u16::MAX, &[]), None);
    }
}
