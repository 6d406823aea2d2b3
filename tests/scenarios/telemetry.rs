//! What all processes tell of themselves, read by others: every span, metric and log record by a receiver in Python that
//! knows the conventions, every scrape by `promtool`. And in none of it a secret.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use instance_bus::Headers;
use instance_testkit::skipped;
use serde_json::{Value, json};

use crate::pipeline::{AGENTS, INSTANCE, PANIC, Pipeline, command, source_tree, wish};

/// A text with a secret of each kind, and what must never be seen of it.
pub const SECRETS: [(&str, &str); 12] = [
    ("-----BEGIN RSA PRIVATE KEY----- MIIcanary01AQEA -----END RSA PRIVATE KEY-----", "canary01"),
    ("nats://app:canary02pass@db:4222", "canary02"),
    ("Authorization: Bearer canary03.def-ghi12345", "canary03"),
    ("Authorization: Basic canary04OnBhc3N3b3Jk", "canary04"),
    ("eyJcanary05NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "canary05"),
    ("AKIACANARY06ABCDEFGH", "CANARY06"),
    ("AIzaSyCanary07567890abcdefghijklmnop", "Canary07"),
    ("sk-proj-Canary08ef0123456789AbCdEf", "Canary08"),
    ("ghp_Canary096789abcdefghijABCDEFGHIJ012345", "Canary09"),
    ("xoxb-canary10-123456789012-abcdefghij", "canary10"),
    ("db_password=canary11hunter2", "canary11"),
    ("LicenseKey=canary12-ABCD-9999", "canary12"),
];

/// `clients/otlp.py`, running.
pub struct Receiver {
    python: Child,
    endpoint: String,
}

impl Receiver {
    pub fn start() -> Self {
        let library = env::var("INSTANCE_OTLP_PY")
            .expect("`cargo xtask test` names the folders of opentelemetry-proto");
        let mut python = Command::new("python3")
            .arg(source_tree().join("tests/clients/otlp.py"))
            .arg(source_tree().join("docs/telemetry.md"))
            .args(SECRETS.map(|(_, secret)| secret))
            .env("PYTHONPATH", library)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::with_capacity(1, python.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
        Self { python, endpoint: format!("http://127.0.0.1:{}", port.trim()) }
    }

    pub fn report(mut self) -> Value {
        drop(self.python.stdin.take());
        let mut said = String::new();
        self.python.stdout.as_mut().unwrap().read_to_string(&mut said).unwrap();
        serde_json::from_str(&said).unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // It has ended, unless the test has failed.
        let _ = self.python.kill();
        let _ = self.python.wait();
    }
}

/// Every service, exporting to the receiver and answering scrapes on ports of their own.
pub async fn told_to(receiver: &Receiver) -> Pipeline {
    let mut pipeline = Pipeline::new(&["--globals", "256", "--dirty-mb", "200"]).await;
    pipeline.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint);
    pipeline.variable("INSTANCE_TELEMETRY__LISTEN", "127.0.0.1:0");
    pipeline.variable("INSTANCE_TELEMETRY__LOG_FILTER", "info,instance=debug,instance_bus=debug");
    pipeline
}

/// An incident from the log line to the verified fix, under a command that carries a secret of each kind.
async fn healed(pipeline: &mut Pipeline) {
    pipeline.iris.start();
    pipeline.everything().await;
    pipeline.iris.says(PANIC, 0).await;
    pipeline.told("global-buffers-insufficient").await;
    let mut wish = wish::set_cpf("globals", "0,0,512,0,0,0", true);
    wish["recommended_action"] = SECRETS[10].0.into();
    let answer = pipeline.ask(&wish).await;
    pipeline.succeeded(answer.remediation_id.unwrap()).await;
}

/// The secrets in every place that somebody outside can write to.
async fn planted(pipeline: &Pipeline) {
    let mut log = fs::OpenOptions::new().append(true).open(pipeline.iris.log_path()).unwrap();
    for (text, _) in SECRETS {
        writeln!(log, "09/01/26-10:00:00:000 (1) 2 [Utility.Event] {text}").unwrap();
        // Refused with field, value and rule; and what is no command at all.
        let mut wish = wish::set_cpf("globals", text, false);
        wish["recommended_action"] = text.into();
        wish["requested_by"] = text.into();
        wish["priority"] = text.into();
        pipeline.ask_bytes(INSTANCE, wish.to_string().into_bytes(), Headers::new()).await;
        pipeline.ask_bytes(INSTANCE, format!("{{\"schema\": {text}").into_bytes(), Headers::new()).await;
        // Legal, and refused by what it says.
        let mut wish = wish::set_cpf("no_such_parameter", text, false);
        wish["recommended_action"] = text.into();
        pipeline.ask_bytes(INSTANCE, wish.to_string().into_bytes(), Headers::new()).await;
    }
}

/// What a service answers on `path`.
pub fn get(address: &str, path: &str, accept: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nhost: {address}\r\naccept: {accept}\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    body.to_owned()
}

/// By the service's own word.
pub fn listens_at(pipeline: &mut Pipeline, service: &str) -> String {
    let lines = pipeline.service(service).log_lines();
    let told = lines.iter().find(|line| line["message"].as_str().unwrap().starts_with("answers /livez"));
    told.unwrap()["fields"]["address"].as_str().unwrap().to_owned()
}

/// Prometheus' own tool, where there is one.
fn promtool() -> Option<Command> {
    let named = env::var_os("INSTANCE_PROMTOOL").filter(|named| named != "none" && !named.is_empty());
    if named.is_none() {
        skipped("there is no promtool here, so nobody but us has read this");
    }
    named.map(Command::new)
}

#[test]
fn prometheus_takes_the_alert_rules_and_they_fire_when_they_must() {
    for words in [["check", "rules", "instance-alerts.yml"], ["test", "rules", "instance-alerts.test.yml"]] {
        let Some(mut promtool) = promtool() else { return };
        let ran = promtool.args(words).current_dir(source_tree().join("deploy/prometheus")).output().unwrap();
        let said = [ran.stdout, ran.stderr].concat();
        assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said));
    }
}

