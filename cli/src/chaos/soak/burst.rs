//! Fifty remediations at a time, now and then: questions of what a change would do, over all instances.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use instance_bus::{Bus, Headers};
use instance_contract::{CommandId, InstanceName, RemediationId, subject};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::online;

const AT_A_TIME: usize = 50;

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
            let asked = dry_run(id, instance, number);
            bus.publish(&subject::command(instance), &asked, Some(&id.to_string()), Headers::new()).await?;
            self.asked.insert(command.into());
        }
        Ok(())
    }
}

fn dry_run(id: Uuid, instance: &InstanceName, number: usize) -> Value {
    json!({
        "schema": "instance.v1.remediation_command",
        "command_id": id,
        "trace_id": Uuid::new_v4().simple().to_string(),
        "instance": instance,
        "error_type": "config",
        "severity": 1,
        "recommended_action": "tell what another lock table would change",
        "requires_restart": false,
        "dry_run": true,
        "requested_by": "instance chaos soak",
        "issued_at": online::now().to_string(),
        "execution_order": ["iris_config"],
        "parameters": {
            "cpf_section": "config",
            "parameter": "locksiz",
            "new_value": (65_536 * (number + 600)).to_string(),
        },
    })
}
