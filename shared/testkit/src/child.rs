//! What every server that tests start needs: a free port, and an end that comes with its test.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use rand::RngExt as _;

/// A server, and the guard that ends it with us.
#[derive(Debug)]
pub(crate) struct Running {
    pub server: Child,
    pub guard: Child,
}

impl Running {
    /// Guards a server that was just started; its folder goes with it.
    pub fn guarded(server: Child, folder: &Path) -> Self {
        let guard = guard(server.id(), folder);
        Self { server, guard }
    }

    /// Kills it as a power cut would, and waits until it is gone.
    pub fn end(mut self) {
        // The guard first: once the server is gone, its id may belong to somebody else.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A shell that reads from us. When this process ends in whatever way, the reading ends, and it kills the server.
fn guard(server: u32, folder: &Path) -> Child {
    Command::new("sh")
        .args(["-c", "read -r _; kill -9 \"$1\"; rm -rf \"$2\"", "guard", &server.to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell can be started")
}

/// A free port that stays free while nobody listens on it: the system hands out ports from 32768 on by itself, as the near
/// ends of connections (`net.ipv4.ip_local_port_range`), so a server that is killed and started again would find such a one
/// taken now and then.
pub fn free_port() -> u16 {
    let mut rng = rand::rng();
    let mut tried = (0..1000).map(|_| rng.random_range(10_000..32_768));
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    tried.find(is_free).expect("a loopback port is free")
}
