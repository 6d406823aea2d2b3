//! What an operator sees of remediations on a terminal: progress, places, the past, the kill switch, and a log that was
//! tampered with.

use std::time::Duration;

use instance_contract::RemediationId;
use instance_testkit::NatsServer;
use serde_json::Value;

use crate::{
    command_line::{alone, in_phase, json, sent},
    pipeline::{INSTANCE, Pipeline, settings::POLICY, wish},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_remediation_is_seen_from_its_question_to_its_place_in_the_past() {
    let mut pipeline = Pipeline::new(&[]).await;
    pipeline.iris.start();
    pipeline.policy(&POLICY.replace("approve_restarts = false", "approve_restarts = true"));
    let gate = pipeline.gate("start");
    pipeline.everything().await;

    let wish = wish::set_cpf("globals", "0,0,512,0,0,0", true);
    let (file, first) = (pipeline.command_file(&wish), wish::id_of(&wish));
    let words = ["orchestrate", "--command-file", file.to_str().unwrap(), "--wait", "--json"];
    let meanwhile = async {
        known(&pipeline, &first).await;
        in_phase(&pipeline, &first, "waiting_approval").await;
        let second = sent(&pipeline, &wish::restart()).await;
        says(&pipeline, &["status", &second], &["queued behind 1"]).await;
        let listed = ["waiting_approval", "queued behind 1", INSTANCE, "what the test wants"];
        says(&pipeline, &["status"], &listed).await;
        says(&pipeline, &["approve", &first, "--yes", "--by", "ops"], &[]).await;
        gate.reached().await;
        says(&pipeline, &["status", &first], &["running", "restart-agent", "waiting", "success"]).await;
        says(&pipeline, &["status"], &["running", "restart"]).await;
        gate.open();
        second
    };
    let (waited, second) = tokio::join!(pipeline.instance(&words), meanwhile);
    assert_eq!(waited.code, 0, "{waited:?}\n{}", pipeline.logs());
    // The end alone is data; the way there is told beside it, in this order.
    assert_eq!(json(&waited)["overall_status"], "success");
    let told = [
        "accepted",
        "planned, changes ",
        "waits for approval: instance approve ",
        "approved by ops",
        "config -> config-agent on ",
        "config success after ",
        "restart -> restart-agent on ",
        "restart success after ",
        "verify success after ",
    ];
    let places: Vec<Option<usize>> = told.iter().map(|part| waited.stderr.find(part)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}: {waited:?}");

    in_phase(&pipeline, &second, "waiting_approval").await;
    says(&pipeline, &["deny", &second, "--yes"], &[]).await;
    in_phase(&pipeline, &second, "ended").await;
    let id = json(&waited)["remediation_id"].as_str().unwrap().to_owned();
    the_past(&pipeline, [&id, &second]).await;
    the_profile(&pipeline).await;
    the_kill_switch(&pipeline).await;
    a_halt_that_nobody_can_read(&pipeline).await;
    a_changed_record_is_found(&pipeline, &id).await;
}

/// A run of `instance` that goes well and prints these words.
async fn says(pipeline: &Pipeline, words: &[&str], parts: &[&str]) {
    let ran = pipeline.instance(words).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    for part in parts {
        assert!(ran.stdout.contains(part), "{words:?} does not say {part}: {ran:?}");
    }
}

/// The command is on its way from another process.
async fn known(pipeline: &Pipeline, id: &str) {
    instance_testkit::eventually(Duration::from_secs(45), || async {
        (pipeline.instance(&["status", id]).await.code == 0).then_some(())
    })
    .await;
}

async fn the_past(pipeline: &Pipeline, ids: [&str; 2]) {
    let history = pipeline.instance(&["history", "--csv"]).await;
    let mut rows = history.stdout.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = ["ended", "remediation", "instance", "verdict", "ms", "action", "risk", "why"];
    assert_eq!(rows.next().unwrap(), header);
    for (id, verdict) in ids.into_iter().zip(["success", "refused"]) {
        let row = rows.next().unwrap();
        assert!(row[0].parse::<jiff::Timestamp>().is_ok(), "{row:?}");
        assert_eq!((row[1], row[2], row[3]), (id, INSTANCE, verdict));
        assert!(row[4].parse::<u64>().is_ok(), "{row:?}");
        assert_eq!((row[5], row[6]), ("what the test wants", "high"));
    }
    assert!(rows.next().is_none(), "{history:?}");
}

/// What this machine needs, held against what was kept: a fifth more is told by name.
async fn the_profile(pipeline: &Pipeline) {
    let file = pipeline.path("profile.json").display().to_string();
    let kept = pipeline.instance(&["profile", "--baseline", &file, "--keep", "--json"]).await;
    assert_eq!(kept.code, 0, "{kept:?}");
    let figures = json(&kept)["figures"].as_object().unwrap().clone();
    let names: Vec<&str> = figures.keys().map(String::as_str).collect();
    let expected = ["end_to_end_ms", "generation_us", "tool_iris_config_ms", "tool_iris_restart_ms"];
    for name in expected {
        let least = if name.starts_with("tool") { -1.0 } else { 0.0 };
        assert!(figures.get(name).and_then(Value::as_f64) > Some(least), "{name} of {names:?}");
    }
    // Of all but one so much was kept that no machine is busy enough; that one is what the log tells, the same each time.
    let faster = |times: f64| {
        let kept = figures.iter().map(|(name, value)| {
            let value = value.as_f64().unwrap();
            let than = if name == "end_to_end_ms" { value / times } else { value * 1_000.0 };
            (name.clone(), than.into())
        });
        let kept: serde_json::Map<String, Value> = kept.collect();
        std::fs::write(&file, serde_json::json!({ "figures": kept }).to_string()).unwrap();
    };
    let words = ["profile", "--baseline", &file, "--strict", "--json"];
    for (times, code, slower) in
        [(1.1, 0, serde_json::json!([])), (1.3, 1, serde_json::json!(["end_to_end_ms"]))]
    {
        faster(times);
        let ran = pipeline.instance(&words).await;
        assert_eq!((ran.code, &json(&ran)["slower"]), (code, &slower), "{times}: {ran:?}");
        let told = ran.stderr.contains("end_to_end_ms takes more than 1.2 times as long as in");
        assert_eq!(told, code == 1, "{ran:?}");
    }
    let ran = pipeline.instance(&words[..3]).await;
    assert!(ran.code == 0 && ran.stdout.contains("slower"), "without --strict it only warns: {ran:?}");
}

/// The words that throw it and take it back. (What it stops: `in_turn`.)
async fn the_kill_switch(pipeline: &Pipeline) {
    let halt = ["halt", "--reason", "storage migration", "--by", "ops"];
    says(pipeline, &halt, &["halted by ops: no agent acts until `instance resume`"]).await;
    let order = pipeline.bus.halt_order().await.unwrap().expect("it is thrown");
    assert_eq!((order.by.as_str(), order.reason.as_str()), ("ops", "storage migration"));
    says(pipeline, &["resume"], &["resumed; it was halted by ops at ", ": storage migration"]).await;
    assert!(pipeline.bus.halt_order().await.unwrap().is_none());
    says(pipeline, &["resume"], &["resumed; nothing was halted"]).await;
    assert_eq!(pipeline.instance(&["halt"]).await.code, 2, "nobody halts without a reason");
}

/// Whatever stands under the key halts everything, and is taken away as an order is.
async fn a_halt_that_nobody_can_read(pipeline: &Pipeline) {
    let jetstream = async_nats::jetstream::new(pipeline.client.clone());
    jetstream.publish("$KV.INSTANCE_CONTROL.halt", "stop".into()).await.unwrap().await.unwrap();
    let halted = pipeline.instance(&["status"]).await;
    assert!(halted.stderr.contains("halted by something that cannot be read"), "{halted:?}");
    let doctor = pipeline.instance(&["doctor", "--json"]).await;
    assert!(doctor.stdout.contains("`instance resume` takes it away"), "{doctor:?}");
    says(pipeline, &["resume"], &["resumed; what halted everything could not be read"]).await;
    assert!(!pipeline.bus.is_halted().await.unwrap());
    let status = pipeline.instance(&["status"]).await;
    assert!(status.code == 0 && !status.stderr.contains("halted"), "{status:?}");
}

/// The same log on another bus, in which somebody has made the end a better one.
async fn a_changed_record_is_found(pipeline: &Pipeline, id: &str) {
    says(pipeline, &["replay", id], &["the same bytes", "0 different, 0 not compared"]).await;
    let server = NatsServer::start();
    let _bus = instance_testkit::bus(&server).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let remediation: RemediationId = id.parse().unwrap();
    for record in pipeline.records(remediation).await {
        let text = String::from_utf8(record.payload.to_vec()).unwrap();
        let text = text.replace("\"overall_status\":\"success\"", "\"overall_status\":\"undone\"");
        jetstream.publish(record.subject, text.into()).await.unwrap().await.unwrap();
    }
    let on = |words: &[&str]| alone(&[&["--nats", &server.url()], words].concat());
    let told = on(&["replay", id]);
    assert!(told.code == 1 && told.stdout.contains("DIFFERENT"), "{told:?}");
    let replay = json(&on(&["replay", id, "--json"]));
    let differing: Vec<&Value> =
        replay["records"].as_array().unwrap().iter().filter(|record| record["same"] == false).collect();
    assert_eq!(
        (&replay["same"], differing.len(), &differing[0]["record"]),
        (&false.into(), 1, &"ended".into())
    );
    assert!(differing[0]["written"].as_str().unwrap().contains("undone"), "{differing:?}");
}
