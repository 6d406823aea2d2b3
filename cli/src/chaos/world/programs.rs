//! Programs that a world calls, and ports that it takes.

use std::{
    net::TcpListener,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, bail};

/// Ports of instances are taken from here on, below those that the kernel gives to whoever connects somewhere.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;

/// From one port that is given to the next: a remediation may take one of those above it for its own world.
const ROOM: u32 = 8;

/// A port that nobody listens on now, and that no other world of this process is given.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..PORTS {
        // Another process begins elsewhere.
        let number =
            std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(ROOM, Ordering::Relaxed));
        let port = FIRST_PORT + u16::try_from(number % u32::from(PORTS)).unwrap_or_default();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port from {FIRST_PORT} to {} is free", FIRST_PORT + PORTS - 1);
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null());
    command.output().with_context(|| format!("could not run \"{program}\""))
}

/// Runs a program that must succeed.
pub fn well(command: &mut Command) -> Result<()> {
    let output = run(command)?;
    if output.status.success() {
        return Ok(());
    }
    bail!("{:?} failed ({}): {}", command, output.status, said(&output));
}

/// Both of its outputs, for an error.
pub fn said(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    both.join(" ").trim().to_owned()
}
