//! The bus, and who is on it.

use std::{sync::Arc, time::Duration};

use instance_bus::{Bus, BusError, FoundService};
use instance_clock::SystemClock;
use instance_contract::AgentKind;

use super::Check;
use crate::{
    exit::{self, chain},
    session::Session,
    settings,
};

/// How long services may take to say that they are there.
const ANSWERS: Duration = Duration::from_millis(700);

/// Everything that can be told through the connection; without one, that alone.
pub async fn checks(session: &Session) -> Vec<Check> {
    let settings = match settings::bus(&session.global) {
        Ok(settings) => settings,
        Err(error) => {
            return vec![Check::fail("settings", exit::told(&error), "correct the file, variable or flag")];
        }
    };
    let bus = match Bus::connect(&settings, "instance-doctor", Arc::new(SystemClock)).await {
        Ok(bus) => bus,
        Err(error) => return vec![no_bus(&error)],
    };
    let mut checks =
        vec![Check::ok("nats", format!("version {} at {}", bus.server_version(), bus.servers()))];
    checks.push(topology(&bus).await);
    checks.push(control(&bus).await);
    checks.extend(services(&bus).await);
    checks.push(hosts(&bus).await);
    checks.extend(permissions(&bus));
    checks
}

fn no_bus(error: &BusError) -> Check {
    let next = match error {
        BusError::ServerTooOld { .. } => "install nats-server 2.10 or newer",
        BusError::Connect { unreachable: false, .. } => "check user, credentials and certificates",
        _ => "start a NATS server there, name another with --nats URL, or run `instance up`",
    };
    Check::fail("nats", chain(error), next)
}

/// What was refused while the rest was looked at: what times out above may be that.
fn permissions(bus: &Bus) -> Option<Check> {
    let refusals = bus.refusals();
    let next = "use the role `operator`; deploy/nats/nats.conf says who may do what";
    (!refusals.is_empty()).then(|| Check::fail("permissions", refusals.join("; "), next))
}

async fn topology(bus: &Bus) -> Check {
    let shards = match bus.topology().await {
        Ok(topology) => topology.shards,
        Err(error @ BusError::TopologyMissing { .. }) => {
            return Check::fail("streams", chain(&error), "run `instance bus init`");
        }
        Err(error) => {
            return Check::fail(
                "streams",
                chain(&error),
                "is JetStream switched on (nats-server --jetstream)?",
            );
        }
    };
    match bus.check().await {
        Ok(findings) if findings.is_empty() => {
            Check::ok("streams", format!("as they should be, {shards} shards"))
        }
        Ok(findings) => {
            let list: Vec<String> =
                findings.iter().map(|found| format!("{}: {}", found.thing, found.what)).collect();
            Check::fail("streams", list.join("; "), "run `instance bus init`; what differs, correct by hand")
        }
        Err(error) => Check::fail("streams", chain(&error), "look at the server's log"),
    }
}

async fn control(bus: &Bus) -> Check {
    match bus.halt_order().await {
        Ok(None) => Check::ok("kill switch", "acting is allowed"),
        Ok(Some(order)) => {
            let detail = format!("halted by {} at {}: {}", order.by, order.at, order.reason);
            Check::warn("kill switch", detail, "nothing acts until the halt is lifted")
        }
        Err(error @ BusError::Unreadable { .. }) => {
            Check::fail("kill switch", chain(&error), "it halts everything; `instance resume` takes it away")
        }
        Err(error) => {
            Check::fail("kill switch", chain(&error), "this counts as halted; run `instance bus init`")
        }
    }
}

async fn services(bus: &Bus) -> Vec<Check> {
    let found = match bus.find_services(None, ANSWERS).await {
        Ok(found) => found,
        Err(error) => return vec![Check::fail("services", chain(&error), "look at the server's log")],
    };
    let mut checks = vec![
        alive(&found, "router", "nothing is done without one; start instance-router, or `instance up`"),
        alive(&found, "analyst", "nothing follows from an entry; start instance-analyst"),
        alive(
            &found,
            "gateway",
            "nothing comes by HTTP; start instance-gateway where others are to ask by it",
        ),
        alive(&found, "generator", "no log is read; start instance-generator where IRIS runs"),
    ];
    for agent in AgentKind::ALL {
        checks.push(alive(
            &found,
            agent.as_str(),
            "its steps wait until their deadline; start it where IRIS runs",
        ));
    }
    checks
}

/// Which instances somebody has promised to look after.
async fn hosts(bus: &Bus) -> Check {
    match bus.hosts().await {
        Ok(served) if served.is_empty() => Check::warn(
            "hosts",
            "no instance is served",
            "start the agents with `instances` in their settings",
        ),
        Ok(served) => {
            let names = served.iter().map(|row| format!("{} by {} on {}", row.instance, row.agent, row.host));
            Check::ok("hosts", names.collect::<Vec<_>>().join(", "))
        }
        Err(error) => Check::fail("hosts", chain(&error), "run `instance bus init`"),
    }
}

/// A router must be there; for the rest, absence may be meant.
fn alive(found: &[FoundService], name: &'static str, next: &str) -> Check {
    let is_it = |service: &&FoundService| {
        service.name == name || service.name.strip_prefix("instance-") == Some(name)
    };
    let versions: Vec<&str> = found.iter().filter(is_it).map(|service| service.version.as_str()).collect();
    match versions.as_slice() {
        [] if name == "router" => Check::fail(name, "does not answer", next),
        [] => Check::warn(name, "does not answer", next),
        [version] => Check::ok(name, format!("alive, version {version}")),
        several => Check::ok(name, format!("{} alive, versions {}", several.len(), several.join(", "))),
    }
}
