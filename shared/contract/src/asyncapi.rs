//! The AsyncAPI 3 document of everything that an outsider may publish or follow, generated from types and subjects.

use serde_json::{Map, Value, json};

use crate::{answer::CommandAnswer, schema};

struct Channel {
    id: &'static str,
    address: &'static str,
    parameters: &'static [(&'static str, &'static str)],
    message: &'static str,
    description: &'static str,
    stream: Option<&'static str>,
}

const INSTANCE: (&str, &str) =
    ("instance", "Name of the IRIS instance; bytes outside A-Z a-z 0-9 _ - are written =XX.");
const HOST: (&str, &str) = ("host", "Name of the machine; bytes outside A-Z a-z 0-9 _ - are written =XX.");
const SHARD: (&str, &str) =
    ("shard", "Shard of the instance, assigned by the server; follow with a wildcard.");
const AGENT: (&str, &str) = ("agent", "config-agent, os-agent or restart-agent.");
const REMEDIATION: (&str, &str) = ("remediation_id", "From the answer to the command.");

const LOG: Option<&str> = Some("INSTANCE_REMEDIATIONS_{shard}");
const STEP: (&str, &str) = ("step", "Id of the step.");
const ATTEMPT: (&str, &str) = ("attempt", "Counted from 1.");
const NUMBER: (&str, &str) = ("number", "Which approval of the remediation, counted from 1.");

const INCIDENT: (&str, &str) = ("incident", "Id of the incident.");
const INCIDENTS: Option<&str> = Some("INSTANCE_INCIDENTS");

const CHANNELS: [Channel; 17] = [
    Channel {
        id: "errors",
        address: "instance.v1.error.{host}.{instance}.{severity}",
        parameters: &[HOST, INSTANCE, ("severity", "info, warning, severe or fatal.")],
        message: "iris_message",
        description: "Entries of messages.log, each published once.",
        stream: Some("INSTANCE_ERRORS"),
    },
    Channel {
        id: "commands",
        address: "instance.v1.command.{instance}",
        parameters: &[INSTANCE],
        message: "remediation_command",
        description: "Commands to the router. Name a subject in the header Instance-Reply to be answered at once.",
        stream: Some("INSTANCE_COMMANDS"),
    },
    Channel {
        id: "accepted",
        address: "instance.v1.remediation.{shard}.{remediation_id}.accepted",
        parameters: &[SHARD, REMEDIATION],
        message: "accepted",
        description: "A command is the router's to finish; with its plan, when its turn has come at once.",
        stream: LOG,
    },
    Channel {
        id: "plans",
        address: "instance.v1.remediation.{shard}.{remediation_id}.planned",
        parameters: &[SHARD, REMEDIATION],
        message: "planned",
        description: "The plan of a command that had to wait, made at its turn.",
        stream: LOG,
    },
    Channel {
        id: "steps",
        address: "instance.v1.remediation.{shard}.{remediation_id}.step.{agent}.{host}.{step}.{attempt}",
        parameters: &[SHARD, REMEDIATION, AGENT, HOST, STEP, ATTEMPT],
        message: "step_command",
        description: "Carries a step to the agent that does it.",
        stream: LOG,
    },
    Channel {
        id: "results",
        address: "instance.v1.remediation.{shard}.{remediation_id}.result.{step}.{attempt}",
        parameters: &[SHARD, REMEDIATION, STEP, ATTEMPT],
        message: "tool_result",
        description: "What came of each attempt at each step.",
        stream: LOG,
    },
    Channel {
        id: "approvalsAsked",
        address: "instance.v1.remediation.{shard}.{remediation_id}.approval.{number}.asked",
        parameters: &[SHARD, REMEDIATION, NUMBER],
        message: "approval_asked",
        description: "A person is asked to agree to changes, which the digest names.",
        stream: LOG,
    },
    Channel {
        id: "approvalsAnswered",
        address: "instance.v1.remediation.{shard}.{remediation_id}.approval.{number}.answered",
        parameters: &[SHARD, REMEDIATION, NUMBER],
        message: "approval_answered",
        description: "The answer. Publish it with the header Nats-Expected-Last-Subject-Sequence: 0, for the first one \
                      counts and it is written once. It must name the digest that was asked about.",
        stream: LOG,
    },
    Channel {
        id: "endings",
        address: "instance.v1.remediation.{shard}.{remediation_id}.ended",
        parameters: &[SHARD, REMEDIATION],
        message: "workflow_trace",
        description: "The end of a remediation. Nothing follows it.",
        stream: LOG,
    },
    Channel {
        id: "audit",
        address: "instance.v1.audit.{shard}",
        parameters: &[SHARD],
        message: "audit_records",
        description: "The audit trail: one record for each record of the remediation log, chained by hashes.",
        stream: Some("INSTANCE_AUDIT"),
    },
    Channel {
        id: "incidents",
        address: "instance.v1.incident.{instance}.{incident}.opened",
        parameters: &[INSTANCE, INCIDENT],
        message: "incident_opened",
        description: "Something is wrong with an instance, or may be.",
        stream: INCIDENTS,
    },
    Channel {
        id: "findings",
        address: "instance.v1.incident.{instance}.{incident}.finding.{number}",
        parameters: &[INSTANCE, INCIDENT, ("number", "Counted from 1.")],
        message: "finding",
        description: "What is the matter, why that is believed, and what is done about it.",
        stream: INCIDENTS,
    },
    Channel {
        id: "outcomes",
        address: "instance.v1.incident.{instance}.{incident}.outcome.{command}",
        parameters: &[INSTANCE, INCIDENT, ("command", "Id of the command.")],
        message: "incident_outcome",
        description: "What came of a command that an incident led to.",
        stream: INCIDENTS,
    },
    Channel {
        id: "acknowledgements",
        address: "instance.v1.incident.{instance}.{incident}.acknowledged",
        parameters: &[INSTANCE, INCIDENT],
        message: "incident_acknowledged",
        description: "A person has seen it. Publish it with the header Nats-Expected-Last-Subject-Sequence: 0, for the \
                      first one counts and it is written once.",
        stream: INCIDENTS,
    },
    Channel {
        id: "closings",
        address: "instance.v1.incident.{instance}.{incident}.closed",
        parameters: &[INSTANCE, INCIDENT],
        message: "incident_closed",
        description: "The end of an incident.",
        stream: INCIDENTS,
    },
    Channel {
        id: "answers",
        address: "{reply}",
        parameters: &[("reply", "The subject that the sender named in the header Instance-Reply.")],
        message: "command_answer",
        description: "Accepted with its place in the queue, or refused with field, value and rule.",
        stream: None,
    },
    Channel {
        id: "generate",
        address: "instance.v1.generate",
        parameters: &[],
        message: "message_generation_request",
        description: "Asks the generator to invent messages; a plain request to its micro service endpoint.",
        stream: None,
    },
];

