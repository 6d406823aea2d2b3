//! The OpenAPI 3.1 document, made from the types that the routes take and give.

use axum::Json;
use instance_contract::{ApprovalAnswered, Fault, schema};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    alerts::{AlertmanagerWebhook, AlertsTaken},
    approvals::ApprovalAnswer,
    assert::Asserted,
    commands::CommandTaken,
    problem::Problem,
};

/// One route and method.
struct Operation {
    path: &'static str,
    method: &'static str,
    id: &'static str,
    /// The word of the setting `may`; empty where no credential is needed.
    right: &'static str,
    summary: &'static str,
    /// Name, place (`path`, `query`, `header`), meaning.
    parameters: &'static [(&'static str, &'static str, &'static str)],
    body: Option<&'static str>,
    /// Status, meaning, schema; an empty schema is plain text, `event-stream` the events.
    answers: &'static [(&'static str, &'static str, &'static str)],
}

const BAD: (&str, &str, &str) = ("422", "Every fault of the input: field, value, rule.", "Problem");
const AWAY: (&str, &str, &str) = ("503", "The bus does not answer; try again.", "Problem");
const UNKNOWN: (&str, &str, &str) = ("404", "No remediation and no command has that id.", "Problem");
const ID: (&str, &str, &str) = ("id", "path", "The id of a remediation or of its command.");

const OPERATIONS: [Operation; 10] = [
    Operation {
        path: "/livez",
        method: "get",
        id: "livez",
        right: "",
        summary: "Does the process turn?",
        parameters: &[],
        body: None,
        answers: &[("200", "It does.", "")],
    },
    Operation {
        path: "/readyz",
        method: "get",
        id: "readyz",
        right: "",
        summary: "Can it do its work: is the bus there, and no drain asked for?",
        parameters: &[("verbose", "query", "Say what was looked at.")],
        body: None,
        answers: &[("200", "It can.", "text"), ("503", "It cannot.", "text")],
    },
    Operation {
        path: "/v1/openapi.json",
        method: "get",
        id: "openapi",
        right: "",
        summary: "This document.",
        parameters: &[],
        body: None,
        answers: &[("200", "OpenAPI 3.1.", "Any")],
    },
    Operation {
        path: "/v1/alerts/alertmanager",
        method: "post",
        id: "takeAlerts",
        right: "alert",
        summary: "The webhook of Alertmanager, version 4. Each alert is handled for its own instance, and once.",
        parameters: &[],
        body: Some("AlertmanagerWebhook"),
        answers: &[("200", "What was made of each alert.", "AlertsTaken"), BAD, AWAY],
    },
    Operation {
        path: "/v1/commands",
        method: "post",
        id: "takeCommand",
        right: "command",
        summary: "A RemediationCommand; `requested_by` is the name of the credential.",
        parameters: &[],
        body: Some("RemediationCommand"),
        answers: &[
            ("202", "The bus has it; the header Location says where to follow it.", "CommandTaken"),
            ("403", "It speaks in another name.", "Problem"),
            ("409", "The router refused it, with every fault.", "Problem"),
            BAD,
            AWAY,
        ],
    },
    Operation {
        path: "/v1/remediations",
        method: "get",
        id: "listRemediations",
        right: "read",
        summary: "What the bus remembers, the newest first.",
        parameters: &[
            ("instance", "query", "Only of this instance."),
            (
                "phase",
                "query",
                "queued, waiting_approval, running, unwinding, ended; open: all but the last.",
            ),
            ("limit", "query", "How many at most, 1 to 1000; 100 when not said."),
            ("before", "query", "`next` of an earlier answer: what is older."),
            ("since", "query", "RFC 3339; only what began then or later."),
        ],
        body: None,
        answers: &[("200", "The remediations.", "Remediations"), BAD, AWAY],
    },
    Operation {
        path: "/v1/remediations/{id}",
        method: "get",
        id: "getRemediation",
        right: "read",
        summary: "Where one remediation stands, and its WorkflowTrace once it has ended.",
        parameters: &[ID],
        body: None,
        answers: &[("200", "The remediation.", "Remediation"), UNKNOWN, BAD, AWAY],
    },
    Operation {
        path: "/v1/remediations/{id}/approvals",
        method: "post",
        id: "answerApproval",
        right: "approve",
        summary: "A person's answer to the open question, bound to the digest of the changes that were shown.",
        parameters: &[ID],
        body: Some("ApprovalAnswer"),
        answers: &[
            ("201", "It is written down. The first answer counts.", "ApprovalAnswered"),
            ("403", "Policy does not let the caller approve.", "Problem"),
            ("409", "Nothing is asked, other changes are asked for, or it is too late.", "Problem"),
            UNKNOWN,
            BAD,
            AWAY,
        ],
    },
    Operation {
        path: "/v1/events",
        method: "get",
        id: "events",
        right: "read",
        summary: "The remediation log as it is written, as server-sent events; from now on unless said otherwise.",
        parameters: &[
            ("remediation", "query", "Only of this remediation id."),
            ("from_start", "query", "true: from the first record that the bus remembers."),
            ("Last-Event-ID", "header", "Behind the event with this id, so that nothing is missed."),
        ],
        body: None,
        answers: &[("200", "Events: accepted, planned, step, result, ...", "event-stream"), BAD, AWAY],
    },
    Operation {
        path: "/v1/assert",
        method: "get",
        id: "assertVerdict",
        right: "read",
        summary: "Is a chaos run what it should be? For tools that look at the status only.",
        parameters: &[
            ("label", "query", "The label of the run (required)."),
            ("verdict", "query", "verified, missed, wrong, invalid or error (required)."),
            ("scenario", "query", "Only of this scenario."),
            ("none", "query", "true: no scenario may have that verdict."),
        ],
        body: None,
        answers: &[
            ("200", "It is.", "Asserted"),
            ("409", "It is not, or there is no such run.", "Problem"),
            BAD,
        ],
    },
];

