//! The services of a pipeline as programs to supervise, and the order in which they end.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use super::{gateway, nats, programs, supervisor::Program};

/// Who decides what entries call for.
pub const ANALYST: &str = "analyst";

/// Who is asked to drain after whom: in the direction of the work, so that each finishes what it took while all that
/// it needs for it is still there. First who brings new work, then the router, which would go on handing steps to
/// agents that take none; then the agents, which finish the step in hand and write its result; the bus last.
pub const DRAIN_ORDER: [&[&str]; 4] = [
    &["generator", ANALYST, gateway::NAME],
    &["router"],
    &["config-agent", "os-agent", "restart-agent"],
    &[nats::NAME],
];

/// Longer than the services' own grace period, which ends them by itself.
pub const GRACE: Duration = Duration::from_secs(310);

/// A service with its settings file.
pub fn service(name: &'static str, settings: &Path, url: &str) -> Result<Program> {
    let mut program = without_address(name, settings)?;
    let address: [OsString; 2] = ["--nats".into(), url.into()];
    program.arguments.extend(address);
    Ok(program)
}

/// The same, told where the bus is by variables: an address may hold a password, and everybody on this machine can read
/// arguments.
pub fn quiet_service(name: &'static str, settings: &Path, url: &str) -> Result<Program> {
    let mut program = without_address(name, settings)?;
    program.variables.push(("INSTANCE_NATS__URL".into(), url.into()));
    Ok(program)
}

fn without_address(name: &'static str, settings: &Path) -> Result<Program> {
    let arguments: [OsString; 2] = ["--config".into(), settings.into()];
    Ok(Program {
        name,
        path: programs::ours(&format!("instance-{name}"))?,
        arguments: arguments.into(),
        variables: Vec::new(),
        clean_environment: false,
    })
}

/// Every program that a whole pipeline needs, so that a missing one is told before anything is started.
pub fn all_programs() -> Result<Vec<PathBuf>> {
    super::settings::SERVICES.iter().map(|name| programs::ours(&format!("instance-{name}"))).collect()
}