/// The document, version 3.0.0.
pub fn document() -> Value {
    let channels: Map<String, Value> =
        CHANNELS.iter().map(|channel| (channel.id.to_owned(), channel_json(channel))).collect();
    let messages: Map<String, Value> =
        CHANNELS.iter().map(|channel| (channel.message.to_owned(), message_json(channel))).collect();
    let mut messages = messages;
    messages.insert("generated".into(), generated_json());
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Instance",
            "version": "1.0.0",
            "description": "Heals InterSystems IRIS databases over NATS. Every subject here is stable within v1.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"nats": {
            "host": "localhost:4222", "protocol": "nats",
            "description": "NATS 2.10 or newer with JetStream.",
        }},
        "channels": with_reply_channel(channels),
        "operations": operations(),
        "components": {"messages": messages},
    })
}

fn with_reply_channel(mut channels: Map<String, Value>) -> Map<String, Value> {
    channels.insert(
        "generated".into(),
        json!({
            "address": null,
            "description": "The reply to a request: the invented messages.",
            "messages": {"generated": {"$ref": "#/components/messages/generated"}},
        }),
    );
    channels
}

fn channel_json(channel: &Channel) -> Value {
    let mut value = json!({
        "address": channel.address,
        "description": channel.description,
        "messages": {channel.message: {"$ref": format!("#/components/messages/{}", channel.message)}},
    });
    if !channel.parameters.is_empty() {
        let parameters: Map<String, Value> = channel
            .parameters
            .iter()
            .map(|(name, text)| ((*name).to_owned(), json!({"description": text})))
            .collect();
        value["parameters"] = parameters.into();
    }
    if let Some(stream) = channel.stream {
        value["x-jetstream-stream"] = stream.into();
    }
    value
}