pub(crate) async fn show() -> Json<Value> {
    Json(document())
}

/// The document, version 3.1.0.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in &OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = operation_json(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Instance: gateway",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Alerts and commands in, what became of them out. What others hear on the bus itself is in \
                            the AsyncAPI document (`instance schema asyncapi`).",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token of the caller's token_file."},
                "signature": {
                    "type": "apiKey", "in": "header", "name": "Instance-Signature",
                    "description": "sha256= and the HMAC-SHA256, in hex, of Instance-Timestamp, method, path with query, and \
                                    body, a line feed after each of the first three, with a key of the caller's key_file. Instance-Timestamp: Unix seconds, at most 300 from now.",
                },
            },
        },
    })
}

fn operation_json(operation: &Operation) -> Value {
    let mut value = json!({"operationId": operation.id, "summary": operation.summary});
    let parameters: Vec<Value> = operation.parameters.iter().map(parameter_json).collect();
    if !parameters.is_empty() {
        value["parameters"] = parameters.into();
    }
    if let Some(body) = operation.body {
        value["requestBody"] = json!({"required": true, "content": {"application/json": content(body)}});
    }
    let mut answers: Map<String, Value> =
        operation.answers.iter().map(|answer| (answer.0.to_owned(), answer_json(answer))).collect();
    let problem = |meaning: &str| answer_json(&("", meaning, "Problem"));
    if operation.right.is_empty() {
        value["security"] = json!([]);
    } else {
        value["security"] = json!([{"bearer": []}, {"signature": []}]);
        value["x-right"] = json!(operation.right);
        answers.insert("401".to_owned(), problem("No credential, or none that is known."));
        answers.entry("403").or_insert_with(|| problem("The caller may not do this."));
    }
    answers.insert("429".to_owned(), problem("Too many requests."));
    answers.sort_keys();
    value["responses"] = answers.into();
    value
}

