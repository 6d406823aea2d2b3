//! What is asked for in one run.

use std::collections::BTreeMap;

use instance_contract::{Action, CommandId, Older, RemediationCommand, RemediationId, StepId, TraceId};
use jiff::Timestamp;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::faults::Fault;

/// One command, and what its sender and the world do with it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub command: RemediationCommand,
    pub at: u64,
    /// Steps that fail.
    pub planted: BTreeMap<StepId, Failing>,
}

/// How a step is planted to fail.
#[derive(Debug, Clone, Copy)]
pub enum Failing {
    /// Always, before it touches anything.
    Always,
    /// So often, before it touches anything; then it works.
    AtFirst(u32),
    /// Half-way: the instance is stopped, and does not start.
    StopsOnly,
}

impl Failing {
    pub const fn fault(self) -> Fault {
        match self {
            Self::Always => Fault::StepFails,
            Self::AtFirst(_) => Fault::StepFailsAtFirst,
            Self::StopsOnly => Fault::RestartStopsOnly,
        }
    }
}

impl Asked {
    pub fn id(&self) -> RemediationId {
        self.command.command_id.into()
    }

    /// Does a step of it fail for good, or may it when one more of its attempts goes wrong?
    pub fn is_planted(&self, attempts: u32) -> bool {
        self.planted.values().any(|failing| match failing {
            Failing::Always | Failing::StopsOnly => true,
            Failing::AtFirst(times) => times + 1 >= attempts,
        })
    }
}

/// Between one and six commands on up to three instances.
pub fn draw(rng: &mut ChaCha8Rng, start: Timestamp) -> Vec<Asked> {
    let instances = ["ALPHA", "BETA", "GAMMA"];
    let many = rng.random_range(1..=6);
    (0..many)
        .map(|number| {
            let instance = instances[rng.random_range(0..instances.len())];
            let command = command(rng, number, instance, start);
            let planted = plant(rng, &command);
            Asked { command, at: rng.random_range(0..20_000), planted }
        })
        .collect()
}

fn plant(rng: &mut ChaCha8Rng, command: &RemediationCommand) -> BTreeMap<StepId, Failing> {
    let mut planted = BTreeMap::new();
    for step in command.steps() {
        if rng.random_ratio(1, 12) {
            let is_restart = matches!(step.action, Action::Restart(_));
            let failing = match rng.random_range(0..4) {
                0 | 1 => Failing::AtFirst(rng.random_range(1..=2)),
                2 if is_restart => Failing::StopsOnly,
                _ => Failing::Always,
            };
            planted.insert(step.id, failing);
        }
    }
    planted
}

fn command(rng: &mut ChaCha8Rng, number: u128, instance: &str, start: Timestamp) -> RemediationCommand {
    let value = rng.random_range(1..1000);
    let config =
        json!({"cpf_section": "config", "parameter": "globals", "new_value": format!("0,0,{value},0,0,0")});
    let kernel = json!({"kernel_param": "vm.nr_hugepages", "new_value": value});
    let priorities = ["critical", "high", "medium", "low"];
    let (error_type, restart, work) = match rng.random_range(0..5) {
        0 => (
            "config",
            true,
            json!({"execution_order": ["iris_config", "iris_restart"], "parameters": config}),
        ),
        1 => ("config", false, json!({"execution_order": ["iris_config"], "parameters": config})),
        2 => (
            "resource",
            true,
            json!({"execution_order": ["os_config", "iris_restart"], "parameters": kernel}),
        ),
        3 => ("other", true, json!({"execution_order": ["iris_restart"], "parameters": {}})),
        _ => (
            "resource",
            true,
            json!({"steps": [
                {"id": "pages", "tool": "os_config", "parameters": kernel},
                {"id": "swap", "tool": "os_config", "parameters": {"kernel_param": "vm.swappiness", "new_value": value % 10}},
                {"id": "cache", "tool": "iris_config", "parameters": config, "depends_on": ["pages"]},
                {"id": "restart", "tool": "iris_restart", "parameters": {}, "depends_on": ["cache", "swap"]},
            ]}),
        ),
    };
    let mut body = json!({
        "schema": RemediationCommand::SCHEMA,
        "command_id": CommandId::from_uuid(Uuid::from_u128((u128::from(rng.random::<u64>()) << 8) + number)),
        "trace_id": TraceId::from_bytes(rng.random()),
        "instance": instance, "error_type": error_type, "severity": 2, "requires_restart": restart,
        "recommended_action": "as the simulation wants", "requested_by": "simulation",
        "issued_at": start.to_string(), "priority": priorities[rng.random_range(0..4)],
        "dry_run": rng.random_ratio(1, 20),
    });
    let fields = body.as_object_mut().expect("an object");
    fields.extend(work.as_object().cloned().unwrap_or_default());
    let older = Older::nothing(TraceId::from_bytes([1; 16]), start);
    let text = Value::from(fields.clone()).to_string();
    RemediationCommand::decode(text.as_bytes(), &older).expect("the simulation asks for legal things")
}
