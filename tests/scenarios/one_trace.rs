//! One trace tells the whole story, across processes: from the log line to the verification.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::TcpListener,
    time::Duration,
};

use async_nats::jetstream::message::StreamMessage;
use instance_bus::Headers;
use instance_clock::{Clock as _, SystemClock};
use instance_contract::{IrisMessage, RemediationId};
use serde_json::{Value, json};

use crate::{
    gateway::Caller,
    otlp::{Receiver, Span},
    pipeline::{INSTANCE, PANIC, Pipeline, wish},
};

const TOKEN: &str = "token-of-the-tracer";
const INTERNAL: i32 = 1;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

/// A panic of the instance, its log line on the bus.
async fn broken(pipeline: &mut Pipeline) -> (StreamMessage, IrisMessage) {
    pipeline.iris.start();
    pipeline.everything().await;
    pipeline.iris.says(PANIC, 0).await;
    pipeline.told("global-buffers-insufficient").await
}

/// The line is answered by a command in its trace, and the remediation succeeds. Trace and remediation id.
async fn healed(pipeline: &mut Pipeline) -> (String, RemediationId) {
    let (stored, message) = broken(pipeline).await;
    let mut wish = wish::set_cpf("globals", "0,0,512,0,0,0", true);
    wish["trace_id"] = message.trace_id.to_string().into();
    let traceparent = stored.headers.get("traceparent").expect("the generator begins a trace").to_string();
    let headers = Headers::new().with("traceparent", &traceparent);
    let answer = pipeline.ask_bytes(INSTANCE, wish.to_string().into_bytes(), headers).await;
    let id = answer.remediation_id.unwrap();
    pipeline.succeeded(id).await;
    (message.trace_id.to_string(), id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_line_its_command_and_its_cure_are_one_tree_of_spans() {
    let receiver = Receiver::start();
    let mut pipeline = Pipeline::new(&["--globals", "256", "--dirty-mb", "200"]).await;
    pipeline.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    let (trace_id, id) = healed(&mut pipeline).await;
    pipeline.every_payload_is_in(&trace_id, id).await;
    // What is still in memory is exported at the end.
    pipeline.drained().await;

    let spans = receiver.spans_of(&trace_id);
    check_tree(&spans);
    spans.iter().for_each(check_names);
    check_story(&spans, &["config-agent", "generator", "restart-agent", "router"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_rule_answers_in_the_same_trace() {
    let receiver = Receiver::start();
    let mut pipeline = Pipeline::new(&["--globals", "256", "--dirty-mb", "200"]).await;
    pipeline.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    pipeline.analyst();
    let (_, message) = broken(&mut pipeline).await;
    let trace_id = message.trace_id.to_string();
    let id = pipeline.accepted_in(&trace_id).await;
    pipeline.succeeded(id).await;
    pipeline.every_payload_is_in(&trace_id, id).await;
    assert!(pipeline.iris.cpf().contains("\nglobals=0,0,512,0,0,0\n"), "the rule doubles it");
    pipeline.drained().await;

    let spans = receiver.spans_of(&trace_id);
    check_tree(&spans);
    spans.iter().for_each(check_names);
    // The rule looks at the memory of the host before it doubles anything, and asks os-agent for it.
    check_story(&spans, &["analyst", "config-agent", "generator", "os-agent", "restart-agent", "router"]);
    for name in
        ["process instance.v1.error.{host}.{instance}.{severity}", "publish instance.v1.command.{instance}"]
    {
        assert!(spans.iter().any(|span| span.service == "instance-analyst" && span.name == name), "{name}");
    }
}

/// By HTTP and by a client of NATS that has no tracer, or another trace under way: all that is told of a command is told in
/// the trace that it names.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_in_its_own_trace_however_it_comes() {
    let receiver = Receiver::start();
    let mut pipeline = Pipeline::new(&[]).await;
    pipeline.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    pipeline.variable("INSTANCE_TELEMETRY__LOG_FILTER", "info,instance=debug");
    pipeline.iris.start();
    pipeline.everything().await;
    let caller = Caller::new(pipeline.gateway(TOKEN, &["alert", "command", "read"]).await, TOKEN);

    let mut commands = Vec::new();
    let (status, taken) =
        caller.post("/v1/commands", &wish::set_cpf("globals", "0,0,300,0,0,0", false)).await;
    assert_eq!(status, 202, "{taken}");
    commands.push((taken["trace_id"].clone(), taken["remediation_id"].clone(), "by HTTP"));
    pipeline.ended(taken["remediation_id"].as_str().unwrap().parse().unwrap()).await;
    for (headers, how) in [
        (Headers::new(), "without a trace"),
        (
            Headers::new().with("traceparent", &format!("00-{}-00f067aa0ba902b7-01", "4bf92f35".repeat(4))),
            "in another",
        ),
    ] {
        let wish = wish::set_cpf("globals", &format!("0,0,{},0,0,0", 301 + commands.len()), false);
        let answer = pipeline.ask_bytes(INSTANCE, wish.to_string().into_bytes(), headers).await;
        commands.push((wish["trace_id"].clone(), json!(answer.remediation_id.unwrap()), how));
        // One after the other: none waits for another's end.
        pipeline.ended(answer.remediation_id.unwrap()).await;
    }
    // What an alert becomes has a trace that follows from the alert.
    let alert = json!({"version": "4", "alerts": [{
        "status": "firing", "labels": {"alertname": "IrisLicenseEnds", "iris_instance": INSTANCE},
        "startsAt": SystemClock.now().to_string(), "fingerprint": "f1",
    }]});
    let (status, told) = caller.post("/v1/alerts/alertmanager", &alert).await;
    assert_eq!((status, &told["alerts"][0]["outcome"]), (200, &json!("commanded")), "{told}");
    let id = &told["alerts"][0]["remediation_id"];
    let accepted = pipeline.recorded(id.as_str().unwrap().parse().unwrap(), "accepted").await;
    commands.push((accepted.json::<Value>().unwrap()["trace_id"].clone(), id.clone(), "by an alert"));
    for (trace_id, id, how) in &commands {
        let id: RemediationId = id.as_str().unwrap().parse().unwrap();
        pipeline.ended(id).await;
        for record in pipeline.records(id).await {
            let payload: Value = record.json().unwrap();
            assert_eq!(payload["trace_id"], *trace_id, "{how}: {}", record.subject);
            let header = record.headers.get("traceparent").unwrap_or_default();
            let begin = format!("00-{}-", trace_id.as_str().unwrap());
            assert!(header.starts_with(&begin), "{how}: {} has {header}, not {begin}", record.subject);
        }
    }
    pipeline.drained().await;
    for (trace_id, _, how) in &commands {
        let spans = receiver.spans_of(trace_id.as_str().unwrap());
        let of = |service: &str, begin: &str| {
            let mut all = spans.iter().filter(|span| span.service == service);
            assert!(all.any(|span| span.name.starts_with(begin)), "{how}: {service}\n{}", drawn(&spans));
        };
        of("instance-router", "publish instance.v1.remediation");
        of("instance-config-agent", "process instance.v1.remediation");
        of(if how.starts_with("by") { "instance-gateway" } else { "instance-router" }, "take command");
        let lines = pipeline.service("config-agent").log_lines();
        assert!(lines.iter().any(|line| line["trace_id"] == *trace_id), "{how}: no line carries {trace_id}");
    }
}

/// Who took part, and what each of them must have told.
fn check_story(spans: &[Span], services: &[&str]) {
    let told: BTreeSet<&str> =
        spans.iter().filter_map(|span| span.service.strip_prefix("instance-")).collect();
    assert_eq!(told, services.iter().copied().collect());
    let log = "instance.v1.remediation.{shard}.{id}";
    for (service, name) in [
        ("generator", "publish instance.v1.error.{host}.{instance}.{severity}".to_owned()),
        ("router", "process instance.v1.command.{instance}".to_owned()),
        ("router", format!("publish {log}.accepted")),
        ("router", format!("publish {log}.step.{{agent}}.{{host}}.{{step}}.{{attempt}}")),
        ("config-agent", format!("process {log}.step.{{agent}}.{{host}}.{{step}}.{{attempt}}")),
        ("config-agent", format!("publish {log}.result.{{step}}.{{attempt}}")),
        ("restart-agent", format!("process {log}.step.{{agent}}.{{host}}.{{step}}.{{attempt}}")),
        ("restart-agent", format!("publish {log}.result.{{step}}.{{attempt}}")),
        ("router", format!("process {log}.result.{{step}}.{{attempt}}")),
        ("router", format!("publish {log}.ended")),
    ] {
        let is_there =
            spans.iter().any(|span| span.service == format!("instance-{service}") && span.name == name);
        assert!(is_there, "no span \"{name}\" of {service} in\n{}", drawn(spans));
    }
}

/// Exactly one root, and every other span hangs below a span of the same trace.
fn check_tree(spans: &[Span]) {
    let known: BTreeMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    assert_eq!(known.len(), spans.len(), "an id twice");
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    assert_eq!(roots.len(), 1, "{roots:?}");
    assert_eq!(roots[0].service, "instance-generator");
    for span in spans.iter().filter(|span| !span.parent.is_empty()) {
        assert!(
            known.contains_key(span.parent.as_str()),
            "the parent of {span:?} is not in\n{}",
            drawn(spans)
        );
    }
    for consumer in spans.iter().filter(|span| span.kind == CONSUMER) {
        let parent = known[consumer.parent.as_str()];
        assert_eq!(parent.kind, PRODUCER, "{consumer:?} is not below what was published:\n{}", drawn(spans));
    }
}

/// Names and kinds as the messaging conventions want them; nothing of the server's own subjects.
fn check_names(span: &Span) {
    let attribute = |name: &str| span.attributes.get(name).map(String::as_str);
    let operation = match span.kind {
        PRODUCER => "publish",
        CONSUMER => "process",
        CLIENT => attribute("messaging.operation.name").unwrap_or_default(),
        INTERNAL => {
            assert_eq!(attribute("messaging.system"), None, "{span:?}");
            ""
        }
        other => panic!("kind {other}: {span:?}"),
    };
    if !operation.is_empty() {
        let template = attribute("messaging.destination.template");
        let name =
            template.map_or_else(|| operation.to_owned(), |template| format!("{operation} {template}"));
        assert_eq!(span.name, name);
        let kind = match operation {
            "publish" => "send",
            "process" => "process",
            "ack" | "nak" | "term" => "settle",
            other => panic!("operation {other}: {span:?}"),
        };
        assert_eq!(
            (
                attribute("messaging.system"),
                attribute("messaging.operation.name"),
                attribute("messaging.operation.type")
            ),
            (Some("nats"), Some(operation), Some(kind)),
            "{span:?}"
        );
        assert!(!span.name.chars().any(|c| c.is_ascii_digit() && !span.name.contains(".v1.")), "{span:?}");
    }
    for text in span.attributes.values().chain([&span.name]) {
        for foreign in ["_INBOX", "$JS.", "$SRV", "$KV"] {
            assert!(!text.contains(foreign), "{foreign} in {span:?}");
        }
    }
}

/// For the message of a failed test.
fn drawn(spans: &[Span]) -> String {
    let line = |span: &Span| format!("{} <- {} {} {}\n", span.id, span.parent, span.service, span.name);
    spans.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_endpoint_nothing_is_exported_and_log_lines_carry_the_trace() {
    // Where an exporter would go that nobody has told otherwise. Taken: then somebody else would hear it.
    let default = TcpListener::bind("127.0.0.1:4318").ok().map(Receiver::listen);
    let mut pipeline = Pipeline::new(&["--globals", "256", "--dirty-mb", "200"]).await;
    pipeline.variable("INSTANCE_TELEMETRY__LOG_FILTER", "info,instance=debug");
    let (trace_id, id) = healed(&mut pipeline).await;
    pipeline.every_payload_is_in(&trace_id, id).await;
    let server: u16 = pipeline.server.url().rsplit(':').next().unwrap().parse().unwrap();
    let services = ["generator", "router-a", "config-agent", "restart-agent"];
    for service in services {
        assert_eq!(connections(pipeline.service(service).pid()), BTreeSet::from([server]), "{service}");
    }
    pipeline.drained().await;
    if let Some(receiver) = default {
        assert_eq!(receiver.requests(), Vec::<String>::new());
    }
    for service in services {
        let lines = pipeline.service(service).log_lines();
        assert!(lines.iter().all(|line| line["time"].is_string() && line["level"].is_string()), "{service}");
    }
    for service in ["router-a", "config-agent", "restart-agent"] {
        let lines = pipeline.service(service).log_lines();
        let told = lines.iter().any(|line: &Value| line["trace_id"] == trace_id.as_str());
        assert!(told, "no line of {service} carries {trace_id}:\n{}", pipeline.service(service).log());
    }
}

/// The ports that a process is connected to.
fn connections(pid: u32) -> BTreeSet<u16> {
    let sockets: BTreeSet<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|fd| fs::read_link(fd.ok()?.path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|target| Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table =
        ["tcp", "tcp6"].map(|name| fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default());
    let rows = table.iter().flat_map(|text| text.lines().skip(1));
    rows.map(|row| row.split_whitespace().collect::<Vec<_>>())
        .filter(|row| sockets.contains(row[9]))
        .map(|row| u16::from_str_radix(row[2].rsplit(':').next().unwrap(), 16).unwrap())
        .filter(|port| *port != 0)
        .collect()
}

impl Pipeline {
    /// Every payload about a remediation carries the trace, and so does what is on the wire beside it.
    async fn every_payload_is_in(&self, trace_id: &str, id: RemediationId) {
        let records = self.records(id).await;
        assert!(records.len() >= 8, "accepted, three steps and results, ended: {records:?}");
        for record in &records {
            let payload: Value = record.json().unwrap();
            assert_eq!(payload["trace_id"], trace_id, "{}", record.subject);
            let header = record.headers.get("traceparent").unwrap_or_default();
            assert!(
                header.starts_with(&format!("00-{trace_id}-")),
                "{}: traceparent {header}",
                record.subject
            );
        }
    }

    /// The remediation that was accepted in a trace.
    pub async fn accepted_in(&self, trace_id: &str) -> RemediationId {
        let find = async {
            loop {
                for shard in self.bus.topology().await.unwrap().shards() {
                    for record in self.stored(&format!("INSTANCE_REMEDIATIONS_{shard}")).await {
                        let payload: Value = serde_json::from_slice(&record.payload).unwrap();
                        let is_dry = payload["command"]["dry_run"] == true;
                        if payload["trace_id"] == trace_id
                            && payload["schema"] == "instance.v1.accepted"
                            && !is_dry
                        {
                            return payload["remediation_id"].as_str().unwrap().parse().unwrap();
                        }
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(15), find).await;
        found.unwrap_or_else(|_| panic!("nothing was accepted in trace {trace_id}:\n{}", self.logs()))
    }
}
