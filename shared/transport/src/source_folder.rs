//! Commands as files of a folder.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::BoxFuture;

use crate::folder::put;
use crate::source::{Found, Settled, Source, SourceError};

/// A file that is no JSON yet, or that we may not read yet, may still be on its way; after so long without a change it is
/// what it is.
const STILL_WRITTEN: Duration = Duration::from_secs(10);
/// A longer file is no command, and is handed out cut off, to be refused.
const LONGEST: u64 = 1024 * 1024;

/// Takes `*.json`, the oldest name first. What was taken is moved to `taken/`, what was refused to `refused/` with the
/// reason beside it. A file that nobody can read is handed out as such: it holds up no other.
#[derive(Debug)]
pub struct FolderSource {
    path: PathBuf,
    /// Unreadable, told, and not ours to move (a folder in which each may move his own only).
    left: BTreeSet<String>,
}

impl FolderSource {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), left: BTreeSet::new() }
    }
}

impl Source for FolderSource {
    fn look(&mut self) -> BoxFuture<'_, Result<Vec<Found>, SourceError>> {
        let path = self.path.clone();
        Box::pin(async move {
            let looked = path.clone();
            let found = tokio::task::spawn_blocking(move || found_in(&looked, read)).await;
            let found = found.unwrap_or_else(|panic| Err(io::Error::other(panic)));
            let mut found = found.map_err(|source| SourceError::Folder { path, source })?;
            found.retain(|one| one.unreadable.is_none() || !self.left.contains(&one.name));
            Ok(found)
        })
    }

    fn settle<'a>(
        &'a mut self,
        found: &'a Found,
        settled: &'a Settled,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        let (path, name, settled) = (self.path.clone(), found.name.clone(), settled.clone());
        Box::pin(async move {
            let folder = path.clone();
            let moved = tokio::task::spawn_blocking(move || put_away(&folder, &name, &settled)).await;
            let moved = moved.unwrap_or_else(|panic| Err(io::Error::other(panic)));
            match moved {
                Err(_) if found.unreadable.is_some() => {
                    self.left.insert(found.name.clone());
                    Ok(())
                }
                moved => moved.map_err(|source| SourceError::Folder { path, source }),
            }
        })
    }
}

fn found_in(folder: &Path, read: impl Fn(&Path) -> io::Result<Vec<u8>>) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_json = Path::new(&name).extension().is_some_and(|ending| ending == "json");
        if name.starts_with('.') || !is_json {
            continue;
        }
        let state = match entry.metadata() {
            Ok(state) if state.is_file() => state,
            // Gone since, or something else.
            _ => continue,
        };
        let settled = state.modified()?.elapsed().unwrap_or_default() >= STILL_WRITTEN;
        match read(&entry.path()) {
            Ok(bytes) if settled || serde_json::from_slice::<serde_json::Value>(&bytes).is_ok() => {
                found.push(Found { name, bytes, unreadable: None });
            }
            Err(error) if settled && error.kind() != io::ErrorKind::NotFound => {
                found.push(Found { name, bytes: Vec::new(), unreadable: Some(error.to_string()) });
            }
            // Still written, not ours to read yet, or gone since.
            Ok(_) | Err(_) => {}
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn put_away(folder: &Path, name: &str, settled: &Settled) -> io::Result<()> {
    let to = folder.join(if *settled == Settled::Taken { "taken" } else { "refused" });
    fs::create_dir_all(&to)?;
    let free = free_name(&to, name);
    if let Settled::Refused(reason) = settled {
        put(&to, &format!("{free}.reason"), format!("{reason}\n").as_bytes())?;
    }
    fs::rename(folder.join(name), to.join(free))
}

/// Another command under the same file name must replace neither the record of the first nor its reason.
fn free_name(folder: &Path, name: &str) -> String {
    let numbered = (2_u64..).map(|number| format!("{name}.{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| !folder.join(name).exists()).expect("there are more numbers than files")
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    /// A folder with files that nobody has changed for a minute.
    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            write(folder.path(), name, "{}");
        }
        folder
    }

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        let before = fs::metadata(&path).unwrap().modified().unwrap() - Duration::from_mins(1);
        fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    }

    /// As [`read`] where one file cannot be read; permissions say nothing to who may do everything.
    fn but_two(path: &Path) -> io::Result<Vec<u8>> {
        let denied = path.ends_with("2.json");
        if denied { Err(io::Error::from(io::ErrorKind::PermissionDenied)) } else { read(path) }
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_set_aside_with_its_reason_and_holds_up_no_other() {
        let folder = folder(&["1.json", "2.json", "3.json"]);
        let found = found_in(folder.path(), but_two).unwrap();
        let names: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.unreadable.is_some())).collect();
        assert_eq!(names, [("1.json", false), ("2.json", true), ("3.json", false)]);
        let reason = found[1].unreadable.clone().unwrap();
        let mut source = FolderSource::new(folder.path());
        source.settle(&found[1], &Settled::Refused(reason.clone())).await.unwrap();
        let kept = fs::read_to_string(folder.path().join("refused/2.json.reason")).unwrap();
        assert_eq!(kept.trim_end(), reason);
        assert!(folder.path().join("refused/2.json").exists());
        assert_eq!(found_in(folder.path(), but_two).unwrap().len(), 2);
    }

    #[test]
    fn a_file_that_cannot_be_read_yet_has_time() {
        let folder = folder(&["1.json"]);
        fs::write(folder.path().join("2.json"), "{}").unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 300);
        // Changed in the future: never old enough, however slow this test is.
        fs::File::options()
            .write(true)
            .open(folder.path().join("2.json"))
            .unwrap()
            .set_modified(now)
            .unwrap();
        let found = found_in(folder.path(), but_two).unwrap();
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["1.json"]);
    }

    #[tokio::test]
    async fn what_cannot_be_set_aside_either_is_told_once() {
        let folder = folder(&["2.json"]);
        // Where the refused would lie stands a file.
        fs::write(folder.path().join("refused"), "").unwrap();
        let found = found_in(folder.path(), but_two).unwrap();
        let mut source = FolderSource::new(folder.path());
        source.settle(&found[0], &Settled::Refused("no".to_owned())).await.unwrap();
        assert!(source.left.contains("2.json"));
        // Somebody has made it readable meanwhile.
        assert_eq!(source.look().await.unwrap().len(), 1);
    }

    #[test]
    fn a_second_refused_file_of_a_name_keeps_the_reason_of_the_first() {
        let folder = folder(&[]);
        for reason in ["first", "second", "third"] {
            write(folder.path(), "a.json", reason);
            put_away(folder.path(), "a.json", &Settled::Refused(reason.to_owned())).unwrap();
        }
        for (name, reason) in [("a.json", "first"), ("a.json.2", "second"), ("a.json.3", "third")] {
            let refused = folder.path().join("refused");
            assert_eq!(fs::read_to_string(refused.join(name)).unwrap(), reason);
            let told = fs::read_to_string(refused.join(format!("{name}.reason"))).unwrap();
            assert_eq!(told.trim_end(), reason);
        }
    }
}
