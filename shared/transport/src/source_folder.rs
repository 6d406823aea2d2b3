//! Commands as files of a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::BoxFuture;

use crate::folder::put;
use crate::source::{Found, Settled, Source, SourceError};

/// A file that is no JSON yet may still be written; after so long without a change it is what it is.
const STILL_WRITTEN: Duration = Duration::from_secs(10);
/// A longer file is no command, and is handed out cut off, to be refused.
const LONGEST: u64 = 1024 * 1024;

/// Takes `*.json`, the oldest name first. What was taken is moved to `taken/`, what was refused to `refused/` with the
/// reason beside it.
#[derive(Debug)]
pub struct FolderSource {
    path: PathBuf,
}

impl FolderSource {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

impl Source for FolderSource {
    fn look(&mut self) -> BoxFuture<'_, Result<Vec<Found>, SourceError>> {
        let path = self.path.clone();
        Box::pin(async move {
            let looked = path.clone();
            let found = tokio::task::spawn_blocking(move || found_in(&looked)).await;
            let found = found.unwrap_or_else(|panic| Err(io::Error::other(panic)));
            found.map_err(|source| SourceError::Folder { path, source })
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
            moved.map_err(|source| SourceError::Folder { path, source })
        })
    }
}

fn found_in(folder: &Path) -> io::Result<Vec<Found>> {
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
        let mut bytes = Vec::new();
        let mut file = io::Read::take(fs::File::open(entry.path())?, LONGEST + 1);
        io::Read::read_to_end(&mut file, &mut bytes)?;
        let settled = state.modified()?.elapsed().unwrap_or_default() >= STILL_WRITTEN;
        if settled || serde_json::from_slice::<serde_json::Value>(&bytes).is_ok() {
            found.push(Found { name, bytes });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn put_away(folder: &Path, name: &str, settled: &Settled) -> io::Result<()> {
    let to = match settled {
        Settled::Taken => folder.join("taken"),
        Settled::Refused(reason) => {
            let refused = folder.join("refused");
            put(&refused, &format!("{name}.reason"), format!("{reason}\n").as_bytes())?;
            refused
        }
    };
    fs::create_dir_all(&to)?;
    fs::rename(folder.join(name), free_name(&to, name))
}

/// Another command under the same file name must not replace the record of the first.
fn free_name(folder: &Path, name: &str) -> PathBuf {
    let mut path = folder.join(name);
    let mut number = 1;
    while path.exists() {
        number += 1;
        path = folder.join(format!("{name}.{number}"));
    }
    path
}
