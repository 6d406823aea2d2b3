//! Answers in Redis, for every host.

use std::{fs, path::Path, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use redis::{
    AsyncCommands as _, Client, IntoConnectionInfo as _, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::sync::OnceCell;

use super::{Error, Level, LevelError};

const NAME: &str = "redis";
const PREFIX: &str = "instance:model:answer:";

pub(super) struct Redis {
    client: Client,
    seconds: u64,
    patience: Duration,
    /// Made by the first who needs it; heals itself.
    connection: OnceCell<ConnectionManager>,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client knows the password.
        f.debug_struct("Redis").finish_non_exhaustive()
    }
}

impl Redis {
    pub fn new(
        url: &str,
        password_file: Option<&Path>,
        life: Duration,
        patience: Duration,
    ) -> Result<Self, Error> {
        let mut info = url.into_connection_info().map_err(|_| Error::Address)?;
        if info.redis_settings().password().is_some() {
            return Err(Error::Address);
        }
        if let Some(path) = password_file {
            let password = fs::read_to_string(path)
                .map_err(|source| Error::Password { path: path.to_owned(), source })?;
            let settings =
                info.redis_settings().clone().set_password(password.trim_end_matches(['\r', '\n']));
            info = info.set_redis_settings(settings);
        }
        let client = Client::open(info).map_err(|_| Error::Address)?;
        Ok(Self { client, seconds: life.as_secs(), patience, connection: OnceCell::new() })
    }

    async fn connection(&self) -> Result<ConnectionManager, RedisError> {
        let make = || async {
            // The breaker decides when to try again, not the client.
            let config = ConnectionManagerConfig::new()
                .set_number_of_retries(0)
                .set_connection_timeout(Some(self.patience))
                .set_response_timeout(Some(self.patience));
            ConnectionManager::new_with_config(self.client.clone(), config).await
        };
        self.connection.get_or_try_init(make).await.cloned()
    }
}

impl Level for Redis {
    fn name(&self) -> &'static str {
        NAME
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, LevelError>> {
        async move {
            let work = async { self.connection().await?.get(format!("{PREFIX}{key}")).await };
            work.await.map_err(failed("read"))
        }
        .boxed()
    }

    fn put<'a>(&'a self, key: &'a str, value: Arc<[u8]>) -> BoxFuture<'a, Result<(), LevelError>> {
        async move {
            let work = async {
                self.connection().await?.set_ex(format!("{PREFIX}{key}"), &value[..], self.seconds).await
            };
            work.await.map_err(failed("write"))
        }
        .boxed()
    }

    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), LevelError>> {
        async move {
            let work = async { self.connection().await?.del(format!("{PREFIX}{key}")).await };
            work.await.map_err(failed("remove"))
        }
        .boxed()
    }
}

fn failed(operation: &'static str) -> impl Fn(RedisError) -> LevelError {
    move |source| LevelError { level: NAME, operation, source: Box::new(source) }
}
