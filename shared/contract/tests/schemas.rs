//! The published schemas and the readers agree: whatever the one takes, the other takes, and the committed files are
//! those that the types give today.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, path::Path};

use instance_contract::{
    Accepted, ApprovalAnswered, ApprovalAsked, AuditRecord, AuditRecords, Faults, Finding, GenerationRequest,
    IncidentAcknowledged, IncidentClosed, IncidentId, IncidentOpened, IncidentOutcome, IrisMessage, Older,
    Plan, Planned, RemediationCommand, RemediationId, StepCommand, ToolResult, TraceId, asyncapi, schema,
};
use serde_json::{Value, json};

fn corpus() -> Vec<(&'static str, Value)> {
    let trace = "0123456789abcdef0123456789abcdef";
    let id = "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8";
    let command = json!({
        "schema": "instance.v1.remediation_command", "command_id": id, "trace_id": trace, "instance": "PROD",
        "error_type": "config", "severity": 3, "recommended_action": "double the database cache",
        "execution_order": ["iris_config", "iris_restart"],
        "parameters": {"cpf_section": "config", "parameter": "globals", "new_value": "0,0,512,0,0,0"},
        "requires_restart": true, "requested_by": "operator", "issued_at": "2026-11-21T08:00:00Z",
        "timeout_seconds": 60, "priority": "high", "dry_run": false, "caused_by": [id],
    });
    let graph = json!({
        "schema": "instance.v1.remediation_command", "command_id": id, "trace_id": trace, "instance": "PROD",
        "error_type": "os", "severity": 2, "recommended_action": "more huge pages",
        "steps": [{"id": "pages", "tool": "os_config", "depends_on": [], "retry": false, "timeout_seconds": 10,
            "parameters": {"kernel_param": "vm.nr_hugepages", "new_value": 300, "min_value": 1, "max_value": 400}}],
        "requires_restart": false, "requested_by": "operator", "issued_at": "2026-11-21T08:00:00Z",
    });
    let several = json!({
        "schema": "instance.v1.remediation_command", "command_id": id, "trace_id": trace, "instance": "PROD",
        "error_type": "config", "severity": 2, "recommended_action": "one more namespace",
        "execution_order": ["iris_config"], "requires_restart": false,
        "parameters": {"live": false, "allow_unknown": true, "changes": [
            {"cpf_section": "Namespaces", "parameter": "SHOP", "change": "add", "new_value": "SHOPDATA"},
            {"cpf_section": "Namespaces", "parameter": "OLD", "change": "remove", "current_value": "OLD"},
            {"cpf_section": "config", "parameter": "globals", "block_size_kb": 8, "new_value": 512}]},
        "requested_by": "operator", "issued_at": "2026-11-21T08:00:00Z",
    });
    let message = json!({
        "schema": "instance.v1.iris_message", "message_id": id, "trace_id": trace, "host": "db1", "instance": "PROD",
        "origin": "observed", "timestamp": "11/21/26-08:00:00:123", "occurred_at": null,
        "generated_at": "2026-11-21T08:00:00Z", "process_id": 4_114_424, "severity": 2, "category": "Utility.Event",
        "message_text": "text", "truncated": false, "raw": "raw", "error_type": "config", "condition": null,
        "repeated": 0,
    });
    let result = json!({
        "schema": "instance.v1.tool_result", "trace_id": trace, "tool_name": "iris_config", "command_id": id,
        "remediation_id": id, "step_id": "config", "attempt": 1, "status": "success", "execution_time_ms": 12,
        "changes_applied": {"cpf [config] globals": {"parameter": "globals", "old_value": "a", "new_value": "b",
            "validated": true}},
        "error_code": null, "error_message": null, "retryable": false, "requires_user_action": false,
        "rollback_available": true, "warnings": [], "agent": {"name": "config-agent", "version": "0.1.0", "host": "db1"},
    });
    let request = json!({"error_category": "journal", "count": 100, "severity_range": [0, 3], "output_format": "raw",
        "template_name": "x", "seed": 7, "include_timestamps": false});
    vec![
        ("remediation_command", command),
        ("remediation_command", graph),
        ("remediation_command", several),
        ("iris_message", message),
        ("tool_result", result),
        ("message_generation_request", request),
    ]
}

fn decode(name: &str, value: &Value) -> Result<(), Faults> {
    let bytes = value.to_string();
    let bytes = bytes.as_bytes();
    match name {
        "remediation_command" => {
            let older = Older::nothing(TraceId::from_bytes([1; 16]), "2026-11-21T08:00:00Z".parse().unwrap());
            RemediationCommand::decode(bytes, &older).map(|_| ())
        }
        "iris_message" => IrisMessage::decode(bytes).map(|_| ()),
        "tool_result" => ToolResult::decode(bytes).map(|_| ()),
        "message_generation_request" => GenerationRequest::decode(bytes).map(|_| ()),
        other => panic!("no reader for {other}"),
    }
}

/// Values that every field is tried with.
fn intruders() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(9),
        json!(301),
        json!(5_000_000),
        json!(1.5),
        json!(""),
        json!("a b"),
        json!("0"),
        json!([]),
        json!([1]),
        json!({}),
        json!("x".repeat(201)),
        json!("PROD"),
    ]
}