fn message_json(channel: &Channel) -> Value {
    let mut properties = json!({
        "traceparent": {"type": "string", "description": "W3C trace context; optional on the way in."},
        "Nats-Msg-Id": {"type": "string", "description": "Deduplicates within two minutes."},
    });
    if matches!(channel.message, "approval_answered" | "incident_acknowledged") {
        let text = "0: refused by the server when an answer stands there already.";
        properties["Nats-Expected-Last-Subject-Sequence"] =
            json!({"type": "string", "const": "0", "description": text});
    }
    if channel.message == "remediation_command" {
        let text = "Subject for the CommandAnswer (JetStream uses the reply subject for itself).";
        properties[CommandAnswer::REPLY_HEADER] = json!({"type": "string", "description": text});
    }
    json!({
        "name": channel.message,
        "contentType": "application/json",
        "headers": {"type": "object", "properties": properties},
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": schema::inlined(channel.message).expect("every channel names a schema"),
        },
    })
}

fn generated_json() -> Value {
    json!({
        "name": "generated",
        "contentType": "application/json",
        "payload": {"type": "object", "required": ["seed", "count"], "properties": {
            "seed": {"type": "integer", "description": "Asking again with this seed gives the same bytes."},
            "count": {"type": "integer"},
            "messages": {"type": "array", "description": "IrisMessages, for output_format json."},
            "raw": {"type": "string", "description": "Lines of messages.log, for output_format raw."},
        }},
    })
}

fn operations() -> Value {
    let channel = |id: &str| json!({"$ref": format!("#/channels/{id}")});
    let messages = |id: &str, message: &str| json!([{"$ref": format!("#/channels/{id}/messages/{message}")}]);
    json!({
        "publishError": {"action": "send", "channel": channel("errors"),
            "messages": messages("errors", "iris_message"), "summary": "The generator publishes an entry."},
        "takeCommand": {"action": "receive", "channel": channel("commands"),
            "messages": messages("commands", "remediation_command"), "summary": "The router takes a command.",
            "reply": {"address": {"location": "$message.header#/Instance-Reply"}, "channel": channel("answers"),
                "messages": messages("answers", "command_answer")}},
        "publishAcceptance": {"action": "send", "channel": channel("accepted"),
            "messages": messages("accepted", "accepted"), "summary": "The router has accepted a command."},
        "publishPlan": {"action": "send", "channel": channel("plans"),
            "messages": messages("plans", "planned"), "summary": "The router has planned at its turn."},
        "sendStep": {"action": "send", "channel": channel("steps"),
            "messages": messages("steps", "step_command"), "summary": "The router sends a step to its agent."},
        "askForApproval": {"action": "send", "channel": channel("approvalsAsked"),
            "messages": messages("approvalsAsked", "approval_asked"), "summary": "The router asks a person."},
        "takeApproval": {"action": "receive", "channel": channel("approvalsAnswered"),
            "messages": messages("approvalsAnswered", "approval_answered"),
            "summary": "The router takes the answer of a person; it writes the expiry itself."},
        "publishAudit": {"action": "send", "channel": channel("audit"),
            "messages": messages("audit", "audit_records"), "summary": "The router tells what was decided and done."},
        "openIncident": {"action": "send", "channel": channel("incidents"),
            "messages": messages("incidents", "incident_opened"), "summary": "The analyst opens an incident."},
        "publishFinding": {"action": "send", "channel": channel("findings"),
            "messages": messages("findings", "finding"), "summary": "The analyst tells what it makes of it."},
        "publishOutcome": {"action": "send", "channel": channel("outcomes"),
            "messages": messages("outcomes", "incident_outcome"), "summary": "The analyst tells what came of a command."},
        "takeAcknowledgement": {"action": "receive", "channel": channel("acknowledgements"),
            "messages": messages("acknowledgements", "incident_acknowledged"), "summary": "The analyst hears that a person has seen it."},
        "closeIncident": {"action": "send", "channel": channel("closings"),
            "messages": messages("closings", "incident_closed"), "summary": "The analyst closes an incident."},
        "publishResult": {"action": "send", "channel": channel("results"),
            "messages": messages("results", "tool_result"), "summary": "An agent answers for an attempt."},
        "publishEnd": {"action": "send", "channel": channel("endings"),
            "messages": messages("endings", "workflow_trace"), "summary": "The router tells the end."},
        "generateMessages": {"action": "receive", "channel": channel("generate"),
            "messages": messages("generate", "message_generation_request"),
            "summary": "The generator invents messages.", "bindings": {"nats": {"queue": "q"}},
            "reply": {"channel": channel("generated"), "messages": messages("generated", "generated")}},
    })
}