fn parameter_json((name, place, meaning): &(&str, &str, &str)) -> Value {
    let required = *place == "path" || meaning.ends_with("(required).");
    json!({"name": name, "in": place, "description": meaning, "required": required, "schema": {"type": "string"}})
}

fn answer_json((_, meaning, schema): &(&str, &str, &str)) -> Value {
    let kind = match *schema {
        "" => return json!({"description": meaning}),
        "event-stream" => {
            let text = json!({"schema": {"type": "string"}});
            return json!({"description": meaning, "content": {"text/event-stream": text}});
        }
        "text" => {
            let text = json!({"schema": {"type": "string"}});
            return json!({"description": meaning, "content": {"text/plain": text}});
        }
        "Problem" => "application/problem+json",
        _ => "application/json",
    };
    json!({"description": meaning, "content": {kind: content(schema)}})
}

fn content(schema: &str) -> Value {
    json!({"schema": {"$ref": format!("#/components/schemas/{schema}")}})
}

/// Every schema that is named above, and what those name.
fn schemas() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
    });
    let mut generator = settings.into_generator();
    named::<Problem>(&mut generator);
    named::<Fault>(&mut generator);
    named::<AlertmanagerWebhook>(&mut generator);
    named::<AlertsTaken>(&mut generator);
    named::<CommandTaken>(&mut generator);
    named::<ApprovalAnswer>(&mut generator);
    named::<ApprovalAnswered>(&mut generator);
    named::<Asserted>(&mut generator);
    let mut schemas = generator.take_definitions(true);
    let contract = |name| schema::inlined(name).expect("a contract of that name");
    schemas.insert("RemediationCommand".to_owned(), contract("remediation_command"));
    schemas.insert("WorkflowTrace".to_owned(), contract("workflow_trace"));
    schemas.insert("Remediation".to_owned(), remediation());
    schemas.insert("Remediations".to_owned(), remediations());
    schemas.insert("Any".to_owned(), json!(true));
    schemas.sort_keys();
    schemas
}

fn named<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}

/// The document that `instance status --json` gives too; a test holds real ones against it.
fn remediation() -> Value {
    let text = || json!({"type": ["string", "null"]});
    json!({
        "type": "object",
        "required": ["remediation_id", "shard", "phase", "state", "overall_status", "steps", "oddities"],
        "properties": {
            "remediation_id": {"type": "string", "format": "uuid"},
            "shard": {"type": "integer"},
            "command_id": text(), "trace_id": text(), "instance": text(),
            "phase": {"enum": ["queued", "waiting_approval", "running", "unwinding", "ended"]},
            "state": {"enum": ["pending", "validating", "executing", "completed", "failed"]},
            "overall_status": text(), "priority": text(), "requested_by": text(), "recommended_action": text(),
            "accepted_at": text(), "deadline": text(), "ended_at": text(),
            "approval": {
                "type": ["object", "null"],
                "description": "The open question to a person: its number, digest, changes and expires_at.",
            },
            "place": {"type": ["integer", "null"]},
            "steps": {"type": "array", "items": {
                "type": "object",
                "required": ["id", "agent", "host", "attempt", "status"],
            }},
            "oddities": {"type": "array", "items": {"type": "string"}},
            "trace": {
                "description": "Once it has ended, when it was asked for alone.",
                "anyOf": [{"$ref": "#/components/schemas/WorkflowTrace"}, {"type": "null"}],
            },
        },
    })
}

fn remediations() -> Value {
    json!({
        "type": "object",
        "required": ["remediations", "found", "next"],
        "properties": {
            "remediations": {"type": "array", "items": {"$ref": "#/components/schemas/Remediation"}},
            "found": {"type": "integer", "description": "How many are in this answer."},
            "next": {
                "type": ["string", "null"],
                "description": "Where older ones may be: the parameter `before` of the next question. Null: there are none. \
                    Fewer than the limit, or none at all, may come with it.",
            },
        },
    })
}
