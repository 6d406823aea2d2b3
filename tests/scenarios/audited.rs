//! What was decided and done is told once, whoever dies meanwhile; and whoever changes it is found out.

use std::time::{Duration, Instant};

use async_nats::jetstream::message::StreamMessage;
use serde_json::{Value, json};

use crate::pipeline::{Pipeline, Ran, wish};

const AUDIT: &str = "INSTANCE_AUDIT";

/// `instance audit verify`, once nothing is still to be told.
async fn verified(pipeline: &Pipeline) -> Value {
    let deadline = Instant::now() + Duration::from_secs(45);
    loop {
        let ran = pipeline.instance(&["audit", "verify", "--json"]).await;
        let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
        let awaits = document["shards"].as_array().unwrap().iter().any(|shard| shard["awaited"] != 0);
        if !awaits {
            assert_eq!(ran.code, i32::from(document["whole"] != true), "{ran:?}");
            return document;
        }
        assert!(Instant::now() < deadline, "something is never told: {document}\n{}", pipeline.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The audit stream with one message less or another in its place, as somebody leaves it who has the right to.
async fn rewrite(pipeline: &Pipeline, messages: &[(String, Vec<u8>)]) {
    let jetstream = async_nats::jetstream::new(pipeline.client.clone());
    jetstream.get_stream(AUDIT).await.unwrap().purge().await.unwrap();
    for (subject, payload) in messages {
        jetstream.publish(subject.clone(), payload.clone().into()).await.unwrap().await.unwrap();
    }
}

async fn defects(pipeline: &Pipeline) -> (Ran, Vec<String>) {
    let ran = pipeline.instance(&["audit", "verify", "--json"]).await;
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let shards = document["shards"].as_array().unwrap();
    let found = shards.iter().flat_map(|shard| shard["defects"].as_array().unwrap());
    let found = found.map(|defect| defect.as_str().unwrap().to_owned()).collect();
    (ran, found)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_router_leaves_a_whole_trail_and_a_changed_one_is_located() {
    let mut pipeline = Pipeline::running(&[]).await;
    for value in ["128", "136", "144"] {
        let wish = wish::set_cpf("routines", value, false);
        let answer = pipeline.ask(&wish).await;
        if value != "144" {
            // In the middle of the plan, and of telling of it.
            pipeline.recorded(answer.remediation_id.unwrap(), "step.config-agent").await;
            pipeline.service("router-a").kill9();
            pipeline.router("a");
        }
        pipeline.succeeded(answer.remediation_id.unwrap()).await;
        // What comes next is told in a message of its own.
        verified(&pipeline).await;
    }
    let whole = verified(&pipeline).await;
    assert_eq!(whole["whole"], true, "{whole:#}");
    let (records, compared) = sums(&whole);
    assert_eq!(records, compared, "{whole:#}");

    let report = ["audit", "report", "--since", "1h", "--instance", "PROD", "--format", "csv"];
    let report = pipeline.instance(&report).await;
    let count = |kind: &str| report.stdout.lines().filter(|line| line.contains(&format!(",{kind},"))).count();
    // Three commands of two steps each.
    for (kind, times) in [("accepted", 3), ("step_answered", 6), ("ended", 3)] {
        assert_eq!(count(kind), times, "{kind}: {report:?}");
    }
    let ended = pipeline.instance(&["audit", "report", "--kind", "ended", "--json"]).await;
    let ended: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(ended["records"].as_array().unwrap().len(), 3);
    let text = pipeline.instance(&["audit", "report"]).await;
    assert!(text.stdout.contains("config-agent on db1.example.com"), "{text:?}");

    pipeline.drained().await;
    let stored: Vec<StreamMessage> = pipeline.stored(AUDIT).await;
    let stored: Vec<(String, Vec<u8>)> =
        stored.into_iter().map(|message| (message.subject.to_string(), message.payload.to_vec())).collect();
    let (at, number) = longest(&stored);
    let mut changed = stored.clone();
    let mut message: Value = serde_json::from_slice(&changed[at].1).unwrap();
    message["records"][0]["who"] = json!("nobody");
    changed[at].1 = message.to_string().into_bytes();
    rewrite(&pipeline, &changed).await;
    let (ran, found) = defects(&pipeline).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(found, [format!("record {number} was changed: its hash does not fit it")]);

    let mut missing = stored.clone();
    missing.remove(at);
    rewrite(&pipeline, &missing).await;
    let (ran, found) = defects(&pipeline).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with(&format!("record {number} is missing"))
            || found[0].starts_with(&format!("records {number} to ")),
        "{found:?}"
    );

    rewrite(&pipeline, &stored).await;
    assert_eq!(defects(&pipeline).await.1, Vec::<String>::new());
}

fn sums(document: &Value) -> (u64, u64) {
    let shards = document["shards"].as_array().unwrap();
    let sum = |field: &str| shards.iter().map(|shard| shard[field].as_u64().unwrap()).sum();
    (sum("records"), sum("compared"))
}

/// A message of the shard with the most of them that is neither its first nor its last, and its first record's number.
fn longest(stored: &[(String, Vec<u8>)]) -> (usize, u64) {
    let of = |subject: &String| stored.iter().filter(|(other, _)| other == subject).count();
    let (subject, _) = stored.iter().max_by_key(|(subject, _)| of(subject)).unwrap();
    let at = stored.iter().enumerate().filter(|(_, (other, _))| other == subject).nth(1).unwrap().0;
    assert!(of(subject) > 2, "only {} messages", of(subject));
    let message: Value = serde_json::from_slice(&stored[at].1).unwrap();
    (at, message["records"][0]["number"].as_u64().unwrap())
}
