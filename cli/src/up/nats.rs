//! A `nats-server` of our own: loopback, its store in the run folder.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use instance_bus::{Bus, Resolved, TopologyOptions};
use instance_clock::SystemClock;

use super::{
    programs,
    supervisor::{Program, Supervisor},
};
use crate::exit::{Exit, Stop};

/// The server's name among the services.
pub const NAME: &str = "nats";
/// A start on a large store reads it first.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
/// Largest message. Commands are at most 64 KiB, traces a few hundred.
const MAX_PAYLOAD: &str = "1MB";

/// The server with its configuration written into `run`, ready to be started.
pub fn server(run: &Path, port: u16) -> Result<Program> {
    if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        let taken = format!("port {port} of this machine is not free: {error}");
        let next = "name another one with --nats-port, or use the server that runs there with --nats";
        return Err(Stop::new(Exit::Failure, taken).next(next).into());
    }
    let folder = run.join("nats");
    fs::create_dir_all(&folder).with_context(|| format!("could not make \"{}\"", folder.display()))?;
    let configuration = folder.join("nats.conf");
    let text = format!(
        "# Written by `instance`.\nlisten: \"127.0.0.1:{port}\"\nserver_name: \"instance-{port}\"\n\
         max_payload: {MAX_PAYLOAD}\njetstream {{ store_dir: \"{}\" }}\n",
        folder.join("store").display()
    );
    fs::write(&configuration, text)
        .with_context(|| format!("could not write \"{}\"", configuration.display()))?;
    let arguments = [
        "--config".into(),
        configuration.into_os_string(),
        "--log".into(),
        folder.join("nats.log").into_os_string(),
    ];
    Ok(Program {
        name: NAME,
        path: programs::nats_server()?,
        arguments: arguments.into(),
        variables: Vec::new(),
        clean_environment: true,
    })
}

/// Starts our own server and waits until it takes connections.
pub async fn start(supervisor: &mut Supervisor, program: Program, url: &str) -> Result<Bus> {
    supervisor.start(program);
    let server = Resolved::at(url);
    let connecting = Bus::connect_waiting(&server, "instance-up", Arc::new(SystemClock), STARTS_WITHIN);
    connecting.await.with_context(|| format!("could not start a nats-server at {url}"))
}

/// Every stream, consumer and bucket; says how many were made.
pub async fn init(bus: &Bus) -> Result<usize> {
    let outcomes = bus.init(&TopologyOptions::default()).await.context("could not lay out the bus")?;
    Ok(outcomes.iter().filter(|outcome| matches!(outcome, instance_bus::InitOutcome::Created(_))).count())
}
