//! Prometheus and Alertmanager, as Debian ships them, see an instance die, and the pipeline brings it back (F-115).

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use instance_contract::{RemediationId, StepStatus};
use instance_testkit::{eventually, skipped};
use serde_json::{Value, json};

use crate::{
    gateway::Caller,
    pipeline::{Pipeline, clean, source_tree},
};

const TOKEN: &str = "token-of-alertmanager";
/// `cargo xtask test` says `none` where it can neither find nor install them.
const VARIABLE: &str = "INSTANCE_PROMETHEUS";
const PATIENCE: Duration = Duration::from_mins(1);

/// One of Debian's programs; `None`, aloud, where this machine is said to have none.
pub fn debians(name: &str) -> Option<Command> {
    if env::var_os(VARIABLE).is_some_and(|said| said == "none") {
        skipped(format_args!("this machine has no {name} ({VARIABLE}=none)"));
        return None;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    let program = found.unwrap_or_else(|| {
        panic!("no {name} on PATH; install it (Debian: apt-get install prometheus prometheus-alertmanager)")
    });
    let mut command = Command::new(program);
    clean(&mut command);
    Some(command)
}

fn shipped(path: &str) -> PathBuf {
    source_tree().join("deploy").join(path)
}

/// What the program printed; it must succeed.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn the_shipped_rules_and_routes_are_legal_and_do_what_they_say() {
    let Some(mut promtool) = debians("promtool") else { return };
    printed(promtool.args(["check", "config"]).arg(shipped("prometheus/prometheus.yml")));
    let rules = shipped("prometheus/iris.rules.yml");
    let mut promtool = debians("promtool").unwrap();
    let told = printed(promtool.args(["test", "rules"]).arg(shipped("prometheus/iris.rules.test.yml")));
    assert!(told.contains("SUCCESS"), "{told}");
    let file = shipped("alertmanager/alertmanager.yml");
    printed(debians("amtool").unwrap().arg("check-config").arg(&file));
    let receivers = |labels: &[&str]| {
        let mut amtool = debians("amtool").unwrap();
        let file = format!("--config.file={}", file.display());
        printed(amtool.args(["config", "routes", "test", &file]).args(labels)).trim().to_owned()
    };
    let down = ["alertname=IrisDown", "iris_instance=IRIS"];
    assert_eq!(receivers(&[&down[..], &["job=iris"]].concat()), "instance,people");
    assert_eq!(receivers(&["alertname=NodeDown", "job=node"]), "people");
    // What is about Instance itself never comes to it.
    for own in
        ["job=instance", "job=instance/router", "job=instance-gateway", "job=nats", "service=instance-router"]
    {
        assert_eq!(receivers(&[&down[..], &[own]].concat()), "people", "{own}");
    }

    // Each rule has a row in the gateway's table, and each row but that of alerting itself a rule.
    let alerts = |text: &str, begin: &str| {
        let mut names: Vec<String> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(begin))
            .map(|name| name.replace('"', ""))
            .collect();
        names.sort();
        names
    };
    let rules = alerts(&fs::read_to_string(rules).unwrap(), "- alert: ");
    let table = fs::read_to_string(source_tree().join("services/gateway/data/alerts.toml")).unwrap();
    let mut rows = alerts(&table, "alert = ");
    rows.retain(|name| name != "Watchdog");
    assert_eq!(rules, rows);
}

