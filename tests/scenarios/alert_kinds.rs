//! Each kind of alert that the table of the gateway answers with work or with a person, the whole way: a cause in the stand-in,
//! its metrics, Debian's Prometheus with the shipped rules, Debian's Alertmanager, the gateway, and what becomes of it (F-115).
//! `IrisDown` of a stopped instance has its own in `monitored.rs`; here it hangs. The stand-in answers nothing while it hangs, so
//! `IrisHung` and `IrisWriteDaemonSuspended`, which such an instance would tell itself, are tried by promtool alone.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use instance_clock::{Clock as _, SystemClock};
use instance_contract::{RemediationId, StepStatus, WorkflowTrace};
use instance_testkit::eventually;
use jiff::{ToSpan as _, tz::TimeZone};
use serde_json::Value;

use crate::{
    gateway::Caller,
    monitored::{alertmanager, debians, is_up, listening, message, prometheus},
    pipeline::Pipeline,
};

const TOKEN: &str = "token-of-alertmanager";
const PATIENCE: Duration = Duration::from_mins(2);
/// The goals of F-115.
const FOUND: Duration = Duration::from_mins(2);
const REPAIRED: Duration = Duration::from_mins(10);
/// What a test cannot wait for. A scrape that is late on a busy machine is no death yet.
const WAITS: [(&str, &str); 6] = [
    ("for: 30s", "for: 10s"),
    ("for: 1m", "for: 2s"),
    ("for: 2m", "for: 2s"),
    ("for: 5m", "for: 2s"),
    ("for: 10m", "for: 2s"),
    ("> 3600", "> 1"),
];
/// Users of the key, all of whom come.
const USERS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_alert_is_found_and_answered_the_whole_way() {
    if debians("prometheus").is_none() {
        return;
    }
    let mut pipeline = Pipeline::new(&[]).await;
    // While Instance restarts, Prometheus may see that nothing answers: policy says that this calls for no second restart.
    pipeline.policy("approve_restarts = false\nquiet_seconds = 1\nminutes_between_restarts = 15\n");
    key(&pipeline, &format!("ExpirationDate={}", in_days(10)));
    pipeline.iris.start();
    pipeline.everything().await;
    let caller = watched(&mut pipeline).await;

    // The key has told its end from the start on.
    let began = Instant::now();
    let trace = work(&pipeline, &caller, "IrisLicenseEnds", began).await;
    assert!(warnings(&trace).contains("10 days"), "{trace:#?}");

    let came = Instant::now();
    let port = pipeline.iris.port();
    let users: Vec<TcpStream> =
        (0..USERS).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let trace = work(&pipeline, &caller, "IrisLicenseNearlyUsedUp", came).await;
    assert!(warnings(&trace).contains("iris_license_percent_used"), "{trace:#?}");
    drop(users);
    over(&mut pipeline, "IrisLicenseNearlyUsedUp").await;

    // Nobody but its owner knows whether a transaction may be ended: a person is called, and nothing is done.
    let opened = Instant::now();
    let mut user = TcpStream::connect(("127.0.0.1", port)).unwrap();
    user.write_all(b"TSTART\n").unwrap();
    called(&pipeline, "IrisTransactionOpenLong", "only its owner knows", opened).await;
    drop(user);

    // A write daemon that is gone: the instance stands still, and answers no scrape although it is there.
    let starts = pipeline.iris.starts();
    let killed = Instant::now();
    pipeline.iris.sim("kill-daemon", &["WRTDMN"]);
    let trace = work(&pipeline, &caller, "IrisDown", killed).await;
    let last = trace.steps_executed.last().unwrap();
    assert_eq!((last.step_id.as_str(), last.status), ("verify", StepStatus::Success), "{trace:#?}");
    over(&mut pipeline, "IrisDown").await;
    assert_eq!((pipeline.iris.starts(), pipeline.iris.state().0.as_str()), (starts + 1, "running"));
}

/// The license key of an instance that has not started yet.
fn key(pipeline: &Pipeline, end: &str) {
    let file = pipeline.path("iris/PROD/mgr/iris.key");
    let text = fs::read_to_string(&file).unwrap();
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with("ExpirationDate="))
        .map(|line| if line.starts_with("users=") { format!("users={USERS}") } else { line.to_owned() })
        .collect();
    assert!(lines.contains(&format!("users={USERS}")), "{text}");
    lines.push(end.to_owned());
    fs::write(file, lines.join("\n") + "\n").unwrap();
}

fn in_days(days: i64) -> String {
    let today = SystemClock.now().to_zoned(TimeZone::system()).date();
    today.checked_add(days.days()).unwrap().strftime("%m/%d/%Y").to_string()
}

/// Gateway, Alertmanager and Prometheus beside the pipeline, each told of the next.
async fn watched(pipeline: &mut Pipeline) -> Caller {
    let gateway = pipeline.gateway(TOKEN, &["alert", "read"]).await;
    let command = alertmanager(pipeline, gateway).unwrap();
    let alertmanager = listening(pipeline, "alertmanager", command).await;
    let command = prometheus(pipeline, alertmanager, "2s", &WAITS).unwrap();
    let address: SocketAddr = listening(pipeline, "prometheus", command).await;
    is_up(&Caller::new(address, ""), "1").await;
    Caller::new(gateway, TOKEN)
}

/// The work that came of an alert: found and done within the goals.
async fn work(pipeline: &Pipeline, caller: &Caller, alert: &str, since: Instant) -> WorkflowTrace {
    let begin = format!("alert {alert}: ");
    let id = eventually(PATIENCE, || async {
        let listed = caller.get("/v1/remediations").await.1;
        let is_it =
            |told: &&Value| told["recommended_action"].as_str().is_some_and(|it| it.starts_with(&begin));
        let found = listed["remediations"].as_array()?.iter().find(is_it)?;
        found["remediation_id"].as_str()?.parse::<RemediationId>().ok()
    })
    .await;
    let found = since.elapsed();
    let trace = pipeline.succeeded(id).await;
    told(alert, found, since.elapsed());
    trace
}

/// The call for a person that came of an alert, with the words of its row.
async fn called(pipeline: &Pipeline, alert: &str, why: &str, since: Instant) {
    eventually(PATIENCE, || async {
        let inbox = pipeline.instance(&["inbox", "list", "--json"]).await;
        inbox.stdout.contains(why).then_some(())
    })
    .await;
    told(alert, since.elapsed(), since.elapsed());
}

fn told(alert: &str, found: Duration, done: Duration) {
    println!("{alert}: found after {:.1} s, answered after {:.1} s", found.as_secs_f64(), done.as_secs_f64());
    assert!(found < FOUND && done < REPAIRED, "{alert}: {found:?}, {done:?}");
}

/// Its end is told too.
async fn over(pipeline: &mut Pipeline, alert: &str) {
    eventually(PATIENCE, || {
        let lines = pipeline.service("gateway").log_lines();
        let is_it = |line: &Value| message(line) == "an alert is over" && line["fields"]["alert"] == alert;
        let over = lines.iter().any(is_it).then_some(());
        async move { over }
    })
    .await;
}

fn warnings(trace: &WorkflowTrace) -> String {
    trace.steps_executed.iter().flat_map(|step| &step.warnings).map(ToString::to_string).collect()
}
