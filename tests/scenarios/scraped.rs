//! Analyst, gateway and a model beside the others: what they export is as the conventions want, and Prometheus, as Debian
//! ships it, scrapes them and is asked what it knows.

use std::{fmt::Write as _, fs, io::Write as _, net::SocketAddr, process::Command, time::Duration};

use instance_contract::{Finding, FindingSource, subject};
use instance_testkit::{ModelAnswer, ModelServer, eventually};
use serde_json::{Value, json};

use crate::{
    gateway::Caller,
    monitored::{debians, listening},
    pipeline::{INSTANCE, Pipeline},
    telemetry::{Receiver, listens_at, told_to},
};

const TOKEN: &str = "token-of-the-observer";
const PATIENCE: Duration = Duration::from_mins(2);
/// Grave, about licenses by its words, and of no row of the catalogue: the rules are unsure, and a model may choose.
const UNKNOWN: &str = "license daemon: unit table says 25, and 26 were handed out";
/// Job, and the process of the pipeline that it is.
const JOBS: [(&str, &str); 4] = [
    ("instance-router", "router-a"),
    ("instance-config-agent", "config-agent"),
    ("instance-analyst", "analyst"),
    ("instance-gateway", "gateway"),
];
/// What must be there once the story is told, each more than nothing.
const SERIES: [&str; 8] = [
    "sum(up{job=~\"instance-.+\"}) == 4",
    "sum(instance_health_ready{job=\"instance-analyst\"}) == 3",
    "sum(instance_remediation_count_total{job=\"instance-router\"}) > 0",
    "sum(instance_step_duration_seconds_count{job=\"instance-config-agent\"}) > 0",
    "sum(gen_ai_client_operation_duration_seconds_count{job=\"instance-analyst\",gen_ai_request_model=\"m-1\"}) > 0",
    "sum(instance_alert_count_total{job=\"instance-gateway\",instance_alert_outcome=\"escalated\"}) == 1",
    "sum(http_server_request_duration_seconds_count{job=\"instance-gateway\"}) > 0",
    "target_info{job=\"instance-router\",service_name=\"instance-router\"} == 1",
];

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_every_kind_of_service_and_exemplars_lead_to_spans_that_were_exported() {
    let (receiver, models) = (Receiver::start(), ModelServer::start());
    models.answer_with(|_| Some(ModelAnswer::json(&json!({"option": 0, "numbers": [], "confidence": 0.9}))));
    let mut pipeline = told_to(&receiver).await;
    pipeline.iris.start();
    pipeline.everything().await;
    let gateway = pipeline.gateway(TOKEN, &["alert", "read"]).await;
    let model = format!(
        "{{folder=\"{}\",tries=1,providers=[{{name=\"main\",base_url=\"{}\",model=\"m-1\"}}]}}",
        pipeline.path("model").display(),
        models.url()
    );
    pipeline.variable("INSTANCE_ANALYST__MODEL", &model);
    pipeline.analyst();
    pipeline.ready(&["analyst"]).await;
    told_all(&pipeline, &Caller::new(gateway, TOKEN)).await;

    let mut traces = None;
    if debians("prometheus").is_some() {
        let command = prometheus(&mut pipeline);
        let prometheus = Caller::new(listening(&mut pipeline, "prometheus", command).await, "");
        for query in SERIES {
            answered(&prometheus, query).await;
        }
        traces = Some(exemplars(&prometheus).await);
    }

    pipeline.drained().await;
    let report = receiver.report();
    assert_eq!(report["faults"], json!([]), "{report:#}");
    for role in ["analyst", "config-agent", "gateway", "generator", "router"] {
        assert!(
            report["services"].as_array().unwrap().contains(&json!(format!("instance-{role}"))),
            "{role}"
        );
    }
    for span in [
        "chat m-1",
        "POST /v1/alerts/alertmanager",
        "GET /v1/remediations",
        "publish instance.v1.incident.{instance}.{id}.finding.{number}",
        "process instance.v1.error.{host}.{instance}.{severity}",
    ] {
        assert!(report["spans"][span].as_u64() > Some(0), "no span \"{span}\" in {report:#}");
    }
    // By OTLP too, not on the page of a scrape alone.
    for metric in [
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
        "instance.model.cache.lookups",
        "instance.model.calls",
        "http.server.request.duration",
    ] {
        assert!(report["metrics"].as_array().unwrap().contains(&json!(metric)), "no {metric} in {report:#}");
    }
    let exported = report["traces"].as_array().unwrap();
    for trace in traces.into_iter().flatten() {
        assert!(exported.contains(&json!(trace)), "the exemplar's trace {trace} was never exported");
    }
}

