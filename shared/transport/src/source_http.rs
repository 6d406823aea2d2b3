//! Commands that an HTTP service hands out.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::{Client, StatusCode, Url};
use serde_json::value::RawValue;

use crate::destination::InvalidDestination;
use crate::folder::put;
use crate::http::{client, innermost, without_password};
use crate::source::{Found, Look, Settled, Source, SourceError, digest};

/// A longer answer is refused.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;
/// So many digests are remembered, 65 bytes each; a sender that still hands out older ones is told by the router that
/// they were done.
const REMEMBERED: usize = 100_000;

/// Asks with GET. 204 or an empty body is nothing; otherwise one command, an array of commands, or one a line. What was
/// taken is remembered by a digest of its bytes, in a file that is synced before the next look.
pub struct HttpSource {
    client: Client,
    url: Url,
    name: String,
    memory: PathBuf,
    taken: HashSet<String>,
}

impl HttpSource {
    pub fn new(url: &Url, timeout: Duration, state_dir: &Path) -> Result<Self, SourceError> {
        let client = client(url, timeout).map_err(|source| InvalidDestination::Client { source })?;
        let name = without_password(url);
        let memory = state_dir.join(format!("consume-{}.taken", &digest(name.as_bytes())[..16]));
        let failed = |source| SourceError::Memory { path: memory.clone(), source };
        fs::create_dir_all(state_dir).map_err(failed)?;
        let text = match fs::read_to_string(&memory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.map_err(failed)?,
        };
        // A line that a power cut left short names nothing.
        let mut lines: Vec<&str> = text.lines().filter(|line| line.len() == 64).collect();
        if lines.len() > REMEMBERED {
            lines.drain(..lines.len() - REMEMBERED / 2);
            let kept: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
            let file = memory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            put(state_dir, &file, kept.as_bytes()).map_err(failed)?;
        }
        let taken = lines.into_iter().map(str::to_owned).collect();
        Ok(Self { client, url: url.clone(), name, memory, taken })
    }

    async fn ask(&self) -> Result<Vec<u8>, String> {
        let mut answer = self.client.get(self.url.clone()).send().await.map_err(|error| innermost(&error))?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(Vec::new());
        }
        if !answer.status().is_success() {
            return Err(answer.status().to_string());
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| innermost(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                return Err(format!("the answer is longer than {LONGEST_ANSWER} bytes"));
            }
        }
        Ok(body)
    }
}

impl Source for HttpSource {
    fn look(&mut self) -> BoxFuture<'_, Result<Look, SourceError>> {
        Box::pin(async move {
            let failed = |told| SourceError::Http { url: self.name.clone(), told };
            let body = self.ask().await.map_err(failed)?;
            let mut found: Vec<Found> = Vec::new();
            for bytes in commands(&body) {
                let name = digest(&bytes);
                if !self.taken.contains(&name) && found.iter().all(|other| other.name != name) {
                    found.push(Found { name, bytes, unreadable: None });
                }
            }
            // An answer is all that the service has for us now.
            Ok(Look { found, more: false })
        })
    }

    fn settle<'a>(
        &'a mut self,
        found: &'a Found,
        _settled: &'a Settled,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            remember(&self.memory, &found.name)
                .map_err(|source| SourceError::Memory { path: self.memory.clone(), source })?;
            self.taken.insert(found.name.clone());
            Ok(())
        })
    }
}

/// Takes an answer apart without changing a byte of a command.
fn commands(body: &[u8]) -> Vec<Vec<u8>> {
    if body.trim_ascii().is_empty() {
        return Vec::new();
    }
    if let Ok(items) = serde_json::from_slice::<Vec<Box<RawValue>>>(body) {
        return items.into_iter().map(|item| item.get().as_bytes().to_vec()).collect();
    }
    let lines: Result<Vec<Box<RawValue>>, _> =
        serde_json::Deserializer::from_slice(body).into_iter::<Box<RawValue>>().collect();
    match lines {
        Ok(items) => items.into_iter().map(|item| item.get().as_bytes().to_vec()).collect(),
        // What is no JSON is handed on as it is, to be refused with the reason.
        Err(_) => vec![body.to_vec()],
    }
}

fn remember(memory: &Path, digest: &str) -> io::Result<()> {
    let new = !memory.exists();
    let mut file = OpenOptions::new().create(true).append(true).open(memory)?;
    file.write_all(format!("{digest}\n").as_bytes())?;
    file.sync_all()?;
    match memory.parent().filter(|_| new) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_command_many_or_one_a_line() {
        let texts = |body: &str| -> Vec<String> {
            commands(body.as_bytes()).into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
        };
        assert_eq!(texts(" \n"), Vec::<String>::new());
        assert_eq!(texts("{\"a\": 1}"), ["{\"a\": 1}"]);
        assert_eq!(texts("[{\"a\":1}, {\"b\":  2}]"), ["{\"a\":1}", "{\"b\":  2}"]);
        assert_eq!(texts("{\"a\":1}\n{\"b\":2}\n"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(texts("<html>"), ["<html>"]);
    }
}
