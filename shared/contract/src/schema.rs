//! JSON Schemas (2020-12) of the public contracts, generated from the types.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::{
    answer::CommandAnswer, generation_request::GenerationRequest, iris_message::IrisMessage,
    remediation_command, tool_result::ToolResult, workflow_trace::WorkflowTrace,
};

/// Names of the schemas, as `instance schema NAME` takes them.
pub const NAMES: [&str; 6] = [
    "iris_message",
    "remediation_command",
    "tool_result",
    "workflow_trace",
    "command_answer",
    "message_generation_request",
];

/// The schema of one contract. `None` for a name that is not in [`NAMES`].
pub fn schema(name: &str) -> Option<Value> {
    let schema = match name {
        "iris_message" => closed(root::<IrisMessage>()),
        "remediation_command" => root::<remediation_command::Wire>(),
        "tool_result" => closed(root::<ToolResult>()),
        "workflow_trace" => root::<WorkflowTrace>(),
        "command_answer" => root::<CommandAnswer>(),
        "message_generation_request" => request(),
        _ => return None,
    };
    let mut value = schema.to_value();
    let object = value.as_object_mut().expect("a struct has an object schema");
    object.insert("$id".into(), json!(format!("urn:instance:v1:{name}")));
    Some(value)
}

fn root<T: JsonSchema>() -> Schema {
    SchemaGenerator::new(SchemaSettings::draft2020_12()).into_root_schema_for::<T>()
}

fn closed(mut schema: Schema) -> Schema {
    schema.insert("additionalProperties".into(), json!(false));
    schema
}

/// All fields of a request have a default.
fn request() -> Schema {
    let mut schema = root::<GenerationRequest>();
    schema.remove("required");
    schema
}
