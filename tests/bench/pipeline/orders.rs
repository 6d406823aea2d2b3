//! What a client asks for: one workflow after another, and where their ends are written.

use bytes::Bytes;
use instance_contract::{CommandId, InstanceName, RemediationId, subject};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::chain::line::Line;

/// One workflow, ready to be published.
pub struct Order {
    pub subject: String,
    pub payload: Bytes,
    /// The token under which its records stand.
    pub id: String,
}

/// Which workflows are asked for.
#[derive(Debug, Clone)]
pub enum Orders {
    /// Commands with that many steps; each lane has an instance of its own, so none waits for another.
    Product { steps: u32 },
    /// Workflows of the bare chain with `steps` steps, the first `synced` of them with a ledger.
    Chain { steps: u32, synced: u32, shards: u32 },
}

/// Parameters that the no-op agent takes; all different, as each step has a target of its own.
const PARAMETERS: [&str; 4] = ["vm.nr_hugepages", "vm.swappiness", "vm.dirty_ratio", "kernel.shmmax"];

impl Orders {
    pub fn next(&self, lane: usize, now: &str) -> Order {
        match self {
            Self::Product { steps } => command(*steps, lane, now),
            Self::Chain { steps, synced, shards } => {
                let shard = u32::try_from(lane).unwrap_or_default() % shards;
                let id = Uuid::new_v4().simple().to_string();
                let first = Line { id: id.clone(), shard, steps: *steps, synced: *synced, step: 0 };
                Order { subject: first.command(), payload: first.encode(), id }
            }
        }
    }

    /// Did the workflow end as it should?
    pub fn is_success(&self, ended: &[u8]) -> bool {
        match self {
            Self::Chain { .. } => true,
            Self::Product { .. } => {
                serde_json::from_slice::<Value>(ended).is_ok_and(|ended| ended["overall_status"] == "success")
            }
        }
    }
}

/// The instance of a lane.
pub fn instance(lane: usize) -> InstanceName {
    format!("BENCH{lane}").parse().expect("a legal instance name")
}

fn command(steps: u32, lane: usize, now: &str) -> Order {
    let instance = instance(lane);
    let command_id = Uuid::new_v4();
    let graph: Vec<Value> = (0..steps as usize).map(step).collect();
    let command = json!({
        "schema": "instance.v1.remediation_command",
        "command_id": command_id.to_string(),
        "trace_id": command_id.simple().to_string(),
        "instance": instance,
        "error_type": "resource",
        "severity": 2,
        "recommended_action": "measure how long nothing takes",
        "requires_restart": false,
        "steps": graph,
        "requested_by": "bench",
        "issued_at": now,
    });
    let id: CommandId = command_id.to_string().parse().expect("a UUID is a command id");
    Order {
        subject: subject::command(&instance).to_string(),
        payload: command.to_string().into(),
        id: RemediationId::from(id).to_string(),
    }
}

/// One step after the other.
fn step(index: usize) -> Value {
    let before: Vec<String> = index.checked_sub(1).map(|before| format!("s{before}")).into_iter().collect();
    json!({
        "id": format!("s{index}"),
        "tool": "os_config",
        "parameters": { "kernel_param": PARAMETERS[index], "new_value": "7" },
        "depends_on": before,
    })
}
