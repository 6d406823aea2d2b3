//! Fifty remediations at a time, now and then, over all instances: every other one asks what a change of a CPF would do,
//! the others change one parameter of the one host, all at the same moment.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use instance_bus::{Bus, Headers};
use instance_contract::{CommandId, InstanceName, RemediationId, subject};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::online;

const AT_A_TIME: usize = 50;
/// Who asks, so that what bursts change is not taken for an answer to a fault.
pub const REQUESTER: &str = "instance chaos soak";

/// What was asked for in bursts.
#[derive(Debug)]
pub struct Burst {
    instances: Vec<InstanceName>,
    pub asked: BTreeSet<RemediationId>,
}

impl Burst {
    pub fn new(instances: Vec<InstanceName>) -> Self {
        Self { instances, asked: BTreeSet::new() }
    }

    /// One more burst.
    pub async fn publish(&mut self, bus: &Bus) -> Result<()> {
        for number in 0..AT_A_TIME {
            let instance = &self.instances[number % self.instances.len()];
            let id = Uuid::new_v4();
            let command: CommandId = id.to_string().parse().context("an id that was made here")?;
            let asked =
                if number % 2 == 0 { question(id, instance, number) } else { change(id, instance, number) };
            bus.publish(&subject::command(instance), &asked, Some(&id.to_string()), Headers::new()).await?;
            self.asked.insert(command.into());
        }
        Ok(())
    }
}

/// What would another lock table change?
fn question(id: Uuid, instance: &InstanceName, number: usize) -> Value {
    let parameters = json!({
        "cpf_section": "config",
        "parameter": "locksiz",
        "new_value": (65_536 * (number + 600)).to_string(),
    });
    command(id, instance, true, "iris_config", &parameters)
}

/// Another value of a parameter that no fault of a soak depends on. Twenty-five at once want different ones, and who
/// planned on a value that another has changed meanwhile is refused.
fn change(id: Uuid, instance: &InstanceName, number: usize) -> Value {
    let parameters = json!({ "kernel_param": "vm.swappiness", "new_value": (1 + number % 5).to_string() });
    command(id, instance, false, "os_config", &parameters)
}

fn command(id: Uuid, instance: &InstanceName, dry_run: bool, tool: &str, parameters: &Value) -> Value {
    json!({
        "schema": "instance.v1.remediation_command",
        "command_id": id,
        "trace_id": Uuid::new_v4().simple().to_string(),
        "instance": instance,
        "error_type": if tool == "os_config" { "os" } else { "config" },
        "severity": 1,
        "recommended_action": "one of fifty at a time",
        "requires_restart": false,
        "dry_run": dry_run,
        "requested_by": REQUESTER,
        "issued_at": online::now().to_string(),
        "execution_order": [tool],
        "parameters": parameters,
    })
}
