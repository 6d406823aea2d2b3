//! Steps whose intent goes into a ledger, on whatever disk it lies.

use instance_agent::{
    Prepared,
    ledger::{Intent, Ledger, LedgerError},
};
use instance_contract::{Action, AgentKind, RestartInstance, StepCommand};
use jiff::Timestamp;

pub const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);

pub fn order(step: &str) -> StepCommand {
    let restart = Action::Restart(RestartInstance::default());
    StepCommand { step_id: step.parse().unwrap(), ..instance_testkit::order(AgentKind::Restart, &restart) }
}

pub fn begin(ledger: &Ledger, step: &str) -> Result<(), LedgerError> {
    let prepared = Prepared {
        before: "running".to_owned(),
        wanted: "restarted".to_owned(),
        already: false,
        material: serde_json::Value::Null,
    };
    ledger.intend(Intent { order: order(step), prepared, at: NOW })
}
