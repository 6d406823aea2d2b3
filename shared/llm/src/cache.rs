//! Answers that were given before: in memory, in files, in Redis, behind one interface.
//!
//! Invariant: a level that fails costs time once; then its breaker leaves it alone and the other levels answer.
//! Invariant: what a level holds is believed only when it is whole, ours, of that key and not too old; anything else is
//! the same as nothing. Whoever reads it checks the answer again, as one that just came.

mod entry;
mod files;
mod memory;
mod redis;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use instance_clock::Clock;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

pub(crate) use self::entry::Entry;
use self::{files::Files, memory::Memory, redis::Redis};
use crate::breaker::{self, Breaker};

/// Where answers are kept, how many and for how long.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// False: every question is asked anew. Default: true.
    pub enabled: bool,
    /// At most so many answers, in memory and in files each. Default: 1000.
    pub entries: u64,
    /// At most so many megabytes (10^6 bytes), in memory and in files each. Default: 100.
    pub megabytes: u64,
    /// An answer is good for so long, 60 to 86400. Default: 3600.
    pub seconds: u64,
    /// A level that has not answered after so many milliseconds is passed over. Default: 1000.
    pub patience_ms: u64,
    /// Keep answers in files too, so that they outlive the process. Default: true.
    pub files: bool,
    /// Keep answers in Redis too, for all hosts, like `redis://host:6379`; no password in it. Its own `maxmemory` limits
    /// it. Default: none.
    pub redis_url: Option<String>,
    /// File with the password of Redis. Default: none.
    pub redis_password_file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            entries: 1_000,
            megabytes: 100,
            seconds: 3_600,
            patience_ms: 1_000,
            files: true,
            redis_url: None,
            redis_password_file: None,
        }
    }
}

/// A cache that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not read the password of Redis from \"{path}\"")]
    Password {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cache.redis_url is no address of a Redis, or holds a password")]
    Address,
}

/// A level that could not do what was asked of it.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation} an answer in {level}")]
struct LevelError {
    level: &'static str,
    operation: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// One place to keep answers. Keys are 64 hex digits.
trait Level: Send + Sync + fmt::Debug {
    fn name(&self) -> &'static str;
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, LevelError>>;
    fn put<'a>(&'a self, key: &'a str, value: Arc<[u8]>) -> BoxFuture<'a, Result<(), LevelError>>;
    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), LevelError>>;
}

/// All levels, the fastest first.
#[derive(Debug)]
pub(crate) struct Cache {
    levels: Vec<Guarded>,
    clock: Arc<dyn Clock>,
    life: Duration,
    patience: Duration,
    misses: AtomicU64,
}

#[derive(Debug)]
struct Guarded {
    level: Box<dyn Level>,
    breaker: Arc<Breaker>,
    hits: AtomicU64,
    garbage: AtomicU64,
}

/// What the cache did since the process began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Questions that no level could answer.
    pub misses: u64,
    pub levels: Vec<LevelStatistics>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelStatistics {
    /// `memory`, `files` or `redis`.
    pub level: String,
    pub hits: u64,
    /// Entries that were not ours, not whole or too old.
    pub garbage: u64,
    /// State of its breaker.
    pub breaker: String,
}

impl Cache {
    /// The levels that the settings ask for. Makes no connection yet.
    pub fn open(
        settings: &Settings,
        breakers: &breaker::Settings,
        folder: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let life = Duration::from_secs(settings.seconds);
        let patience = Duration::from_millis(settings.patience_ms);
        let bytes = settings.megabytes.saturating_mul(1_000_000);
        let mut levels: Vec<Box<dyn Level>> = Vec::new();
        if settings.enabled {
            levels.push(Box::new(Memory::new(settings.entries, bytes, life)));
            if settings.files {
                levels.push(Box::new(Files::new(&folder.join("answers"), settings.entries, bytes)));
            }
            if let Some(url) = &settings.redis_url {
                levels.push(Box::new(Redis::new(
                    url,
                    settings.redis_password_file.as_deref(),
                    life,
                    patience,
                )?));
            }
        }
        let guarded = |level: Box<dyn Level>| Guarded {
            breaker: Arc::new(Breaker::new(level.name(), breakers.clone(), Arc::clone(&clock))),
            hits: AtomicU64::new(0),
            garbage: AtomicU64::new(0),
            level,
        };
        Ok(Self {
            levels: levels.into_iter().map(guarded).collect(),
            clock,
            life,
            patience,
            misses: AtomicU64::new(0),
        })
    }

    /// The answer that was kept under a key. A level that has it hands it to the faster ones.
    pub async fn get(&self, key: &str) -> Option<Entry> {
        for (at, guarded) in self.levels.iter().enumerate() {
            let Some(bytes) = self.run(guarded, guarded.level.get(key)).await.flatten() else { continue };
            if let Some(entry) = Entry::decode(key, &bytes, self.clock.now()) {
                guarded.hits.fetch_add(1, Ordering::Relaxed);
                let bytes: Arc<[u8]> = bytes.into();
                for faster in &self.levels[..at] {
                    self.run(faster, faster.level.put(key, Arc::clone(&bytes))).await;
                }
                return Some(entry);
            }
            guarded.garbage.fetch_add(1, Ordering::Relaxed);
            self.run(guarded, guarded.level.remove(key)).await;
        }
        if !self.levels.is_empty() {
            self.misses.fetch_add(1, Ordering::Relaxed);
        }
        None
    }

    /// Keeps an answer in every level that works.
    pub async fn put(&self, key: &str, answer: &str) {
        let bytes: Arc<[u8]> = Entry::new(key, answer, self.clock.now(), self.life).encode().into();
        for guarded in &self.levels {
            self.run(guarded, guarded.level.put(key, Arc::clone(&bytes))).await;
        }
    }

    /// Takes out an answer that turned out to be of no use.
    pub async fn remove(&self, key: &str) {
        for guarded in &self.levels {
            self.run(guarded, guarded.level.remove(key)).await;
        }
    }

    /// The breakers of the levels that others serve.
    pub fn breakers(&self) -> impl Iterator<Item = &Arc<Breaker>> {
        self.levels.iter().map(|guarded| &guarded.breaker).filter(|breaker| breaker.name() != memory::NAME)
    }

    pub fn statistics(&self) -> Statistics {
        let level = |guarded: &Guarded| LevelStatistics {
            level: guarded.level.name().to_owned(),
            hits: guarded.hits.load(Ordering::Relaxed),
            garbage: guarded.garbage.load(Ordering::Relaxed),
            breaker: guarded.breaker.status().state,
        };
        Statistics {
            misses: self.misses.load(Ordering::Relaxed),
            levels: self.levels.iter().map(level).collect(),
        }
    }

    /// `None`: left alone, failed or too slow.
    async fn run<T>(&self, guarded: &Guarded, work: BoxFuture<'_, Result<T, LevelError>>) -> Option<T> {
        let permit = guarded.breaker.admit().ok()?;
        match timeout(self.patience, work).await {
            Ok(Ok(done)) => {
                permit.succeeded();
                Some(done)
            }
            Ok(Err(error)) => {
                permit.failed("error");
                tracing::debug!(error = %error, cause = %error.source, "a level of the cache failed");
                None
            }
            Err(_) => {
                permit.failed("timeout");
                tracing::debug!(level = guarded.level.name(), "a level of the cache is too slow");
                None
            }
        }
    }
}
