//! RemediationCommands, as outside systems write them.

use instance_clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use uuid::Uuid;

use super::INSTANCE;

/// Sets a CPF parameter of `[config]`; with a restart it comes into force.
pub fn set_cpf(parameter: &str, value: &str, restart: bool) -> Value {
    let work = json!({"cpf_section": "config", "parameter": parameter, "new_value": value});
    command("config", "iris_config", restart, &work)
}

/// Sets a kernel parameter.
pub fn set_kernel(name: &str, value: u32, restart: bool) -> Value {
    command("resource", "os_config", restart, &json!({"kernel_param": name, "new_value": value}))
}

/// Stops the instance and starts it.
pub fn restart() -> Value {
    let mut wish = command("other", "iris_restart", true, &json!({}));
    wish["execution_order"] = json!(["iris_restart"]);
    wish
}

/// The id under which a command is followed.
pub fn id_of(wish: &Value) -> String {
    wish["command_id"].as_str().unwrap().to_owned()
}

fn command(error_type: &str, tool: &str, restart: bool, parameters: &Value) -> Value {
    let order: Vec<&str> = std::iter::once(tool).chain(restart.then_some("iris_restart")).collect();
    json!({
        "schema": "instance.v1.remediation_command",
        "command_id": Uuid::new_v4().to_string(),
        "trace_id": Uuid::new_v4().simple().to_string(),
        "instance": INSTANCE,
        "error_type": error_type,
        "severity": 3,
        "recommended_action": "what the test wants",
        "requires_restart": restart,
        "requested_by": "tests",
        "issued_at": SystemClock.now().to_string(),
        "execution_order": order,
        "parameters": parameters,
    })
}
