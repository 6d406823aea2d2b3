//! What carries Instance itself is left alone, and a process that was started with `--dry-run` leaves everything alone. The
//! loop asks before it begins a step, and each agent again before its effect, whatever router and loop have said.

use std::net::IpAddr;

use instance_chassis::Context;
use instance_contract::{Action, Carriers, Failure, HostName, StepCommand};

/// The settings `carriers` and `dry_run`, on one host. The default guards nothing.
#[derive(Debug, Clone, Default)]
pub struct SelfGuard {
    carriers: Carriers,
    host: Option<HostName>,
    dry_run: bool,
}

impl SelfGuard {
    pub fn new(carriers: Carriers, host: HostName) -> Self {
        Self { carriers, host: Some(host), dry_run: false }
    }

    /// As the settings of this process say.
    pub fn of<C>(context: &Context<C>) -> Self {
        Self::new(context.carriers.clone(), context.host.clone()).of_dry_run(context.dry_run)
    }

    /// Whether nothing at all may be changed.
    #[must_use]
    pub fn of_dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// What to tell an operator of a process that knows of nothing that carries Instance, where `servers` are those of its
    /// bus: nothing but the parent of the agent itself is left alone then.
    pub fn unguarded(&self, servers: &str) -> Option<String> {
        if !self.carriers.is_empty() {
            return None;
        }
        let host = self.host.as_ref().map_or("", HostName::as_str);
        let on_this_host = |server: &str| {
            let server = server.rsplit_once("://").map_or(server, |(_, rest)| rest);
            let server = server.rsplit_once('@').map_or(server, |(_, rest)| rest);
            let name = match server.strip_prefix('[') {
                Some(rest) => rest.split(']').next().unwrap_or_default(),
                None => server.split(':').next().unwrap_or_default(),
            };
            name == host || name == "localhost" || name.parse::<IpAddr>().is_ok_and(|at| at.is_loopback())
        };
        let seen =
            servers.split([',', ' ']).map(str::trim).any(|server| !server.is_empty() && on_this_host(server));
        let bus = if seen {
            format!("; the bus runs on this host ({host}), and its kernel may be changed all the same")
        } else {
            String::new()
        };
        Some(format!(
            "the setting \"carriers\" is empty, so an instance or a host that carries Instance itself is not known{bus}"
        ))
    }

    /// Refuses a step that would act on what carries Instance, or at all in a dry run.
    pub fn check(&self, order: &StepCommand) -> Result<(), Failure> {
        let only_reads = matches!(order.action, Action::Verify(_) | Action::CheckLicense(_));
        if self.dry_run && !only_reads {
            return Err(Failure::refused(
                "dry_run",
                "this agent was started with --dry-run and changes nothing",
            ));
        }
        match self.carriers.forbid(&order.action, &order.instance, self.host.as_ref()) {
            None => Ok(()),
            Some(fault) => Err(Failure::refused("carries_instance", fault)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_knows_of_no_carrier_is_told_and_where_the_bus_is_seen_that_too() {
        let told = |carriers: &[&str], servers: &str| {
            let carriers = Carriers(carriers.iter().map(|name| (*name).to_owned()).collect());
            SelfGuard::new(carriers, "db1".parse().unwrap()).unguarded(servers)
        };
        assert_eq!(told(&["OPS"], "nats://127.0.0.1:4222"), None);
        for here in [
            "nats://127.0.0.1:4222",
            "127.0.0.1",
            "tls://user@localhost:4222",
            "nats://bus1:4222, nats://db1:4222",
            "nats://[::1]:4222",
        ] {
            let told = told(&[], here).unwrap();
            assert!(
                told.contains("\"carriers\" is empty") && told.contains("runs on this host (db1)"),
                "{told}"
            );
        }
        for elsewhere in ["nats://bus1:4222", "nats://10.0.0.7:4222", "nats://db10:4222", ""] {
            let told = told(&[], elsewhere).unwrap();
            assert!(
                told.contains("\"carriers\" is empty") && !told.contains("this host"),
                "{elsewhere}: {told}"
            );
        }
    }
}