/// Starts one of them on a free port; where it listens, which both write to stderr.
pub async fn listening(pipeline: &mut Pipeline, name: &str, command: Command) -> SocketAddr {
    pipeline.program(name, command);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = pipeline.service(name).log();
        let told = log.lines().filter(|line| line.contains("Listening on"));
        let address =
            told.filter_map(|line| line.split("address=").nth(1)?.split_whitespace().next()).next_back();
        if let Some(address) = address.and_then(|address| address.parse().ok()) {
            return address;
        }
        assert!(pipeline.service(name).is_running() && Instant::now() < deadline, "{name}:\n{log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A shipped file with other words in it, each of which must be there.
fn rewritten(file: &str, words: &[(&str, String)], to: &Path) {
    let mut text = fs::read_to_string(shipped(file)).unwrap();
    for (old, new) in words {
        assert!(text.contains(old), "{file} does not hold {old}");
        text = text.replace(old, new);
    }
    fs::write(to, text).unwrap();
}

pub fn alertmanager(pipeline: &Pipeline, gateway: SocketAddr) -> Option<Command> {
    let mut command = debians("prometheus-alertmanager")?;
    let file = pipeline.path("alertmanager.yml");
    let words = [
        ("http://127.0.0.1:8480", format!("http://{gateway}")),
        ("/etc/instance/secrets/gateway-alertmanager", pipeline.path("token").display().to_string()),
        ("group_interval: 30s", "group_interval: 1s".to_owned()),
    ];
    rewritten("alertmanager/alertmanager.yml", &words, &file);
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.path={}", pipeline.path("alertmanager").display()));
    command.args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address=", "--log.level=debug"]);
    Some(command)
}

/// Looks every `interval`; `other` words of the rules are those that a test cannot wait for.
pub fn prometheus(
    pipeline: &Pipeline,
    alertmanager: SocketAddr,
    interval: &str,
    other: &[(&str, &str)],
) -> Option<Command> {
    let mut command = debians("prometheus")?;
    let file = pipeline.path("prometheus.yml");
    let words = [
        ("127.0.0.1:52773", format!("127.0.0.1:{}", pipeline.iris.web_port())),
        ("127.0.0.1:9093", alertmanager.to_string()),
        ("iris_instance: IRIS", "iris_instance: PROD".to_owned()),
        ("interval: 15s", format!("interval: {interval}")),
    ];
    rewritten("prometheus/prometheus.yml", &words, &file);
    let other: Vec<(&str, String)> = other.iter().map(|(old, new)| (*old, (*new).to_owned())).collect();
    rewritten("prometheus/iris.rules.yml", &other, &pipeline.path("iris.rules.yml"));
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.tsdb.path={}", pipeline.path("prometheus").display()));
    command.args(["--web.listen-address=127.0.0.1:0", "--rules.alert.resend-delay=1s"]);
    Some(command)
}

/// The value of the instance's `up`, once there is one.
async fn up(prometheus: &Caller) -> Option<String> {
    let (_, told) = prometheus.get("/api/v1/query?query=up%7Biris_instance%3D%22PROD%22%7D").await;
    told["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
}

pub async fn is_up(prometheus: &Caller, wanted: &str) {
    eventually(PATIENCE, || async { (up(prometheus).await.as_deref() == Some(wanted)).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_instance_is_seen_told_restarted_and_proved_healthy() {
    if debians("prometheus").is_none() {
        return;
    }
    let mut pipeline = Pipeline::running(&[]).await;
    let gateway = pipeline.gateway(TOKEN, &["alert", "read"]).await;
    let command = alertmanager(&pipeline, gateway).unwrap();
    let alertmanager = listening(&mut pipeline, "alertmanager", command).await;
    let command = prometheus(&pipeline, alertmanager, "1s", &[("for: 30s", "for: 1s")]).unwrap();
    let prometheus = Caller::new(listening(&mut pipeline, "prometheus", command).await, "");
    let caller = Caller::new(gateway, TOKEN);
    is_up(&prometheus, "1").await;
    let starts = pipeline.iris.starts();
    assert_eq!(caller.get("/v1/remediations").await.1["found"], 0, "nothing is wrong yet");

    pipeline.iris.iris(&["stop", "PROD", "quietly"]);
    let stopped = Instant::now();
    let begun = eventually(PATIENCE, || async {
        caller.get("/v1/remediations").await.1["remediations"].as_array()?.first().cloned()
    })
    .await;
    let found = stopped.elapsed();
    assert_eq!((&begun["instance"], &begun["requested_by"]), (&json!("PROD"), &json!("tests")));
    assert!(begun["recommended_action"].as_str().unwrap().starts_with("alert IrisDown: "), "{begun}");
    let id: RemediationId = begun["remediation_id"].as_str().unwrap().parse().unwrap();
    let trace = pipeline.succeeded(id).await;
    let repaired = stopped.elapsed();
    let last = trace.steps_executed.last().unwrap();
    assert_eq!((last.step_id.as_str(), last.status), ("verify", StepStatus::Success), "{trace:#?}");
    assert_eq!(pipeline.iris.starts(), starts + 1);
    assert_eq!(pipeline.iris.state().0, "running");

    // Prometheus sees it too, and the end of the alert comes to the same remediation.
    is_up(&prometheus, "1").await;
    let over = eventually(PATIENCE, || {
        let over =
            pipeline.service("gateway").log_lines().into_iter().find(|line| {
                message(line) == "an alert is over" && line.to_string().contains(&id.to_string())
            });
        async move { over }
    })
    .await;
    assert_eq!(caller.get("/v1/remediations").await.1["found"], 1, "one death, one remediation");
    assert_eq!(pipeline.iris.starts(), starts + 1, "and one start");
    println!(
        "found after {:.1} s, repaired and proved after {:.1} s ({})",
        found.as_secs_f64(),
        repaired.as_secs_f64(),
        over
    );
    // The goals of F-115.
    assert!(found < Duration::from_mins(2) && repaired < Duration::from_mins(10));
}

pub fn message(line: &Value) -> &str {
    line["fields"]["message"].as_str().or(line["message"].as_str()).unwrap_or_default()
}
