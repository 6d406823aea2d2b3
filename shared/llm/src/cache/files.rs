//! Answers in files: one each, named by its key, put in place by one rename.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use futures::{FutureExt as _, future::BoxFuture};

use super::{Level, LevelError};
use crate::budget::private_folder;

const NAME: &str = "files";
/// What is longer is not ours.
const LONGEST: u64 = 1024 * 1024 + 1;

#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    entries: u64,
    bytes: u64,
}

impl Files {
    pub fn new(folder: &Path, entries: u64, bytes: u64) -> Self {
        Self { folder: folder.to_owned(), entries, bytes }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }
}

impl Level for Files {
    fn name(&self) -> &'static str {
        NAME
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, LevelError>> {
        let path = self.path(key);
        on_disk("read", move || match fs::File::open(&path) {
            Ok(file) => {
                let mut bytes = Vec::new();
                file.take(LONGEST).read_to_end(&mut bytes)?;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn put<'a>(&'a self, key: &'a str, value: Arc<[u8]>) -> BoxFuture<'a, Result<(), LevelError>> {
        let (folder, path, entries, bytes) = (self.folder.clone(), self.path(key), self.entries, self.bytes);
        on_disk("write", move || {
            private_folder(&folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            // Not synced: an answer that a power cut takes is asked for again, and half a one is not believed.
            file.write_all(&value)?;
            file.persist(&path).map_err(|error| error.error)?;
            make_room(&folder, entries, bytes)
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), LevelError>> {
        let path = self.path(key);
        on_disk("remove", move || absent_is_fine(fs::remove_file(&path)))
    }
}

/// The disk is waited for on a thread of its own.
fn on_disk<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> BoxFuture<'static, Result<T, LevelError>> {
    async move {
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| LevelError { level: NAME, operation, source };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| failed(Box::new(error)))?.map_err(|error| failed(Box::new(error)))
    }
    .boxed()
}

/// Removes the oldest files until the rest is within both limits. Whatever else lies in the folder goes the same way.
fn make_room(folder: &Path, entries: u64, bytes: u64) -> io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => {
                files.push((metadata.modified()?, metadata.len(), entry.path()));
            }
            Ok(_) => {}
            // Another process made room too.
            Err(error) => absent_is_fine(Err(error))?,
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
    let mut left = files.len() as u64;
    for (_, size, path) in files {
        if left <= entries && total <= bytes {
            break;
        }
        absent_is_fine(fs::remove_file(path))?;
        left -= 1;
        total -= size;
    }
    Ok(())
}

fn absent_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(folder: &Path) -> Vec<u64> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect()
    }

    #[tokio::test]
    async fn entries_and_bytes_are_both_bounded_and_the_newest_stays() {
        let folder = tempfile::tempdir().unwrap();
        for (entries, bytes, left) in [(3, 1_000_000, 3), (100, 250, 2)] {
            let path = folder.path().join(left.to_string());
            let files = Files::new(&path, entries, bytes);
            for at in 0..10 {
                files.put(&at.to_string(), vec![0; 100].into()).await.unwrap();
                assert!(files.get(&at.to_string()).await.unwrap().is_some() || at > 0);
            }
            assert_eq!(sizes(&path), vec![100; left]);
        }
    }

    #[tokio::test]
    async fn a_huge_file_is_read_only_so_far_and_a_missing_one_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), 10, 1_000);
        let huge = fs::File::create(files.path("k")).unwrap();
        huge.set_len(1 << 32).unwrap();
        assert_eq!(files.get("k").await.unwrap().unwrap().len() as u64, LONGEST);
        assert_eq!(files.get("other").await.unwrap(), None);
        files.remove("k").await.unwrap();
        files.remove("k").await.unwrap();
        assert!(sizes(folder.path()).is_empty());
    }
}
