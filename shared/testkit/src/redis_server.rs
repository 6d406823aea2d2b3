//! A real `redis-server` child on a free loopback port, keeping nothing on disk.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    child::{Running, free_port},
    skipped,
};

/// Names the server explicitly; else the one on PATH is taken.
const VARIABLE: &str = "INSTANCE_REDIS_SERVER";
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running Redis. Dropping it kills it.
#[derive(Debug)]
pub struct RedisServer {
    folder: TempDir,
    port: u16,
    running: Option<Running>,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("instance-redis-").tempdir();
        let mut server =
            Self { folder: folder.expect("a temporary folder can be made"), port: 0, running: None };
        // Between finding a free port and taking it another process may be faster: then try another port.
        for _ in 0..5 {
            server.port = free_port();
            if server.launch() {
                return server;
            }
        }
        panic!("redis-server did not start");
    }

    /// Starts a server, unless the environment says that this machine has none (`cargo xtask test` does, where it can
    /// neither find nor install one): then the test is [`skipped`].
    pub fn start_where_there_is_one() -> Option<Self> {
        if std::env::var_os(VARIABLE).is_some_and(|named| named == "none") {
            skipped(format_args!("this machine has no redis-server ({VARIABLE}=none)"));
            return None;
        }
        Some(Self::start())
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills the server as a power cut would, and waits until it is gone.
    pub fn kill9(&mut self) {
        if let Some(running) = self.running.take() {
            running.end();
        }
    }

    /// Freezes the server: who is connected stays so, and hears nothing.
    pub fn freeze(&self) {
        let running = self.running.as_ref().expect("it runs");
        let stopped = Command::new("kill").args(["-STOP", &running.server.id().to_string()]).status();
        assert!(stopped.is_ok_and(|status| status.success()), "redis-server could not be frozen");
    }

    /// Has somebody asked something that a frozen server has not read?
    pub fn is_being_asked(&self) -> bool {
        let port = format!(":{:04X}", self.port);
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        // local address, remote address, state, transmit queue:receive queue
        let waits = |line: &str| {
            let mut columns = line.split_whitespace().skip(1);
            let (local, state, queues) = (columns.next(), columns.nth(1), columns.next());
            local.is_some_and(|local| local.ends_with(&port))
                && state == Some("01")
                && queues.is_some_and(|queues| !queues.ends_with(":00000000"))
        };
        table.lines().any(waits)
    }

    /// Starts the server again on the same port, empty. Kills a running one first.
    pub fn restart(&mut self) {
        self.kill9();
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.launch() {
            assert!(Instant::now() < deadline, "redis-server did not start again");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends one command and gives the raw answer.
    pub fn command(&self, words: &[&str]) -> String {
        self.exchange(words).unwrap_or_else(|error| panic!("redis-server did not answer: {error}"))
    }

    fn exchange(&self, words: &[&str]) -> std::io::Result<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port))?;
        connection.set_read_timeout(Some(START_TIMEOUT))?;
        let head = format!("*{}\r\n", words.len());
        let request =
            words.iter().fold(head, |request, word| request + &format!("${}\r\n{word}\r\n", word.len()));
        connection.write_all(request.as_bytes())?;
        let mut answer = [0; 4_096];
        let length = connection.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    fn launch(&mut self) -> bool {
        let program = std::env::var_os(VARIABLE).filter(|named| !named.is_empty());
        let program = program.unwrap_or_else(|| "redis-server".into());
        let server = Command::new(&program)
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &self.port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .arg("--dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let server = server.unwrap_or_else(|error| {
            let program = Path::new(&program).display();
            panic!("could not start {program}: {error}; install it (Debian: apt-get install redis-server)")
        });
        let mut running = Running::guarded(server, self.folder.path());
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline && matches!(running.server.try_wait(), Ok(None)) {
            let told = format!("process_id:{}\r", running.server.id());
            if self.exchange(&["info", "server"]).is_ok_and(|answer| answer.contains(&told)) {
                self.running = Some(running);
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        running.end();
        false
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill9();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_answers_until_it_is_killed_and_again_when_it_is_back() {
        let Some(mut server) = RedisServer::start_where_there_is_one() else { return };
        assert_eq!(server.command(&["set", "a", "1"]), "+OK\r\n");
        server.kill9();
        assert!(server.exchange(&["get", "a"]).is_err());
        server.restart();
        assert_eq!(server.command(&["get", "a"]), "$-1\r\n", "it keeps nothing");
    }
}
