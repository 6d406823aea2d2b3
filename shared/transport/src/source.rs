//! What a source of commands is.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use crate::destination::{Destination, InvalidDestination};
use crate::http::without_password;
use crate::source_folder::FolderSource;
use crate::source_http::HttpSource;

/// Bytes that claim to be a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name of its file, or a digest of its bytes.
    pub name: String,
    pub bytes: Vec<u8>,
    /// Why nobody can read it. Such a one has no bytes; settle it as refused, so that it is out of the way.
    pub unreadable: Option<String>,
}

/// What one look brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    pub found: Vec<Found>,
    /// Does more lie there that this look did not come to? Then the next look has nothing to wait for.
    pub more: bool,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The bus has it.
    Taken,
    /// It is among the dead letters, with this reason.
    Refused(String),
}

/// Where commands come from.
pub trait Source: Send {
    /// Looks once. What is found and not settled is found again by a later look.
    fn look(&mut self) -> BoxFuture<'_, Result<Look, SourceError>>;

    /// Never hands it out again. Call it when the command is safe elsewhere.
    fn settle<'a>(
        &'a mut self,
        found: &'a Found,
        settled: &'a Settled,
    ) -> BoxFuture<'a, Result<(), SourceError>>;
}

/// A source that could not be looked at. The next look may work.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("could not look into \"{path}\"")]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not ask \"{url}\" for commands: {told}")]
    Http { url: String, told: String },
    #[error("could not keep in \"{path}\" what was taken")]
    Memory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Invalid(#[from] InvalidDestination),
}

/// Opens a source. `state_dir` is where a source over HTTP remembers what was taken; a folder remembers by itself.
pub fn open(from: &Destination, timeout: Duration, state_dir: &Path) -> Result<Box<dyn Source>, SourceError> {
    Ok(match from {
        Destination::Folder(path) => Box::new(FolderSource::new(path)),
        Destination::Nats { server, subject } => {
            let named = format!("{}/{subject}", without_password(server));
            return Err(InvalidDestination::NoSource(named).into());
        }
        Destination::Http(url) => Box::new(HttpSource::new(url, timeout, state_dir)?),
    })
}

/// A name for bytes.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}
