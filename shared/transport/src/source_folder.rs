//! Commands as files of a folder.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::BoxFuture;
use nix::fcntl::OFlag;

use crate::folder::put;
use crate::source::{Found, Look, Settled, Source, SourceError};

/// A file that is no JSON yet, or that we may not read yet, may still be on its way; after so long without a change it is
/// what it is.
const STILL_WRITTEN: Duration = Duration::from_secs(10);
/// A longer file is no command, and is handed out cut off, to be refused.
const LONGEST: u64 = 1024 * 1024;

/// Files of one look; the rest is for the next one. So a flood of files takes no more memory than these.
const AT_ONCE: usize = 100;

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
    fn look(&mut self) -> BoxFuture<'_, Result<Look, SourceError>> {
        let path = self.path.clone();
        Box::pin(async move {
            let (looked, left) = (path.clone(), self.left.clone());
            let look = tokio::task::spawn_blocking(move || look_into(&looked, &left, read)).await;
            let look = look.unwrap_or_else(|panic| Err(io::Error::other(panic)));
            look.map_err(|source| SourceError::Folder { path, source })
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

/// At most [`AT_ONCE`] of the files there, without the unreadable ones among `left`.
fn look_into(
    folder: &Path,
    left: &BTreeSet<String>,
    read: impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> io::Result<Look> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_json = Path::new(&name).extension().is_some_and(|ending| ending == "json");
        // Of a link, this is the link's own kind: what it points to is not ours to read.
        if !name.starts_with('.') && is_json && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    let mut found = Vec::new();
    for name in names {
        if found.len() == AT_ONCE {
            return Ok(Look { found, more: true });
        }
        let path = folder.join(&name);
        // Gone since?
        let Ok(state) = fs::symlink_metadata(&path) else { continue };
        let settled = state.modified()?.elapsed().unwrap_or_default() >= STILL_WRITTEN;
        match read(&path) {
            Ok(bytes) if settled || serde_json::from_slice::<serde_json::Value>(&bytes).is_ok() => {
                found.push(Found { name, bytes, unreadable: None });
            }
            Err(error) if settled && error.kind() != io::ErrorKind::NotFound && !left.contains(&name) => {
                found.push(Found { name, bytes: Vec::new(), unreadable: Some(error.to_string()) });
            }
            // Still written, not ours to read (yet), or gone since.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(Look { found, more: false })
}

/// Refuses a link that was put in the place of a file, and does not wait at a pipe.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = fs::File::options().read(true).custom_flags(flags.bits()).open(path)?;
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
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
    use std::os::unix::fs::symlink;
    use std::time::SystemTime;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

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
        let found = look_into(folder.path(), &BTreeSet::new(), but_two).unwrap().found;
        let names: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.unreadable.is_some())).collect();
        assert_eq!(names, [("1.json", false), ("2.json", true), ("3.json", false)]);
        let reason = found[1].unreadable.clone().unwrap();
        let mut source = FolderSource::new(folder.path());
        source.settle(&found[1], &Settled::Refused(reason.clone())).await.unwrap();
        let kept = fs::read_to_string(folder.path().join("refused/2.json.reason")).unwrap();
        assert_eq!(kept.trim_end(), reason);
        assert!(folder.path().join("refused/2.json").exists());
        assert_eq!(look_into(folder.path(), &BTreeSet::new(), but_two).unwrap().found.len(), 2);
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
        let found = look_into(folder.path(), &BTreeSet::new(), but_two).unwrap().found;
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["1.json"]);
    }

    #[tokio::test]
    async fn what_cannot_be_set_aside_either_is_told_once() {
        let folder = folder(&["2.json"]);
        // Where the refused would lie stands a file.
        fs::write(folder.path().join("refused"), "").unwrap();
        let found = look_into(folder.path(), &BTreeSet::new(), but_two).unwrap().found;
        let mut source = FolderSource::new(folder.path());
        source.settle(&found[0], &Settled::Refused("no".to_owned())).await.unwrap();
        assert!(source.left.contains("2.json"));
        // Somebody has made it readable meanwhile.
        assert_eq!(source.look().await.unwrap().found.len(), 1);
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

    #[test]
    fn no_link_leads_out_of_the_folder_and_no_pipe_holds_a_look_up() {
        let (folder, outside) = (folder(&["1.json"]), folder(&["secret.json"]));
        let secret = outside.path().join("secret.json");
        symlink(&secret, folder.path().join("2.json")).unwrap();
        symlink(outside.path(), folder.path().join("3.json")).unwrap();
        mkfifo(&folder.path().join("4.json"), Mode::S_IRWXU).unwrap();
        write(folder.path(), ".5.json", "{}");
        fs::create_dir(folder.path().join("6.json")).unwrap();
        let found = look_into(folder.path(), &BTreeSet::new(), read).unwrap().found;
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["1.json"]);
        // Put in the place of a file after the look at what it is.
        assert!(read(&folder.path().join("2.json")).is_err(), "the link is not followed");
        assert_eq!(read(&folder.path().join("4.json")).unwrap(), b"", "nobody writes to the pipe");
    }

    #[tokio::test]
    async fn a_look_says_whether_more_lies_there() {
        let names: Vec<String> = (0..AT_ONCE * 2 + 5).map(|number| format!("{number:04}.json")).collect();
        let folder = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut source = FolderSource::new(folder.path());
        for (count, more) in [(AT_ONCE, true), (AT_ONCE, true), (5, false), (0, false)] {
            let look = source.look().await.unwrap();
            assert_eq!((look.found.len(), look.more), (count, more));
            for found in &look.found {
                source.settle(found, &Settled::Taken).await.unwrap();
            }
        }
        for name in &names[..AT_ONCE] {
            write(folder.path(), name, "{}");
        }
        let look = source.look().await.unwrap();
        assert_eq!((look.found.len(), look.more), (AT_ONCE, false), "a full look may have found all");
        fs::create_dir(folder.path().join("z.json")).unwrap();
        fs::write(folder.path().join("z.txt"), "").unwrap();
        assert!(!source.look().await.unwrap().more, "what is no command is nothing more");
    }

    #[test]
    fn a_flood_of_files_is_taken_in_parts_and_what_stays_holds_up_no_other() {
        let names: Vec<String> = (0..AT_ONCE + 5).map(|number| format!("{number:04}.json")).collect();
        let folder = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let found = look_into(folder.path(), &BTreeSet::new(), read).unwrap().found;
        assert_eq!(found.iter().map(|one| one.name.clone()).collect::<Vec<_>>(), names[..AT_ONCE]);
        // None of the first hundred can be read, and that was told.
        let left = names[..AT_ONCE].iter().cloned().collect();
        let unreadable = |path: &Path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            if names[..AT_ONCE].contains(&name.to_owned()) {
                Err(io::Error::from(io::ErrorKind::PermissionDenied))
            } else {
                read(path)
            }
        };
        let found = look_into(folder.path(), &left, unreadable).unwrap().found;
        assert_eq!(found.iter().map(|one| one.name.clone()).collect::<Vec<_>>(), names[AT_ONCE..]);
    }
}
