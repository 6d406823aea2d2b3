//! Who is speaking: the resource attributes on every span, log record and metric.

use std::collections::BTreeMap;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;

use crate::destinations::{Lookup, value_of};
use crate::process;
use crate::start::Service;

const SERVICE_NAME: &str = "service.name";

/// The attributes of this process. `OTEL_SERVICE_NAME` beats `OTEL_RESOURCE_ATTRIBUTES`, which beats ours.
pub(crate) fn attributes(service: &Service<'_>, lookup: Lookup<'_>) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::from(
        [
            (SERVICE_NAME, format!("instance-{}", service.role)),
            ("service.namespace", "instance".to_owned()),
            ("service.version", service.version.to_owned()),
            ("service.instance.id", service.process_id.to_string()),
            ("host.name", service.host.to_owned()),
            ("process.pid", std::process::id().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let known = [
        ("deployment.environment.name", service.profile.map(environment)),
        ("host.id", process::machine_id()),
        ("container.id", process::container_id()),
        ("process.command", process::command()),
        ("process.creation.time", process::began_at().map(|at| at.to_string())),
        ("k8s.pod.name", value_of(lookup, "POD_NAME")),
        ("k8s.pod.uid", value_of(lookup, "POD_UID")),
        ("k8s.namespace.name", value_of(lookup, "POD_NAMESPACE")),
        ("k8s.node.name", value_of(lookup, "NODE_NAME")),
        ("k8s.container.name", value_of(lookup, "CONTAINER_NAME")),
    ];
    attributes.extend(known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    attributes.extend(value_of(lookup, "OTEL_RESOURCE_ATTRIBUTES").iter().flat_map(|raw| pairs(raw)));
    if let Some(name) = value_of(lookup, "OTEL_SERVICE_NAME") {
        attributes.insert(SERVICE_NAME.to_owned(), name);
    }
    attributes
}

/// The conventions have a word of their own for one of the profiles.
fn environment(profile: &str) -> String {
    if profile == "testing" { "test".to_owned() } else { profile.to_owned() }
}

/// The name under which logs and traces of this process are found.
pub(crate) fn service_name(attributes: &BTreeMap<String, String>) -> String {
    attributes.get(SERVICE_NAME).cloned().unwrap_or_default()
}

pub(crate) fn resource(attributes: BTreeMap<String, String>) -> Resource {
    let ours = attributes.into_iter().map(|(name, value)| match value.parse::<i64>() {
        // The conventions type the process id as an integer, alone among these.
        Ok(pid) if name == "process.pid" => KeyValue::new(name, pid),
        _ => KeyValue::new(name, value),
    });
    Resource::builder_empty().with_detector(Box::new(TelemetryResourceDetector)).with_attributes(ours).build()
}

/// `k=v,k=v`, percent-encoded; what cannot be read as a pair is left out, as the specification asks.
fn pairs(raw: &str) -> Vec<(String, String)> {
    raw.split(',')
        .filter_map(|pair| pair.split_once('='))
        .filter_map(|(name, value)| Some((decoded(name.trim())?, decoded(value.trim())?)))
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

fn decoded(raw: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_operator_has_the_last_word_on_the_name() {
        let service = Service {
            role: "router",
            version: "1.2.3",
            host: "db-1",
            process_id: Uuid::nil(),
            profile: Some("testing"),
        };
        let lookup = |name: &str| match name {
            "OTEL_SERVICE_NAME" => Some("named".to_owned()),
            "OTEL_RESOURCE_ATTRIBUTES" => {
                Some("service.name=lost, deployment.environment.name=a%20b,broken,host.name=other".to_owned())
            }
            _ => None,
        };
        let told = attributes(&service, &lookup);
        assert_eq!(service_name(&told), "named");
        assert_eq!(told["deployment.environment.name"], "a b");
        assert_eq!(told["host.name"], "other");
        assert_eq!(told["service.instance.id"], Uuid::nil().to_string());
        let told = attributes(&service, &|name| (name == "POD_NAME").then(|| "router-0".to_owned()));
        assert_eq!(service_name(&told), "instance-router");
        assert_eq!((&*told["deployment.environment.name"], &*told["k8s.pod.name"]), ("test", "router-0"));
        assert!(!told.contains_key("process.command_args"));
    }
}
