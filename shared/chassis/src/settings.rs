//! The settings of one process: read from everywhere, all of them, before anything is started.

mod fault; // What is wrong, in one line each.
mod layers; // Where values come from, and who wins.
mod typed; // From values to a type, telling every fault.

mod effective;
mod nearest;
mod schema; // What keys there are, for programs.

use std::path::Path;

use instance_contract::{Carriers, HostName};
use instance_telemetry::error_chain;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::host;

pub(crate) use self::effective::print;
pub use self::fault::{Fault, Faults};
pub(crate) use self::layers::{Layered, Sources};
pub(crate) use self::schema::of as schema;

/// Everything a service is told at its start.
pub(crate) struct Settings<C> {
    pub own: C,
    pub bus: instance_bus::Resolved,
    pub telemetry: instance_telemetry::Settings,
    pub host: HostName,
    pub grace: Grace,
    pub carriers: Carriers,
    pub dry_run: bool,
}

/// The keys that stand before the first table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Common {
    /// The machine this process works for. Default: the machine's own name.
    pub host: Option<HostName>,
    /// How long a drain may take, in seconds, 1..=3600. Default: 30.
    pub grace_seconds: Grace,
    /// Names of the IRIS instances and hosts that carry Instance itself: nothing acts on them. The same list for every
    /// service. Default: none.
    pub carriers: Carriers,
    /// Change nothing: a router only plans, an agent refuses to act. The flag `--dry-run` beats it. Default: false.
    pub dry_run: bool,
}

/// How long a drain may take, in seconds. Invariant: 1..=3600.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub(crate) struct Grace(pub u64);

impl Default for Grace {
    fn default() -> Self {
        Self(30)
    }
}

impl TryFrom<u64> for Grace {
    type Error = &'static str;

    fn try_from(seconds: u64) -> Result<Self, Self::Error> {
        if (1..=3600).contains(&seconds) { Ok(Self(seconds)) } else { Err("must be 1 to 3600 seconds") }
    }
}

/// Reads everything, or says everything that is wrong.
pub(crate) fn read<C: DeserializeOwned>(sources: &Sources<'_>) -> Result<(Settings<C>, Layered), Faults> {
    let mut faults = Faults::default();
    let layered = Layered::collect(sources, &mut faults);
    layered.refuse_unknown_tables(&mut faults);
    let common = typed::read::<Common>(&layered, "", &mut faults);
    let bus = typed::read::<instance_bus::Settings>(&layered, "nats", &mut faults);
    let telemetry = typed::read::<instance_telemetry::Settings>(&layered, "telemetry", &mut faults);
    let own = typed::read::<C>(&layered, sources.service, &mut faults);

    let bus = bus.and_then(|settings| {
        settings
            .resolve(&|name| sources.variable(name))
            .map_err(|error| faults.add(Fault::about("nats", error_chain(&error))))
            .ok()
    });
    if let Some(settings) = &telemetry
        && let Err(error) = instance_telemetry::check(settings, &|name| sources.variable(name))
    {
        faults.add(Fault::about("telemetry", error_chain(&error)));
    }
    let host = common.as_ref().and_then(|common| match &common.host {
        Some(named) => Some(named.clone()),
        None => host::of_this_machine()
            .map_err(|why| faults.add(Fault::about("host", format!("not set, and {why}"))))
            .ok(),
    });
    match (common, bus, telemetry, own, host) {
        (Some(common), Some(bus), Some(telemetry), Some(own), Some(host)) if faults.is_empty() => {
            let Common { grace_seconds: grace, carriers, dry_run, .. } = common;
            Ok((Settings { own, bus, telemetry, host, grace, carriers, dry_run }, layered))
        }
        _ => Err(faults),
    }
}

/// Reads one settings file as the service would, with an empty environment, and gives the service's own table back.
///
/// For the test that every service has on the file it ships.
///
/// # Errors
/// Every fault in the file.
pub fn check_file<C: DeserializeOwned>(
    service: &str,
    file: &Path,
    profile: Option<&str>,
) -> Result<C, Faults> {
    let sources = Sources {
        service,
        system_file: None,
        config_file: Some(file.to_owned()),
        profile: profile.map(str::to_owned),
        environment: Vec::new(),
        assignments: Vec::new(),
    };
    read(&sources).map(|(settings, _)| settings.own)
}

#[cfg(test)]
mod tests;
