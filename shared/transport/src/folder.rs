//! A consumer that takes messages out of a folder.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use futures::future::BoxFuture;

use crate::transport::{Outgoing, SendError, Transport};

/// Writes each message as `<order>-<message id>.json`: sorted by name they are in order. A file is there whole or not at
/// all, and a message that is sent again is the same file. Whoever has dealt with a file removes it.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    name: String,
}

impl Folder {
    /// A consumer at a folder, which is made when it is missing.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), name: path.display().to_string() }
    }
}

impl Transport for Folder {
    fn send<'a>(&'a self, message: &'a Outgoing) -> BoxFuture<'a, Result<(), SendError>> {
        let file = format!("{:020}-{}.json", message.order, message.message.message_id);
        let (folder, payload) = (self.path.clone(), message.payload.clone());
        Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || put(&folder, &file, &payload)).await;
            let written = written.unwrap_or_else(|panic| Err(io::Error::other(panic)));
            written.map_err(|error| SendError::away(&self.name, error))
        })
    }

    fn destination(&self) -> &str {
        &self.name
    }
}

/// Puts a file into a folder so that it is there whole, and there after a power cut.
pub(crate) fn put(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let aside = folder.join(format!(".{name}.part"));
    let mut file = File::create(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside, folder.join(name))?;
    File::open(folder)?.sync_all()
}