/// `promtool check metrics`, where there is one.
fn checked_by_prometheus(service: &str, page: &str) {
    let Some(mut promtool) = promtool() else { return };
    let mut promtool = promtool
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let ended = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    // 3: it reads the page, and would name things in another way; the names are OpenTelemetry's.
    assert!(
        matches!(ended.status.code(), Some(0 | 3)) && !said.contains("error while linting"),
        "{service}: {said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_span_metric_and_record_is_as_the_conventions_want_and_holds_no_secret() {
    let receiver = Receiver::start();
    let mut pipeline = told_to(&receiver).await;
    healed(&mut pipeline).await;
    planted(&pipeline).await;

    let mut told = String::new();
    for service in ["generator", "router-a"].into_iter().chain(AGENTS) {
        let address = listens_at(&mut pipeline, service);
        assert_eq!(get(&address, "/livez", "*/*"), "ok\n");
        assert!(get(&address, "/readyz?verbose", "*/*").contains("[+]streams ok"), "{service}");
        let page = get(&address, "/metrics", "text/plain");
        checked_by_prometheus(service, &page);
        let exemplars = get(&address, "/metrics", "application/openmetrics-text;version=1.0.0");
        let leads_to_a_trace = exemplars.lines().any(|line| line.contains(" # {trace_id=\""));
        // Nobody has asked os-agent for anything.
        assert!(leads_to_a_trace || service == "os-agent", "no exemplar of {service} in\n{exemplars}");
        told += &(page + &exemplars);
    }
    let router = listens_at(&mut pipeline, "router-a");
    for sample in [
        "instance_remediation_count_total{instance_remediation_status=\"success\"} 1",
        "instance_verify_count_total{instance_verdict=\"verified\"} 1",
        "instance_command_count_total{instance_command_outcome=\"accepted\"} ",
        "instance_bus_dead_letters_total{messaging_nats_stream=\"INSTANCE_COMMANDS\",instance_dead_letter_reason=\"refused\"}",
    ] {
        counted(&router, sample).await;
    }
    assert_no_secret_in_the_audit_trail(&pipeline).await;
    told += &the_rest_of_the_spans(&mut pipeline, &receiver).await;
    let unreachable = format!("nats://app:{}@127.0.0.1:1", SECRETS[1].1);
    let ran = pipeline.instance(&["status", "--nats", &unreachable]).await;
    write!(told, "{}{}", ran.stdout, ran.stderr).unwrap();

    pipeline.drained_but("replayer").await;
    told += &pipeline.logs();
    for (_, secret) in SECRETS {
        let found: Vec<&str> = told.lines().filter(|line| line.contains(secret)).collect();
        assert!(found.is_empty(), "{secret} is in {found:#?}");
    }
    check_report(&receiver.report());
}

/// What the usual incident has none of: a command of a person, a dead letter that is sent again, an old log that is replayed. What
/// the command `instance` has said.
async fn the_rest_of_the_spans(pipeline: &mut Pipeline, receiver: &Receiver) -> String {
    let mut said = String::new();
    let wish = pipeline.command_file(&wish::set_cpf("globals", "0,0,640,0,0,0", false));
    for words in [
        &["orchestrate", "--command-file", wish.to_str().unwrap(), "--wait"][..],
        &["dead-letter", "replay", "1"],
    ] {
        let mut instance = tokio::process::Command::from(command("instance"));
        instance.env("HOME", pipeline.path("home")).env("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint);
        let output = instance.args(["--nats", &pipeline.server.url()]).args(words).output().await.unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert!(output.status.success(), "{words:?}: {text}");
        said += &text;
    }
    let log = pipeline.path("old.log");
    fs::write(&log, "09/01/26-10:00:00:000 (1) 2 [Utility.Event] an old one\n").unwrap();
    let settings = format!(
        "host = \"old\"\n[nats]\nurl = \"{}\"\n[generator]\nreplay = \"{}\"\nspeed = 0.0\n",
        pipeline.server.url(),
        log.display()
    );
    pipeline.start("generator", "replayer", &settings);
    pipeline.service("replayer").ended(Duration::from_mins(1)).await;
    said
}

/// Waits until a scrape holds the sample: an answer is there before what follows from it is counted.
async fn counted(address: &str, sample: &str) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let page = get(address, "/metrics", "text/plain");
        if page.lines().any(|line| line.starts_with(sample)) {
            return;
        }
        assert!(Instant::now() < deadline, "{sample} is not in\n{page}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn assert_no_secret_in_the_audit_trail(pipeline: &Pipeline) {
    let written = async {
        while pipeline.stream_length("INSTANCE_AUDIT").await == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), written).await.expect("the audit trail is written");
    for record in pipeline.stored("INSTANCE_AUDIT").await {
        let text = String::from_utf8_lossy(&record.payload).into_owned();
        for (_, secret) in SECRETS {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}

fn check_report(report: &Value) {
    let faults = report["faults"].as_array().unwrap();
    assert!(faults.is_empty(), "{faults:#?}");
    let services =
        AGENTS.into_iter().chain(["cli", "generator", "router"]).map(|name| format!("instance-{name}"));
    let mut services: Vec<String> = services.collect();
    services.sort();
    assert_eq!(report["services"], json!(services));
    let metrics = report["metrics"].as_array().unwrap();
    for name in [
        "messaging.client.operation.duration",
        "messaging.process.duration",
        "messaging.client.sent.messages",
        "messaging.client.consumed.messages",
        "instance.incident.duration",
        "instance.command.count",
        "instance.verify.count",
        "instance.step.duration",
        "instance.ledger.sync.duration",
        "instance.log.lines",
        "process.cpu.time",
    ] {
        assert!(metrics.contains(&name.into()), "{name} is not in {metrics:?}");
    }
    for name in [
        "publish instance.v1.error.{host}.{instance}.{severity}",
        "process instance.v1.command.{instance}",
        "term instance.v1.command.{instance}",
        "request instance.v1.ask.{agent}.{host}.plan",
        "observe entry",
        "replay entry",
        "orchestrate",
        "replay",
    ] {
        assert!(report["spans"][name].is_u64(), "no span {name} in {:#}", report["spans"]);
    }
    assert!(report["logs_in_spans"].as_u64().unwrap() > 0, "{report}");
    println!("{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_takes_everything_and_answers_nothing_stops_no_work() {
    // Connections are made by the kernel, and nobody ever reads from them.
    let black_hole = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut pipeline = Pipeline::new(&[]).await;
    pipeline.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{}", black_hole.local_addr().unwrap()));
    // Queues that are full at once, and exports that are always due.
    for (name, value) in [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8"),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "16"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "10"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "50"),
    ] {
        pipeline.variable(name, value);
    }
    pipeline.iris.start();
    pipeline.everything().await;
    for round in 0..20 {
        let mut wish = wish::set_cpf("globals", &format!("0,0,{},0,0,0", 300 + round), false);
        wish["dry_run"] = true.into();
        let answer = pipeline.ask(&wish).await;
        let trace = pipeline.ended(answer.remediation_id.unwrap()).await;
        assert_eq!(trace.overall_status.as_str(), "dry_run", "{}", pipeline.logs());
    }
    // What could not be sent is given up within the grace period, and the exit is a good one.
    pipeline.drained().await;
}