#[test]
fn schemas_and_readers_give_the_same_verdict() {
    let mut compared = 0;
    for (name, good) in corpus() {
        let schema = schema::schema(name).unwrap();
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        decode(name, &good).unwrap_or_else(|faults| panic!("{name}: {faults}"));
        assert!(
            validator.is_valid(&good),
            "{name}: {:?}",
            validator.iter_errors(&good).next().map(|e| e.to_string())
        );
        for (field, _) in good.as_object().unwrap() {
            // Rules between fields cannot be said in a schema (which parameters fit which order).
            let crossing = [
                "execution_order",
                "parameters",
                "steps",
                "requires_restart",
                "error_type",
                "error_message",
                "schema",
                "status",
                "severity_range",
            ];
            for intruder in intruders() {
                let mut changed = good.clone();
                changed[field] = intruder.clone();
                let (schema_says, reader) = (validator.is_valid(&changed), decode(name, &changed));
                if crossing.contains(&field.as_str()) {
                    // The reader may be stricter than the schema, never laxer.
                    assert!(
                        schema_says || reader.is_err() || intruder.is_null(),
                        "{name}.{field} = {intruder}"
                    );
                } else if !intruder.is_null() {
                    assert_eq!(schema_says, reader.is_ok(), "{name}.{field} = {intruder}: {reader:?}");
                }
                compared += 1;
            }
        }
        let mut unknown = good.clone();
        unknown["colour"] = json!("red");
        assert!(!validator.is_valid(&unknown) && decode(name, &unknown).is_err(), "{name} is closed");
    }
    assert!(compared > 500, "only {compared} comparisons");
}

#[test]
fn schemas_are_of_draft_2020_12_and_say_what_each_field_means() {
    for name in schema::NAMES {
        let schema = schema::schema(name).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert_eq!(schema::schema("nonsense"), None);
}

/// `cargo xtask generate` writes them.
#[test]
fn the_committed_files_are_not_stale() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let read = |name: &str| {
        let path = folder.join(format!("{name}.json"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str::<Value>(&text).unwrap()
    };
    for name in schema::NAMES {
        assert!(read(name) == schema::schema(name).unwrap(), "{name} is stale: run `cargo xtask generate`");
    }
    assert!(read("asyncapi") == asyncapi::document(), "asyncapi is stale: run `cargo xtask generate`");
}

/// The records of the log and of the audit trail: each example is what its schema says, is read into its type, and is
/// written again as it was.
#[test]
fn the_example_records_are_what_their_schemas_say() {
    fn again<T: serde::de::DeserializeOwned + serde::Serialize>(value: &Value) -> Value {
        serde_json::to_value(serde_json::from_value::<T>(value.clone()).unwrap()).unwrap()
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/records");
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let value: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let schema = schema::schema(&name).unwrap_or_else(|| panic!("{name} has no schema"));
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let faults: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(faults.is_empty(), "{name}: {faults:?}");
        let written = match name.as_str() {
            "accepted" => again::<Accepted>(&value),
            "planned" => again::<Planned>(&value),
            "step_command" => again::<StepCommand>(&value),
            "approval_asked" => again::<ApprovalAsked>(&value),
            "approval_answered" => again::<ApprovalAnswered>(&value),
            "audit_records" => again::<AuditRecords>(&value),
            "incident_opened" => again::<IncidentOpened>(&value),
            "finding" => again::<Finding>(&value),
            "incident_outcome" => again::<IncidentOutcome>(&value),
            "incident_acknowledged" => again::<IncidentAcknowledged>(&value),
            "incident_closed" => again::<IncidentClosed>(&value),
            other => panic!("no reader for {other}"),
        };
        assert_eq!(written, value, "{name}");
        assert_eq!(value["schema"], format!("instance.v1.{name}"));
        for field in value.as_object().unwrap().keys() {
            let mut without = value.clone();
            without.as_object_mut().unwrap().remove(field);
            let optional: &[&str] = match name.as_str() {
                "accepted" => &["plan", "facts", "traceparent"],
                "step_command" => &["change"],
                "approval_answered" | "incident_acknowledged" => &["note"],
                "incident_opened" => &["condition"],
                "finding" => &["condition", "title", "next_steps"],
                "incident_outcome" => &["condition", "reason"],
                _ => &[],
            };
            assert_eq!(
                validator.is_valid(&without),
                optional.contains(&field.as_str()),
                "{name} without {field}"
            );
        }
        names.push(name);
    }
    assert_eq!(names.len(), 11, "{names:?}");
}

#[test]
fn digests_and_hashes_of_the_examples_are_what_they_should_be() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/records");
    let read = |name: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(folder.join(format!("{name}.json"))).unwrap()).unwrap()
    };
    let accepted: Accepted = serde_json::from_value(read("accepted")).unwrap();
    let plan = accepted.plan.unwrap();
    assert_eq!(Plan::digest_of(&plan.changes()), plan.digest);
    assert_eq!(RemediationId::from(accepted.command.command_id), accepted.remediation_id);
    let opened: IncidentOpened = serde_json::from_value(read("incident_opened")).unwrap();
    let (finding, about) = (read("finding"), opened.condition.unwrap());
    assert_eq!(IncidentId::of(&opened.instance, about.as_str(), opened.entries[0]), opened.incident_id);
    assert_eq!(finding["finding_id"], opened.incident_id.finding(1).to_string());
    let command = opened.incident_id.command("grow-database-cache", 1);
    assert_eq!(finding["decision"]["command_id"], command.to_string());
    assert_eq!(read("incident_outcome")["remediation_id"], RemediationId::from(command).to_string());
    let audit = read("audit_records");
    for record in audit["records"].as_array().unwrap() {
        assert_eq!(AuditRecord::hash_of(record.as_object().unwrap()).as_str(), record["hash"], "{record:#}");
    }
}
