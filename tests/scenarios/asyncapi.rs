//! The AsyncAPI document is one: structure, references and parameters, by the rules of AsyncAPI 3.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::pipeline::command;

#[test]
fn the_document_is_a_sound_asyncapi_3() {
    let printed = command("instance").args(["schema", "asyncapi"]).output().unwrap();
    assert!(printed.status.success());
    let document: Value = serde_json::from_slice(&printed.stdout).unwrap();

    assert_eq!(document["asyncapi"], "3.0.0");
    for needed in ["title", "version"] {
        assert!(document["info"][needed].is_string(), "info.{needed}");
    }
    let known =
        ["asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"];
    for name in document.as_object().unwrap().keys() {
        assert!(known.contains(&name.as_str()) || name.starts_with("x-"), "{name} at the root");
    }
    for (name, server) in document["servers"].as_object().unwrap() {
        assert!(server["host"].is_string() && server["protocol"] == "nats", "server {name}");
    }
    every_reference_leads_somewhere(&document, &document, "#");
    for (name, channel) in document["channels"].as_object().unwrap() {
        check_channel(name, channel);
    }
    for (name, operation) in document["operations"].as_object().unwrap() {
        check_operation(&document, name, operation);
    }
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        check_message(name, message);
    }
}

#[test]
fn what_a_plain_client_needs_is_in_it() {
    let printed = command("instance").args(["schema", "asyncapi"]).output().unwrap();
    let document: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let addresses: BTreeSet<&str> =
        document["channels"].as_object().unwrap().values().filter_map(|it| it["address"].as_str()).collect();
    for address in [
        "instance.v1.error.{host}.{instance}.{severity}",
        "instance.v1.command.{instance}",
        "instance.v1.remediation.{shard}.{remediation_id}.accepted",
        "instance.v1.remediation.{shard}.{remediation_id}.step.{agent}.{host}.{step}.{attempt}",
        "instance.v1.remediation.{shard}.{remediation_id}.approval.{number}.answered",
        "instance.v1.remediation.{shard}.{remediation_id}.ended",
        "instance.v1.audit.{shard}",
        "instance.v1.incident.{instance}.{incident}.finding.{number}",
        "instance.v1.generate",
    ] {
        assert!(addresses.contains(address), "{address} is not among {addresses:?}");
    }
    let headers = &document["components"]["messages"]["remediation_command"]["headers"]["properties"];
    assert!(headers["Instance-Reply"].is_object() && headers["traceparent"].is_object(), "{headers}");
    let replies = document["operations"].as_object().unwrap().values().filter(|it| it["reply"].is_object());
    assert_eq!(replies.count(), 2, "a command and a request to generate are answered");
}

fn every_reference_leads_somewhere(document: &Value, value: &Value, at: &str) {
    match value {
        Value::Object(fields) => {
            // Inside a schema, a reference counts from the root of that schema.
            let root = if fields.contains_key("$schema") { value } else { document };
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                let pointer =
                    reference.strip_prefix('#').unwrap_or_else(|| panic!("{at}: {reference} is outside"));
                assert!(root.pointer(pointer).is_some(), "{at}: {reference} leads nowhere");
            }
            for (name, inner) in fields {
                every_reference_leads_somewhere(root, inner, &format!("{at}/{name}"));
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                every_reference_leads_somewhere(document, inner, &format!("{at}/{index}"));
            }
        }
        _ => {}
    }
}

/// The parameters of the address are those that are described, and every message is one of the components.
fn check_channel(name: &str, channel: &Value) {
    let address = channel["address"].as_str().unwrap_or_default();
    let named: BTreeSet<&str> =
        address.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect();
    let described: BTreeSet<&str> =
        channel["parameters"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    assert_eq!(named, described, "parameters of channel {name}");
    let messages =
        channel["messages"].as_object().unwrap_or_else(|| panic!("channel {name} has no messages"));
    assert!(!messages.is_empty(), "channel {name}");
    for (message, reference) in messages {
        let expected = format!("#/components/messages/{message}");
        assert_eq!(reference["$ref"], expected, "channel {name}");
    }
}

/// An operation names its messages through its channel, not past it.
fn check_operation(document: &Value, name: &str, operation: &Value) {
    assert!(["send", "receive"].contains(&operation["action"].as_str().unwrap()), "operation {name}");
    let mut ends = vec![operation];
    if operation["reply"].is_object() {
        ends.push(&operation["reply"]);
    }
    for end in ends {
        let channel = end["channel"]["$ref"].as_str().unwrap_or_else(|| panic!("operation {name}"));
        assert!(channel.starts_with("#/channels/"), "operation {name}: {channel}");
        for message in end["messages"].as_array().unwrap() {
            let reference = message["$ref"].as_str().unwrap();
            assert!(reference.starts_with(&format!("{channel}/messages/")), "operation {name}: {reference}");
        }
    }
    if let Some(location) = operation.pointer("/reply/address/location") {
        let header = location.as_str().unwrap().strip_prefix("$message.header#/").unwrap();
        let message = operation["messages"][0]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        let headers = &document["components"]["messages"][message]["headers"]["properties"];
        assert!(headers[header].is_object(), "operation {name}: {message} has no header {header}");
    }
}

fn check_message(name: &str, message: &Value) {
    assert!(message["contentType"].is_string() || message["payload"].is_object(), "message {name}");
    let payload = &message["payload"];
    if payload["schemaFormat"].is_string() {
        assert_eq!(
            payload["schemaFormat"], "application/schema+json;version=draft-2020-12",
            "message {name}"
        );
        jsonschema::draft202012::meta::validate(&payload["schema"])
            .unwrap_or_else(|error| panic!("message {name}: {error}"));
    }
    if message["headers"].is_object() {
        assert_eq!(message["headers"]["type"], "object", "headers of {name}");
    }
}
