//! Secrets that others write into logs, alerts and commands come out nowhere: not in what analyst and gateway log, count, answer
//! or call people with, nor on the terminal. (Spans, records and the other services: `telemetry`.)

use std::{fs, io::Write as _, time::Duration};

use instance_bus::Headers;
use instance_clock::{Clock as _, SystemClock};
use instance_testkit::{Endpoint, Seen, eventually};
use serde_json::{Value, json};

use crate::{
    command_line,
    gateway::Caller,
    pipeline::{HOST, INSTANCE, Pipeline, wish},
    telemetry::{SECRETS, get, listens_at},
};

const TOKEN: &str = "token-of-this-test";
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_leaves_by_analyst_gateway_webhook_or_terminal() {
    let calls = Seen::default();
    let address = Endpoint::nobody();
    let _endpoint = Endpoint::start(address, &calls, |_, _| 200);
    let mut pipeline = Pipeline::new(&[]).await;
    pipeline.variable("INSTANCE_TELEMETRY__LISTEN", "127.0.0.1:0");
    pipeline.variable("INSTANCE_TELEMETRY__LOG_FILTER", "info,instance=debug,instance_bus=debug");
    pipeline.iris.start();
    pipeline.everything().await;
    let analyst = format!(
        "host = \"{HOST}\"\n[nats]\nurl = \"{}\"\n[analyst]\n[analyst.webhook]\nurl = \"http://{address}/call\"\n",
        pipeline.server.url()
    );
    pipeline.start("analyst", "analyst", &analyst);
    let gateway = pipeline.gateway(TOKEN, &["alert", "command", "read"]).await;
    pipeline.ready(&["analyst"]).await;

    in_the_log(&pipeline);
    let mut told = by_http(&Caller::new(gateway, TOKEN)).await;
    told += &called(&pipeline, &calls).await;
    for words in [
        &["inbox", "list"][..],
        &["inbox", "show"],
        &["incident"],
        &["incident", "--last"],
        &["investigate", "what happened?"],
        &["status"],
        &["history"],
        &["history", "--csv"],
        &["history", "--json"],
        &["incident", "--last", "--json"],
        &["inbox", "list", "--json"],
        &["inbox", "show", "--json"],
        &["dead-letter", "list"],
    ] {
        let ran = pipeline.instance(words).await;
        assert!(ran.code < 2, "{ran:?}");
        told += &(ran.stdout + &ran.stderr);
    }
    told += &on_the_terminal(&pipeline).await;
    for service in ["analyst", "gateway"] {
        let address = listens_at(&mut pipeline, service);
        told += &get(&address, "/metrics", "application/openmetrics-text;version=1.0.0");
        told += &get(&address, "/readyz?verbose", "*/*");
    }
    pipeline.drained().await;
    told += &pipeline.logs();
    for (_, secret) in SECRETS {
        let found: Vec<&str> = told.lines().filter(|line| line.contains(secret)).collect();
        assert!(found.is_empty(), "{secret} is in {found:#?}");
    }
}

/// Dead letters in full, and refusals, which repeat what they refuse.
async fn on_the_terminal(pipeline: &Pipeline) -> String {
    // What is no command at all is buried as it came.
    let (file, mut told) = (pipeline.path("refused.json"), String::new());
    for (text, _) in SECRETS {
        let nothing = format!("{{\"requested_by\": {}", Value::String((*text).to_owned()));
        pipeline.ask_bytes(INSTANCE, nothing.into_bytes(), Headers::new().with("Comment", "a test")).await;
        let mut faulty = wish::set_cpf("globals", "1", false);
        faulty["priority"] = (*text).into();
        fs::write(&file, faulty.to_string()).unwrap();
        for words in [&["orchestrate", "--command-file"][..], &["--json", "orchestrate", "--command-file"]] {
            let ran = pipeline.instance(&[words, &[file.to_str().unwrap()]].concat()).await;
            assert_eq!(ran.code, 3, "{ran:?}");
            told += &(ran.stdout + &ran.stderr);
        }
    }
    let letters = command_line::json(&pipeline.instance(&["dead-letter", "list", "--json"]).await);
    let letters = letters["dead_letters"].as_array().unwrap().clone();
    assert!(letters.len() >= SECRETS.len(), "{letters:?}");
    for letter in letters {
        let number = letter["sequence"].to_string();
        for words in [&["dead-letter", "show", &number][..], &["dead-letter", "show", &number, "--json"]] {
            let ran = pipeline.instance(words).await;
            assert_eq!(ran.code, 0, "{ran:?}");
            told += &(ran.stdout + &ran.stderr);
        }
    }
    told
}

