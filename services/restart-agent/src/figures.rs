//! What was measured on the way, for the ToolResult.

use std::time::Duration;

use instance_agent::Applied;
use instance_contract::AppliedChange;

use crate::{
    drain::Drained,
    observe::{Site, State},
    restart::{Former, target},
    start::{Ready, Started},
    stop::Stopped,
};

/// Filled as the restart goes on. What did not happen has no figure.
#[derive(Debug, Default)]
pub struct Figures {
    pub forced: bool,
    measured: Vec<(&'static str, u64)>,
    warnings: Vec<String>,
}

impl Figures {
    pub fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    pub fn drained(&mut self, drained: Drained) {
        self.took("drain_ms", drained.took);
        self.count("sessions", drained.before.sessions.len());
        let metrics = [
            ("open_transactions", drained.before.transactions),
            ("license_units", drained.before.license_units),
        ];
        self.measured.extend(metrics.into_iter().filter_map(|(name, value)| Some((name, value?))));
        self.warnings.extend(drained.warnings);
    }

    pub fn stopped(&mut self, stopped: Stopped) {
        self.took(if self.forced { "force_ms" } else { "stop_ms" }, stopped.took);
        self.warnings.extend(stopped.warnings);
    }

    pub fn started(&mut self, started: &Started) {
        self.took("start_ms", started.command_took);
        self.took("ready_ms", started.ready_took);
        self.ready_now(&started.ready);
    }

    pub fn ready_now(&mut self, ready: &Ready) {
        self.count("databases_mounted", ready.databases);
        self.count("processes", ready.processes);
        if ready.in_alert {
            self.warn(
                "it says \"alert\" of its health, and was not better before: look into alerts.log".to_owned(),
            );
        }
    }

    pub fn applied(self, site: &Site<'_>, former: &Former) -> Applied {
        let change = |parameter: &str, old: Option<String>, new: String| AppliedChange {
            parameter: parameter.to_owned(),
            old_value: old,
            new_value: Some(new),
            validated: true,
        };
        let state = change("state", Some(former.state.clone()), State::Running.to_string());
        let mut changes = vec![(target(&site.instance.name), state)];
        for (figure, value) in self.measured {
            // How many databases there were before is in the log of the former run.
            let old = (figure == "databases_mounted").then(|| former.databases.len().to_string());
            changes.push((figure.to_owned(), change(figure, old, value.to_string())));
        }
        // What a restart ends cannot be brought back; its undo brings the instance up on the former configuration.
        Applied { changes, warnings: self.warnings, rollback_available: false }
    }

    fn took(&mut self, name: &'static str, took: Duration) {
        self.measured.push((name, u64::try_from(took.as_millis()).unwrap_or(u64::MAX)));
    }

    fn count(&mut self, name: &'static str, count: usize) {
        self.measured.push((name, u64::try_from(count).unwrap_or(u64::MAX)));
    }
}