/// An entry about which a model is asked, an alert for a person, a question by HTTP.
async fn told_all(pipeline: &Pipeline, caller: &Caller) {
    let mut log = fs::OpenOptions::new().append(true).open(pipeline.iris.log_path()).unwrap();
    writeln!(log, "09/01/26-10:00:00:000 (1) 3 [Utility.Event] {UNKNOWN}").unwrap();
    let alert = json!({"version": "4", "alerts": [{
        "status": "firing", "labels": {"alertname": "SomethingElse", "iris_instance": INSTANCE},
        "startsAt": "2026-11-21T08:00:00Z", "fingerprint": "f1",
    }]});
    let (status, told) = caller.post("/v1/alerts/alertmanager", &alert).await;
    assert_eq!((status, &told["alerts"][0]["outcome"]), (200, &json!("escalated")), "{told}");
    eventually(PATIENCE, || async {
        let findings = pipeline.bus.read_incidents(&subject::findings()).await.unwrap();
        let findings: Vec<Finding> = findings.iter().map(|record| record.json().unwrap()).collect();
        findings.iter().any(|finding| finding.source == FindingSource::Model).then_some(())
    })
    .await;
    // What the model chose is done.
    eventually(PATIENCE, || async {
        let (_, told) = caller.get("/v1/remediations?phase=ended").await;
        (told["found"].as_u64() > Some(0)).then_some(())
    })
    .await;
}

/// A Prometheus that keeps exemplars, and looks often.
fn prometheus(pipeline: &mut Pipeline) -> Command {
    let mut text = "global: {scrape_interval: 1s, evaluation_interval: 1s}\nscrape_configs:\n".to_owned();
    for (job, process) in JOBS {
        let target: SocketAddr = listens_at(pipeline, process).parse().unwrap();
        writeln!(text, "  - {{job_name: {job}, static_configs: [{{targets: [\"{target}\"]}}]}}").unwrap();
    }
    let file = pipeline.path("prometheus.yml");
    fs::write(&file, text).unwrap();
    let mut command = debians("prometheus").unwrap();
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.tsdb.path={}", pipeline.path("prometheus").display()));
    command.args(["--web.listen-address=127.0.0.1:0", "--enable-feature=exemplar-storage"]);
    command
}

/// Waits until Prometheus has an answer to the query.
async fn answered(prometheus: &Caller, query: &str) {
    let path = format!("/api/v1/query?query={}", encoded(query));
    let last = std::sync::Mutex::new(Value::Null);
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            let (status, told) = prometheus.get(&path).await;
            // It listens before it answers.
            if status != 503 {
                assert_eq!((status, &told["status"]), (200, &json!("success")), "{query}: {told}");
            }
            if told["data"]["result"].as_array().is_some_and(|result| !result.is_empty()) {
                return;
            }
            *last.lock().unwrap() = told;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    assert!(found.await.is_ok(), "{query}: {}", last.lock().unwrap());
}

/// The traces that exemplars of steps lead to, as Prometheus keeps them.
async fn exemplars(prometheus: &Caller) -> Vec<String> {
    let query = encoded("instance_step_duration_seconds_bucket");
    let path = format!("/api/v1/query_exemplars?query={query}&start=0&end=9999999999");
    eventually(PATIENCE, || async {
        let (_, told) = prometheus.get(&path).await;
        let series = told["data"].as_array().cloned().unwrap_or_default();
        let kept = series.iter().flat_map(|series| series["exemplars"].as_array().unwrap());
        let traces: Vec<String> =
            kept.map(|kept| kept["labels"]["trace_id"].as_str().unwrap().to_owned()).collect();
        (!traces.is_empty()).then_some(traces)
    })
    .await
}

/// For a query of a URL.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        write!(encoded, "%{byte:02X}").unwrap();
        encoded
    })
}