/// Entries that no row knows: somebody is called for them.
fn in_the_log(pipeline: &Pipeline) {
    let mut log = fs::OpenOptions::new().append(true).open(pipeline.iris.log_path()).unwrap();
    let now = SystemClock.now().strftime("%m/%d/%y-%H:%M:%S:000").to_string();
    for (text, _) in SECRETS {
        writeln!(log, "{now} (1) 3 [Utility.Event] Unheard of: {text}").unwrap();
    }
}

/// Alerts and commands that carry them, what was answered, and what can be read of them afterwards.
async fn by_http(caller: &Caller) -> String {
    let (mut accepted, mut answers) = (Vec::new(), String::new());
    // What no shape of secrets is like is known by its value: the gateway has read it.
    let (status, answer) = caller.post("/v1/commands", &json!({ "priority": TOKEN })).await;
    let answer = answer.to_string();
    assert!(status == 422 && !answer.contains(TOKEN) && answer.contains("[secret]"), "{status} {answer}");
    for (at, (text, _)) in SECRETS.iter().enumerate() {
        let alert = json!({
            "status": "firing", "labels": {"alertname": "Unknown", "iris_instance": INSTANCE, "note": text},
            "annotations": {"summary": text, "description": text},
            "startsAt": format!("2026-11-14T09:45:{at:02}Z"), "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus", "fingerprint": format!("{at:016x}"),
        });
        let group = json!({
            "version": "4", "groupKey": text, "truncatedAlerts": 0, "status": "firing", "receiver": "instance",
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://alertmanager",
            "alerts": [alert],
        });
        let mut refused = wish::set_cpf("no_such_parameter", text, false);
        refused["recommended_action"] = (*text).into();
        let mut faulty = refused.clone();
        faulty["priority"] = (*text).into();
        for (path, body) in [
            ("/v1/alerts/alertmanager", &group),
            ("/v1/commands", &refused),
            ("/v1/commands", &faulty),
            ("/v1/commands", &Value::String((*text).to_owned())),
        ] {
            let (status, answer) = caller.post(path, body).await;
            assert!(status < 500, "{path}: {status} {answer}");
            answers.push_str(&answer.to_string());
            answers.push('\n');
        }
        // One that is planned: its steps have reasons.
        let mut legal = wish::set_cpf("globals", "0,0,512,0,0,0", false);
        legal["recommended_action"] = (*text).into();
        legal["dry_run"] = true.into();
        let (status, answer) = caller.post("/v1/commands", &legal).await;
        assert!(status < 300, "{status} {answer}");
        accepted.push(answer["remediation_id"].as_str().unwrap().to_owned());
    }
    let (status, all) = caller.get("/v1/remediations").await;
    assert!(status == 200 && all["found"].as_u64() > Some(0), "{all}");
    let mut told = format!("{answers}{all:#}\n");
    for id in accepted {
        let ended = eventually(PATIENCE, || async {
            let (_, one) = caller.get(&format!("/v1/remediations/{id}")).await;
            one["trace"].is_object().then_some(one)
        })
        .await;
        assert!(!ended["steps"].as_array().unwrap().is_empty(), "{ended:#}");
        told += &ended.to_string();
        told.push('\n');
    }
    told
}

/// Waits until somebody was called for all that waits for a person; what was sent.
async fn called(pipeline: &Pipeline, calls: &Seen) -> String {
    eventually(PATIENCE, || async {
        let waiting = command_line::json(&pipeline.instance(&["inbox", "list", "--json"]).await);
        let sent = calls.all();
        let sent_for = |id: &str| sent.iter().any(|posted| posted.document.to_string().contains(id));
        let incidents = waiting["incidents"].as_array()?;
        let all = incidents.iter().all(|incident| sent_for(incident["incident_id"].as_str().unwrap_or("-")));
        // Some are called for what else is wrong here; one at least for an entry that was planted.
        let planted = sent.iter().any(|posted| posted.document.to_string().contains("Unheard of"));
        (all && planted).then(|| {
            let told = sent.iter().map(|posted| format!("{:?} {:#}", posted.headers, posted.document));
            told.collect::<Vec<_>>().join("\n") + "\n"
        })
    })
    .await
}
