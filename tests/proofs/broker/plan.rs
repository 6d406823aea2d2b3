//! What is asked for: plans of three steps, each a value of a CPF that was never there before.

use instance_clock::{Clock as _, SystemClock};
use instance_contract::{CommandId, RemediationId};
use serde_json::{Value, json};
use uuid::Uuid;

/// Section and parameter of each step. All take many values, and each stands once in the CPF.
pub const KEYS: [(&str, &str); 3] = [("config", "bbsiz"), ("SQL", "LockThreshold"), ("config", "locksiz")];

/// One command, and what it wants.
#[derive(Debug, Clone)]
pub struct Plan {
    pub id: RemediationId,
    command_id: Uuid,
    /// Which of the instances it is for.
    pub instance: usize,
    /// Counts the plans of an instance, from 0.
    number: u32,
}

impl Plan {
    pub fn new(instance: usize, number: u32) -> Self {
        let command_id = Uuid::new_v4();
        let id: CommandId = command_id.to_string().parse().unwrap();
        Self { id: id.into(), command_id, instance, number }
    }

    /// The value that a step sets; `step` counts from 0.
    pub fn value(&self, step: usize) -> String {
        let value = match step {
            0 => 1_000 + self.number,
            1 => 2_000 + self.number,
            // Bytes, at least 64 KB.
            _ => 65_536 * (2 + self.number),
        };
        value.to_string()
    }

    /// The RemediationCommand, as an outside system writes it. Written once: a second sending has the same bytes.
    pub fn command(&self) -> String {
        let ids = ["one", "two", "three"];
        let step = |index: usize| {
            let (section, parameter) = KEYS[index];
            let value = self.value(index);
            json!({
                "id": ids[index],
                "tool": "iris_config",
                "parameters": {"cpf_section": section, "parameter": parameter, "new_value": value},
                "depends_on": index.checked_sub(1).map(|before| ids[before]).into_iter().collect::<Vec<_>>(),
            })
        };
        let steps: Vec<Value> = (0..KEYS.len()).map(step).collect();
        let command = json!({
            "schema": "instance.v1.remediation_command",
            "command_id": self.command_id,
            "trace_id": Uuid::new_v4().simple().to_string(),
            "instance": name(self.instance),
            "error_type": "config",
            "severity": 2,
            "recommended_action": "what the proof wants",
            "requires_restart": false,
            "requested_by": "broker proof",
            "issued_at": SystemClock.now().to_string(),
            "timeout_seconds": 30,
            "steps": steps,
        });
        command.to_string()
    }
}

/// Of an instance by its number.
pub fn name(instance: usize) -> String {
    format!("I{instance:02}")
}
