//! JSON Schemas (2020-12) of the public contracts, generated from the types.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::{
    answer::CommandAnswer,
    audit::AuditRecords,
    generation_request::GenerationRequest,
    incident::{Finding, IncidentAcknowledged, IncidentClosed, IncidentOpened, IncidentOutcome},
    iris_message::IrisMessage,
    remediation::{Accepted, ApprovalAnswered, ApprovalAsked, Planned, StepCommand},
    remediation_command,
    tool_result::ToolResult,
    workflow_trace::WorkflowTrace,
};

/// Names of the schemas, as `instance schema NAME` takes them.
pub const NAMES: [&str; 17] = [
    "iris_message",
    "remediation_command",
    "tool_result",
    "workflow_trace",
    "command_answer",
    "message_generation_request",
    "accepted",
    "planned",
    "step_command",
    "approval_asked",
    "approval_answered",
    "audit_records",
    "incident_opened",
    "finding",
    "incident_outcome",
    "incident_acknowledged",
    "incident_closed",
];

/// The schema of one contract. `None` for a name that is not in [`NAMES`].
pub fn schema(name: &str) -> Option<Value> {
    let schema = match name {
        "iris_message" => closed(root::<IrisMessage>()),
        "remediation_command" => asked(root::<remediation_command::Wire>()),
        "tool_result" => closed(root::<ToolResult>()),
        "workflow_trace" => root::<WorkflowTrace>(),
        "command_answer" => root::<CommandAnswer>(),
        "message_generation_request" => request(),
        "accepted" => root::<Accepted>(),
        "planned" => root::<Planned>(),
        "step_command" => root::<StepCommand>(),
        "approval_asked" => root::<ApprovalAsked>(),
        "approval_answered" => root::<ApprovalAnswered>(),
        "audit_records" => root::<AuditRecords>(),
        "incident_opened" => root::<IncidentOpened>(),
        "finding" => root::<Finding>(),
        "incident_outcome" => root::<IncidentOutcome>(),
        "incident_acknowledged" => root::<IncidentAcknowledged>(),
        "incident_closed" => root::<IncidentClosed>(),
        _ => return None,
    };
    let mut value = schema.to_value();
    let object = value.as_object_mut().expect("a struct has an object schema");
    object.insert("$id".into(), json!(format!("urn:instance:v1:{name}")));
    Some(value)
}

/// As [`schema`], with everything in its place: for a document in which `#/$defs` would lead nowhere.
pub fn inlined(name: &str) -> Option<Value> {
    let mut value = schema(name)?;
    let definitions = value.as_object_mut()?.remove("$defs").unwrap_or_default();
    inline(&mut value, &definitions);
    Some(value)
}

/// Puts each definition where it is named. Invariant: no definition holds itself.
fn inline(value: &mut Value, definitions: &Value) {
    match value {
        Value::Object(object) => {
            let named =
                object.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
            if let Some(Value::Object(definition)) = named.and_then(|name| definitions.get(name)).cloned() {
                object.remove("$ref");
                for (key, value) in definition {
                    // What stands beside the reference is about this place, and counts.
                    object.entry(key).or_insert(value);
                }
            }
            for inner in object.values_mut() {
                inline(inner, definitions);
            }
        }
        Value::Array(items) => {
            for item in items {
                inline(item, definitions);
            }
        }
        _ => {}
    }
}

fn root<T: JsonSchema>() -> Schema {
    SchemaGenerator::new(SchemaSettings::draft2020_12()).into_root_schema_for::<T>()
}

fn closed(mut schema: Schema) -> Schema {
    schema.insert("additionalProperties".into(), json!(false));
    schema
}

/// What the planner adds to an action is nothing that a command may name.
fn asked(mut schema: Schema) -> Schema {
    let kernel = schema.pointer_mut("/$defs/SetKernel/properties").and_then(Value::as_object_mut);
    kernel.expect("a command may set a kernel parameter").remove("with_cpf");
    schema
}

/// All fields of a request have a default.
fn request() -> Schema {
    let mut schema = root::<GenerationRequest>();
    schema.remove("required");
    schema
}
