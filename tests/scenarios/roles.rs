//! The whole work under the shipped roles of the bus: whatever each service and each person must do, none is refused; and
//! the server tells of a refusal where there is one.

use instance_clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::{
    gateway::Caller,
    pipeline::{INSTANCE, PANIC, Pipeline, wish},
};

const TOKEN: &str = "token-of-the-roles";
/// As nats-server tells them in its log.
const REFUSED: [&str; 2] = ["Publish Violation", "Subscription Violation"];

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_work_is_done_and_no_role_is_refused_anything() {
    let mut pipeline = Pipeline::with_roles(&["--globals", "256", "--dirty-mb", "200"]).await;
    pipeline.policy("approve_restarts = true\nquiet_seconds = 1\nminutes_between_restarts = 0\n");
    pipeline.iris.start();
    pipeline.everything().await;
    pipeline.analyst();
    let address = pipeline.gateway(TOKEN, &["alert", "command", "read", "approve"]).await;
    pipeline.ready(&["analyst"]).await;

    let healed = an_incident_of_the_analyst_is_agreed_to_by_a_person(&pipeline).await;
    let by_alert = systems_outside_come_in_by_http(&pipeline, address).await;
    another_system_asks_over_nats(&pipeline).await;
    a_person_looks_at_everything(&pipeline, &healed).await;
    pipeline.drained().await;

    let violations = refused(&pipeline);
    assert!(violations.is_empty(), "refused:\n{}\n{}", violations.join("\n"), pipeline.logs());
    assert!(!pipeline.logs().contains("NATS refuses"), "{}", pipeline.logs());
    println!("incident {healed}, alert {by_alert}: nothing was refused to any role");

    // It would have been heard.
    assert_eq!(pipeline.instance_as("asker", &["hosts"]).await.code, 3);
    assert!(!refused(&pipeline).is_empty(), "{}", pipeline.server.log());
}

/// What the server has refused so far.
fn refused(pipeline: &Pipeline) -> Vec<String> {
    let is_one = |line: &&str| REFUSED.iter().any(|refused| line.contains(refused));
    pipeline.server.log().lines().filter(is_one).map(str::to_owned).collect()
}

/// generator, analyst, router and agents; the operator agrees.
async fn an_incident_of_the_analyst_is_agreed_to_by_a_person(pipeline: &Pipeline) -> String {
    pipeline.iris.says(PANIC, 0).await;
    let (_, message) = pipeline.told("global-buffers-insufficient").await;
    let id = pipeline.accepted_in(message.trace_id.as_str()).await;
    pipeline.recorded(id, "asked").await;
    agreed(pipeline, &id.to_string()).await;
    pipeline.succeeded(id).await;
    assert!(pipeline.iris.cpf().contains("\nglobals=0,0,512,0,0,0\n"));
    id.to_string()
}

async fn agreed(pipeline: &Pipeline, id: &str) {
    let ran = pipeline.instance(&["approve", id, "--yes"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// gateway: an alert that becomes a command, one for a person, a command that is agreed to, and a stranger.
async fn systems_outside_come_in_by_http(pipeline: &Pipeline, address: std::net::SocketAddr) -> String {
    let caller = Caller::new(address, TOKEN);
    let alert = |name: &str, fingerprint: &str| {
        json!({
            "status": "firing", "labels": {"alertname": name, "iris_instance": INSTANCE},
            "startsAt": SystemClock.now().to_string(), "fingerprint": fingerprint,
        })
    };
    let alerts = [alert("IrisLicenseNearlyUsedUp", "f1"), alert("OfSomebodyElse", "f2")];
    let (status, told) =
        caller.post("/v1/alerts/alertmanager", &json!({"version": "4", "alerts": alerts})).await;
    let outcomes: Vec<&Value> = [0, 1].map(|number| &told["alerts"][number]["outcome"]).into();
    assert_eq!((status, outcomes), (200, vec![&json!("commanded"), &json!("escalated")]), "{told}");
    let by_alert = told["alerts"][0]["remediation_id"].as_str().unwrap().to_owned();
    pipeline.succeeded(by_alert.parse().unwrap()).await;

    let (status, taken) = caller.post("/v1/commands", &wish::restart()).await;
    assert_eq!(status, 202, "{taken}");
    let id = taken["remediation_id"].as_str().unwrap();
    pipeline.recorded(id.parse().unwrap(), "asked").await;
    let path = format!("/v1/remediations/{id}");
    let digest = caller.get(&path).await.1["approval"]["digest"].clone();
    let yes = json!({"digest": digest, "verdict": "granted"});
    let (status, said) = caller.post(&format!("{path}/approvals"), &yes).await;
    assert_eq!(status, 201, "{said}");
    pipeline.succeeded(id.parse().unwrap()).await;
    assert_eq!(caller.get("/v1/remediations").await.0, 200);
    assert_eq!(Caller::new(address, "of-nobody").get("/v1/remediations").await.0, 401);
    by_alert
}

async fn another_system_asks_over_nats(pipeline: &Pipeline) {
    let mut wish = wish::set_cpf("globals", "0,0,640,0,0,0", false);
    wish["dry_run"] = json!(true);
    let file = pipeline.command_file(&wish);
    let words = ["orchestrate", "--command-file", file.to_str().unwrap(), "--json"];
    let ran = pipeline.instance_as("asker", &words).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    pipeline.ended(told["remediation_id"].as_str().unwrap().parse().unwrap()).await;
}

/// operator: every command of `instance` that goes to the bus.
async fn a_person_looks_at_everything(pipeline: &Pipeline, healed: &str) {
    let inbox = pipeline.instance(&["inbox", "list", "--json"]).await;
    let waiting: Value = serde_json::from_str(&inbox.stdout).unwrap();
    let call = waiting["incidents"][0]["incident_id"].as_str().unwrap_or_else(|| panic!("{waiting}"));
    let wish = pipeline.command_file(&wish::set_cpf("globals", "0,0,640,0,0,0", false));
    let baseline = pipeline.path("profile.json");
    let commands: [&[&str]; 24] = [
        &["inbox", "show", call],
        &["inbox", "ack", call, "--note", "in hand"],
        &["incident", "--last"],
        &["explain", "global-buffers-insufficient"],
        &["investigate", "why did PROD panic?", "--no-model"],
        &["status"],
        &["status", healed],
        &["history"],
        &["trends", "--by", "hour"],
        &["trace", healed],
        &["replay", healed],
        &["hosts"],
        &["bus", "check"],
        &["dead-letter", "list"],
        &["audit", "report"],
        &["audit", "verify"],
        &["breaker", "list"],
        &["cost"],
        &["generate", "--publish", "--count", "2"],
        &["orchestrate", "--command-file", wish.to_str().unwrap(), "--wait", "--timeout", "2m"],
        &["profile", "--keep", "--baseline", baseline.to_str().unwrap()],
        &["halt", "--reason", "a test"],
        &["resume"],
        &["doctor"],
    ];
    for words in commands {
        let ran = pipeline.instance(words).await;
        assert_eq!(ran.code, 0, "instance {}: {ran:?}\n{}", words.join(" "), pipeline.logs());
    }
}
