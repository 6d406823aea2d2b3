//! The nats-server of one pipeline: its own process and store, and what it counts.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use anyhow::{Context as _, Result};
use instance_testkit::NatsServer;
use serde_json::Value;
use tempfile::TempDir;

/// When the server syncs what it stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sync {
    /// As it is shipped: every two minutes.
    Default,
    /// Before each acknowledgement.
    Always,
}

impl Sync {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Always => "always",
        }
    }
}

/// A running server. Dropping it kills it and removes its store.
pub struct Server {
    nats: NatsServer,
    monitor: u16,
    _store: TempDir,
}

/// Messages that one connection has sent to the server, and got from it.
#[derive(Debug, Default, Clone, Copy)]
pub struct Traffic {
    pub sent: u64,
    pub received: u64,
}

impl Server {
    pub fn start(sync: Sync) -> Result<Self> {
        let store = tempfile::Builder::new().prefix("instance-bench-").tempdir()?;
        let monitor = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let interval = match sync {
            Sync::Default => String::new(),
            Sync::Always => "sync_interval: always".to_owned(),
        };
        // Stands behind testkit's own block, and so in its place.
        let snippet = format!(
            "http: \"127.0.0.1:{monitor}\"\njetstream {{ store_dir: \"{}\"\n{interval} }}",
            store.path().display()
        );
        Ok(Self { nats: NatsServer::start_with(&snippet), monitor, _store: store })
    }

    pub fn url(&self) -> String {
        self.nats.url()
    }

    pub fn pid(&self) -> u32 {
        self.nats.pid()
    }

    /// What the connection of that name has moved so far.
    pub fn traffic(&self, connection: &str) -> Result<Traffic> {
        let answer = self.ask("/connz")?;
        let connections = answer["connections"].as_array().context("the server lists no connections")?;
        let found = connections.iter().find(|found| found["name"] == connection);
        let found = found.with_context(|| format!("no connection is called {connection}"))?;
        let count = |field: &str| found[field].as_u64().unwrap_or_default();
        // The server counts from its own side.
        Ok(Traffic { sent: count("in_msgs"), received: count("out_msgs") })
    }

    fn ask(&self, path: &str) -> Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.monitor)).context("no monitoring port")?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("the monitoring port gave no answer")?;
        serde_json::from_str(body).context("the monitoring port gave no JSON")
    }
}
