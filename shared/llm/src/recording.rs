//! Answers kept in a folder and given again, offline: one file a call, named by a digest of model, parameters and prompt.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{budget::private_folder, provider::Reply};

const SCHEMA: &str = "instance.model.v1.recording";

/// A recording that cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not {operation} recording \"{path}\"")]
    Disk {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("\"{path}\" is no recording")]
    NotARecording { path: PathBuf },
    #[error("prompt {prompt} was not recorded for model {model} (\"{path}\")")]
    Missing { prompt: String, model: String, path: PathBuf },
}

/// What is done with answers.
#[derive(Debug, Clone)]
pub(crate) enum Tape {
    /// Nothing.
    Off,
    Record(PathBuf),
    /// Nobody is called.
    Replay(PathBuf),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    schema: String,
    /// Name and version of the template.
    prompt: String,
    model: String,
    /// Absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply: Option<Reply>,
    /// Why there was none, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

/// What came of a call in the end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Take {
    Answered(Reply),
    /// No answer, all tries together: why, in one word.
    Failed(String),
}

impl Tape {
    pub fn new(record: Option<&Path>, replay: Option<&Path>) -> Self {
        match (record, replay) {
            (_, Some(folder)) => Self::Replay(folder.to_owned()),
            (Some(folder), None) => Self::Record(folder.to_owned()),
            (None, None) => Self::Off,
        }
    }

    pub const fn is_replay(&self) -> bool {
        matches!(self, Self::Replay(_))
    }

    /// Keeps what came of a call when recording. The question itself is not kept.
    pub fn keep(&self, key: &str, prompt: &str, model: &str, take: Take) -> Result<(), Error> {
        let Self::Record(folder) = self else { return Ok(()) };
        let (reply, failed) = match take {
            Take::Answered(reply) => (Some(reply), None),
            Take::Failed(kind) => (None, Some(kind)),
        };
        let path = file(folder, key);
        let recording = Recording {
            schema: SCHEMA.to_owned(),
            prompt: prompt.to_owned(),
            model: model.to_owned(),
            reply,
            failed,
        };
        let text = serde_json::to_vec_pretty(&recording).expect("a recording is plain texts and numbers");
        let written = private_folder(folder).and_then(|()| {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&text)?;
            file.persist(&path).map_err(|error| error.error)
        });
        written.map(drop).map_err(|source| Error::Disk { operation: "write", path, source })
    }

    /// What was recorded. `None` when this is no replay.
    pub fn play(&self, key: &str, prompt: &str, model: &str) -> Option<Result<Take, Error>> {
        let Self::Replay(folder) = self else { return None };
        let path = file(folder, key);
        Some(match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Recording>(&bytes)
                .ok()
                .filter(|recording| recording.schema == SCHEMA)
                .and_then(|recording| match (recording.reply, recording.failed) {
                    (Some(reply), None) => Some(Take::Answered(reply)),
                    (None, Some(kind)) => Some(Take::Failed(kind)),
                    _ => None,
                })
                .ok_or(Error::NotARecording { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::Missing { prompt: prompt.to_owned(), model: model.to_owned(), path })
            }
            Err(source) => Err(Error::Disk { operation: "read", path, source }),
        })
    }
}

fn file(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{key}.json"))
}
