//! A real `nats-server` child on a free loopback port, with its own store.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::child::{Running, free_port};

/// Names the server explicitly; `cargo xtask` sets it.
const VARIABLE: &str = "INSTANCE_NATS_SERVER";
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A running NATS server. Dropping it kills it and removes its folder.
#[derive(Debug)]
pub struct NatsServer {
    folder: TempDir,
    port: u16,
    name: String,
    snippet: String,
    running: Option<Running>,
}

impl NatsServer {
    /// Starts a server and waits until it takes connections.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// As [`NatsServer::start`], with more lines for its configuration file.
    pub fn start_with(snippet: &str) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::Builder::new().prefix("instance-nats-").tempdir();
        let mut server = Self {
            folder: folder.expect("a temporary folder can be made"),
            port: 0,
            name: format!("test-{}-{number}", std::process::id()),
            snippet: snippet.to_owned(),
            running: None,
        };
        // Between finding a free port and taking it another process may be faster: then try another port.
        for _ in 0..5 {
            server.port = free_port();
            if server.launch() {
                return server;
            }
        }
        panic!("nats-server did not start: {}", server.log());
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// As the server calls itself, and as a cluster calls its members.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id of the running server.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("the server runs").server.id()
    }

    /// Where the server keeps its streams.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Kills the server as a power cut would, and waits until it is gone.
    pub fn kill9(&mut self) {
        if let Some(running) = self.running.take() {
            running.end();
        }
    }

    /// Starts the server again on the same port and store. Kills a running one first.
    pub fn restart(&mut self) {
        self.kill9();
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.launch() {
            assert!(Instant::now() < deadline, "nats-server did not start again: {}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Freezes the server (SIGSTOP): it stays connected and says nothing.
    pub fn stop(&self) {
        signal("STOP", self.pid());
    }

    /// Lets a frozen server go on (SIGCONT).
    pub fn cont(&self) {
        signal("CONT", self.pid());
    }

    /// Freezes the server for the length of a future.
    pub async fn stop_cont<T>(&self, meanwhile: impl Future<Output = T>) -> T {
        // Whatever happens meanwhile, the server goes on.
        struct Continue<'a>(&'a NatsServer);
        impl Drop for Continue<'_> {
            fn drop(&mut self) {
                self.0.cont();
            }
        }
        self.stop();
        let _continue = Continue(self);
        meanwhile.await
    }

    /// What the server has written to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// True when the server runs and it is really ours that answers.
    fn launch(&mut self) -> bool {
        let mut running = self.spawn();
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if !matches!(running.server.try_wait(), Ok(None)) {
                break;
            }
            if greeting(self.port).is_some_and(|text| text.contains(&format!("\"{}\"", self.name))) {
                self.running = Some(running);
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        running.end();
        false
    }

    fn spawn(&self) -> Running {
        let folder = self.folder.path();
        let configuration = folder.join("nats.conf");
        let text = format!(
            "listen: \"127.0.0.1:{}\"\nserver_name: \"{}\"\njetstream {{ store_dir: \"{}\" }}\n{}\n",
            self.port,
            self.name,
            self.store().display(),
            self.snippet,
        );
        fs::write(&configuration, text).expect("the temporary folder can be written");
        let server = Command::new(binary())
            .arg("--config")
            .arg(&configuration)
            .arg("--log")
            .arg(folder.join("log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("could not start {}: {error}", binary().display()));
        Running::guarded(server, folder)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn signal(name: &str, pid: u32) {
    let sent =
        Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "signal", name, &pid.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "could not send SIG{name} to {pid}");
}

/// The first line that a server says.
fn greeting(port: u16) -> Option<String> {
    let stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    line.starts_with("INFO ").then_some(line)
}

/// The server to run: the named one, the one on PATH, or the newest that `cargo xtask tools` has installed.
fn binary() -> PathBuf {
    if let Some(named) = env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        return named.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path =
        env::split_paths(&path).map(|folder| folder.join("nats-server")).find(|file| file.is_file());
    on_path
        .or_else(installed)
        .unwrap_or_else(|| panic!("no nats-server found; get one with `cargo xtask tools`"))
}

fn installed() -> Option<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools");
    let version = |folder: &Path| -> Option<Vec<u32>> {
        let name = folder.file_name()?.to_str()?.strip_prefix("nats-server-")?;
        name.split('.').map(|number| number.parse().ok()).collect()
    };
    let folders = fs::read_dir(tools).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let newest = folders.filter_map(|folder| Some((version(&folder)?, folder))).max()?;
    let file = newest.1.join("nats-server");
    file.is_file().then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(pid: u32) -> bool {
        Path::new("/proc").join(pid.to_string()).exists()
    }

    #[test]
    fn a_dropped_server_is_gone_with_its_folder() {
        let server = NatsServer::start();
        let (pid, store) = (server.pid(), server.store());
        assert!(runs(pid) && greeting(server.port).is_some() && store.exists());
        drop(server);
        assert!(!runs(pid));
        assert!(!store.exists());
    }

    #[test]
    fn a_server_keeps_its_port_over_a_kill() {
        let mut server = NatsServer::start();
        let (url, pid) = (server.url(), server.pid());
        server.restart();
        assert_eq!(server.url(), url);
        assert_ne!(server.pid(), pid);
    }

    #[test]
    fn the_guard_ends_a_server_whose_test_was_killed() {
        let mut server = NatsServer::start();
        let pid = server.pid();
        let running = server.running.as_mut().expect("the server runs");
        // What the kernel does with our end of the pipe when this process dies.
        drop(running.guard.stdin.take());
        let _ = running.server.wait();
        assert!(greeting(server.port).is_none());
        assert!(!runs(pid));
    }
}
