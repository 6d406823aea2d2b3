//! Ports for what is started and may be stopped and started again.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Result, bail};

/// Ports of instances and of their NATS servers are taken from here on, below those that the kernel gives to whoever connects
/// somewhere: what is down for a moment finds its port free when it comes back.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;

/// From one port that is given to the next: a remediation may take one of those above it for its own world.
const ROOM: u32 = 8;

/// A port that nobody listens on now, and that no other caller in this process is given.
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
