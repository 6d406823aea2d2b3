//! A user of plain NATS, here nats-py, asks, is answered, follows the rest, and finds every service.

use std::{collections::BTreeSet, env, process::Stdio, time::Duration};

use serde_json::{Value, json};

use crate::pipeline::{INSTANCE, Pipeline, source_tree};

/// Runs `clients/plain.py` with the bare client alone on its path; what it printed.
async fn plain(pipeline: &Pipeline, task: &[&str]) -> Value {
    let library = env::var("INSTANCE_NATS_PY").expect("`cargo xtask test` names the folder of nats-py");
    let mut python = tokio::process::Command::new("python3");
    python
        .arg(source_tree().join("tests/clients/plain.py"))
        .arg(pipeline.server.url())
        .arg(INSTANCE)
        .args(task);
    python
        .env("PYTHONPATH", library)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ran = tokio::time::timeout(Duration::from_secs(40), python.output()).await;
    let ran = ran.expect("the client ends").unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{task:?}: {said}\n{}", pipeline.logs());
    serde_json::from_slice(&ran.stdout).unwrap()
}

async fn schema(pipeline: &Pipeline, name: &str) -> jsonschema::Validator {
    let printed = pipeline.instance(&["schema", name]).await;
    jsonschema::draft202012::new(&serde_json::from_str(&printed.stdout).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_answered_at_once() {
    let pipeline = Pipeline::running(&[]).await;
    let seen = plain(&pipeline, &["commands"]).await;
    let legal = schema(&pipeline, "command_answer").await;
    let good = seen["good"].as_array().unwrap();
    assert_eq!(good.len(), 9);
    for one in good {
        let answer = &one["answer"];
        assert!(legal.is_valid(answer), "{answer}");
        assert_eq!((&answer["status"], &one["stored_in"]), (&"accepted".into(), &"INSTANCE_COMMANDS".into()));
        assert!(answer["remediation_id"].is_string() && answer["place"].is_number(), "{answer}");
    }
    let refused = &seen["bad"]["answer"];
    assert!(legal.is_valid(refused), "{refused}");
    let rule = "must be an integer from 10 to 300 (seconds)";
    assert_eq!(
        (&refused["status"], &refused["faults"]),
        (&"refused".into(), &json!([{"field": "timeout_seconds", "value": "301", "rule": rule}]))
    );
    // The product promises 100 ms, and shows what it is; how far a busy machine may be slower has a bound, too.
    assert!(seen["median_ms"].as_f64().is_some_and(|median| median < 1_000.0), "{}", seen["median_ms"]);
    println!("answers: median {:.1} ms, slowest {:.1} ms", seen["median_ms"], seen["slowest_ms"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remediation_is_followed_to_its_end_on_the_log() {
    let pipeline = Pipeline::running(&[]).await;
    let seen = plain(&pipeline, &["follow"]).await;
    let kinds: Vec<&str> =
        seen["seen"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"accepted"), Some(&"ended")), "{kinds:?}");
    assert!(kinds.iter().any(|kind| kind.starts_with("step.os-agent.")), "{kinds:?}");
    assert!(kinds.iter().any(|kind| kind.starts_with("result.")), "{kinds:?}");
    assert_eq!(kinds.iter().collect::<BTreeSet<_>>().len(), kinds.len(), "each is written once: {kinds:?}");
    assert_eq!(seen["trace"]["overall_status"], "success", "{}", seen["trace"]);
    assert_eq!(pipeline.iris.kernel("vm/swappiness"), "5");
    assert_eq!(seen["streams"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_invented_on_request() {
    let pipeline = Pipeline::running(&[]).await;
    let request = json!({"error_category": "license", "count": 5, "severity_range": [1, 3], "seed": 7});
    let first = plain(&pipeline, &["generate", &request.to_string()]).await;
    let messages = first["reply"]["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 5, "{first}");
    let legal = schema(&pipeline, "iris_message").await;
    for message in messages {
        let faults: Vec<String> = legal.iter_errors(message).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{faults:?}: {message}");
        assert_eq!((&message["error_type"], &message["origin"]), (&"license".into(), &"emulated".into()));
        assert!((1..=3).contains(&message["severity"].as_u64().unwrap()), "{message}");
    }
    let raw = json!({"count": 3, "seed": 7, "output_format": "raw"}).to_string();
    let lines = plain(&pipeline, &["generate", &raw]).await["reply"]["raw"].as_str().unwrap().to_owned();
    let entries = instance_iris::messages_log::parse(lines.as_bytes());
    assert_eq!(entries.iter().filter(|entry| entry.header.is_some()).count(), 3, "{lines}");
    let again = plain(&pipeline, &["generate", &raw]).await;
    assert_eq!(again["reply"]["raw"], lines, "same seed, same bytes");

    let refused = plain(&pipeline, &["generate", r#"{"count": 101, "colour": "red"}"#]).await;
    assert_eq!(refused["headers"]["Nats-Service-Error-Code"], "400", "{refused}");
    let text = refused["headers"]["Nats-Service-Error"].as_str().unwrap();
    assert!(text.contains("count = 101") && text.contains("colour"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_is_found_by_the_micro_protocol() {
    let pipeline = Pipeline::running(&[]).await;
    let found = plain(&pipeline, &["discover"]).await;
    let names = |verb: &str| -> BTreeSet<String> {
        let services = found[verb].as_array().unwrap().iter();
        services.map(|service| service["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = ["config-agent", "generator", "os-agent", "restart-agent", "router"].map(str::to_owned);
    for verb in ["PING", "INFO", "STATS"] {
        assert_eq!(names(verb), BTreeSet::from(all.clone()), "$SRV.{verb}");
    }
    for service in found["INFO"].as_array().unwrap() {
        let name = &service["name"];
        let version: Vec<&str> = service["version"].as_str().unwrap().split('.').collect();
        assert_eq!(version.len(), 3, "{name}");
        assert_eq!(service["type"], "io.nats.micro.v1.info_response", "{name}");
        assert!(!service["description"].as_str().unwrap().is_empty(), "{name}");
        for endpoint in service["endpoints"].as_array().unwrap() {
            assert!(endpoint["subject"].as_str().unwrap().starts_with("instance.v1."), "{endpoint}");
            assert!(
                endpoint["metadata"].as_object().is_some_and(|told| !told.is_empty()),
                "{name}: {endpoint}"
            );
        }
    }
    let generator = found["INFO"].as_array().unwrap().iter().find(|service| service["name"] == "generator");
    assert_eq!(generator.unwrap()["endpoints"][0]["subject"], "instance.v1.generate");
}
