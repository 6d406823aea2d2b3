//! The command `instance`, as operators and scripts use it on a live pipeline: what it prints, and its exit codes.

use std::{fs, path::PathBuf, time::Duration};

use instance_testkit::NatsServer;
use serde_json::{Value, json};

use crate::pipeline::{self, AGENTS, INSTANCE, Pipeline, Ran, settings::POLICY, source_tree, wish, world};

pub fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// `instance` without a pipeline.
pub fn alone(words: &[&str]) -> Ran {
    let output = pipeline::command("instance").args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Sends a command without waiting; its remediation id.
pub async fn sent(pipeline: &Pipeline, wish: &Value) -> String {
    let file = pipeline.command_file(wish);
    let ran = pipeline.instance(&["orchestrate", "--command-file", file.to_str().unwrap(), "--json"]).await;
    assert_eq!((ran.code, &json(&ran)["status"]), (0, &"accepted".into()), "{ran:?}");
    json(&ran)["remediation_id"].as_str().unwrap().to_owned()
}

/// Waits until a remediation is in a phase.
pub async fn in_phase(pipeline: &Pipeline, id: &str, phase: &str) {
    instance_testkit::eventually(Duration::from_secs(45), || async {
        (json(&pipeline.instance(&["status", id, "--json"]).await)["phase"] == phase).then_some(())
    })
    .await;
}

/// A pipeline whose policy wants a person for every restart, and knows two who may agree.
async fn asking() -> Pipeline {
    let mut pipeline = Pipeline::new(&[]).await;
    pipeline.iris.start();
    let asks = POLICY.replace("approve_restarts = false", "approve_restarts = true");
    pipeline.policy(&format!("{asks}approvers = [\"ops\", \"lead\"]\n"));
    pipeline.everything().await;
    pipeline
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_server_is_set_up_and_what_differs_is_found() {
    let server = NatsServer::start();
    let url = server.url();
    let on = |words: &[&str]| alone(&[&["--nats", &url], words].concat());
    let doctor = on(&["doctor", "--json"]);
    let streams = |doctor: &Ran| {
        let checks = json(doctor)["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "streams").unwrap()
    };
    assert_eq!((doctor.code, &streams(&doctor)["outcome"]), (1, &"fail".into()));
    let check = on(&["doctor", "--check"]);
    assert!(
        check.code == 1 && check.stdout.contains("fail streams") && !check.stdout.contains("ok  "),
        "{check:?}"
    );
    let unplugged = alone(&["doctor", "--check", "--nats", "nats://127.0.0.1:1"]);
    assert!(unplugged.code == 7 && unplugged.stdout.contains("fail nats"), "{unplugged:?}");
    assert!(streams(&doctor)["next"].as_str().unwrap().contains("instance bus init"));

    let first = on(&["bus", "init", "--json"]);
    let outcomes = |ran: &Ran| -> Vec<String> {
        let list = json(ran)["outcomes"].as_array().unwrap().clone();
        list.iter().map(|outcome| outcome["outcome"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((first.code, json(&first)["shards"].as_u64()), (0, Some(4)));
    assert!(outcomes(&first).iter().all(|outcome| outcome == "created"), "{first:?}");
    let second = on(&["bus", "init", "--json"]);
    assert!(second.code == 0 && outcomes(&second).iter().all(|outcome| outcome == "existing"), "{second:?}");
    assert_eq!(on(&["bus", "check"]).code, 0);

    // Somebody makes the dead letters forget after a minute.
    let client = async_nats::connect(&url).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let mut config =
        jetstream.get_stream("INSTANCE_DEAD").await.unwrap().info().await.unwrap().config.clone();
    config.max_age = Duration::from_mins(1);
    config.duplicate_window = Duration::from_mins(1);
    jetstream.update_stream(&config).await.unwrap();
    let check = on(&["bus", "check", "--json"]);
    assert_eq!((check.code, &json(&check)["valid"]), (1, &false.into()));
    assert!(check.stdout.contains("INSTANCE_DEAD") && check.stdout.contains("max_age"), "{check:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_waits_for_a_person_and_goes_on_when_it_is_granted() {
    let pipeline = asking().await;
    let (cpf, starts) = (pipeline.iris.cpf(), pipeline.iris.starts());
    let id = sent(&pipeline, &wish::set_cpf("globals", "0,0,512,0,0,0", true)).await;
    in_phase(&pipeline, &id, "waiting_approval").await;

    let listed = json(&pipeline.instance(&["status", "--json"]).await);
    assert_eq!(listed["remediations"][0]["remediation_id"], id.as_str());
    let inbox = pipeline.instance(&["inbox", "list", "--json"]).await;
    let question = &json(&inbox)["approvals"][0];
    assert_eq!((inbox.code, &question["remediation_id"]), (1, &id.as_str().into()), "a person is waited for");
    assert_eq!(question["changes"][0]["after"], "0,0,512,0,0,0", "{question}");
    let inbox = pipeline.instance(&["inbox", "list"]).await;
    assert!(inbox.stdout.contains(&id) && inbox.stderr.contains("instance approve"), "{inbox:?}");
    assert_eq!(pipeline.instance(&["inbox", "list", "--instance", "OTHER"]).await.code, 0, "not of another");
    assert_eq!(pipeline.instance(&["trace", &id]).await.code, 8, "there is no trace yet");
    let behind = wish::restart();
    let file = pipeline.command_file(&behind);
    let waited = ["orchestrate", "--command-file", file.to_str().unwrap(), "--wait", "--timeout", "1s"];
    assert_eq!(pipeline.instance(&waited).await.code, 6, "it waits behind the other one");
    let other = "0".repeat(64);
    assert_eq!(pipeline.instance(&["approve", &id, "--yes", "--digest", &other]).await.code, 3);
    assert_eq!(
        pipeline.instance(&["approve", &id, "--by", "ops"]).await.code,
        2,
        "nobody is asked without a terminal"
    );
    let stranger = pipeline.instance(&["approve", &id, "--yes", "--by", "stranger"]).await;
    assert_eq!(stranger.code, 3, "{stranger:?}");
    assert!(
        stranger.stderr.contains("policy does not let stranger approve; it lists ops, lead"),
        "{stranger:?}"
    );
    assert_eq!((pipeline.iris.cpf(), pipeline.iris.starts()), (cpf.clone(), starts), "nothing was begun");

    let granted = pipeline.instance(&["approve", &id, "--yes", "--by", "ops", "--note", "change 4711"]).await;
    assert_eq!(granted.code, 0, "{granted:?}");
    in_phase(&pipeline, &id, "ended").await;
    assert_eq!(pipeline.instance(&["approve", &id, "--yes"]).await.code, 3, "it was answered before");
    // By now the one behind it may ask.
    let inbox = pipeline.instance(&["inbox", "list", "--json"]).await;
    assert!(!inbox.stdout.contains(&id), "answered: {inbox:?}");
    let trace = pipeline.instance(&["trace", &id, "--json", "--exit-code"]).await;
    assert_eq!((trace.code, &json(&trace)["overall_status"]), (0, &"success".into()), "{}", trace.stdout);
    let path = pipeline.path("trace.json");
    fs::write(&path, &trace.stdout).unwrap();
    assert_eq!(pipeline.instance(&["validate", path.to_str().unwrap()]).await.code, 0);
    assert_eq!(world::changed_lines(&cpf, &pipeline.iris.cpf()).len(), 1);
    assert_eq!(pipeline.iris.starts(), starts + 1);
    let history = pipeline.instance(&["history", "--json"]).await;
    assert!(history.code == 0 && history.stdout.contains(&id), "{history:?}");
    let replayed = pipeline.instance(&["replay", &id]).await;
    assert!(replayed.code == 0 && replayed.stdout.contains("the same bytes"), "{replayed:?}");
    // The one that waited behind has its turn now, and stands in the way.
    let behind = wish::id_of(&behind);
    in_phase(&pipeline, &behind, "waiting_approval").await;
    assert_eq!(pipeline.instance(&["deny", &behind, "--yes"]).await.code, 0);
    drifted_after_its_approval(&pipeline).await;
}

/// The approval comes as a message, as any client may send it, after somebody has changed the file by hand.
async fn drifted_after_its_approval(pipeline: &Pipeline) {
    let id = sent(pipeline, &wish::set_cpf("globals", "0,0,300,0,0,0", true)).await;
    in_phase(pipeline, &id, "waiting_approval").await;
    let starts = pipeline.iris.starts();
    let drifted = pipeline.iris.cpf().replace("\nglobals=0,0,512,0,0,0\n", "\nglobals=0,0,400,0,0,0\n");
    fs::write(pipeline.iris.cpf_path(), &drifted).unwrap();
    let remediation = id.parse().unwrap();
    let asked = pipeline.recorded(remediation, "approval.1.asked").await;
    let question: Value = asked.json().unwrap();
    let answer = json!({
        "schema": "instance.v1.approval_answered", "trace_id": question["trace_id"], "remediation_id": id,
        "digest": question["digest"], "verdict": "granted", "by": "lead", "at": question["because"]["now"],
    });
    let subject = asked.subject.replace(".asked", ".answered");
    pipeline.client.publish(subject, answer.to_string().into()).await.unwrap();
    let trace = pipeline.ended(remediation).await;
    assert_eq!(trace.overall_status.as_str(), "refused", "{trace:#?}");
    let reason = trace.reason.unwrap();
    assert!(reason.contains("planned for \"0,0,512,0,0,0\", found \"0,0,400,0,0,0\""), "{reason}");
    assert_eq!((pipeline.iris.cpf(), pipeline.iris.starts()), (drifted, starts), "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_restart_changes_nothing() {
    let pipeline = asking().await;
    let (cpf, starts) = (pipeline.iris.cpf(), pipeline.iris.starts());
    let id = sent(&pipeline, &wish::set_cpf("globals", "0,0,512,0,0,0", true)).await;
    in_phase(&pipeline, &id, "waiting_approval").await;
    let denied = pipeline.instance(&["deny", &id, "--yes", "--note", "not before the backup"]).await;
    assert_eq!(denied.code, 0, "{denied:?}");
    in_phase(&pipeline, &id, "ended").await;
    let trace = pipeline.instance(&["trace", &id, "--json", "--exit-code"]).await;
    assert_eq!((trace.code, &json(&trace)["overall_status"]), (3, &"refused".into()), "{}", trace.stdout);
    assert_eq!((pipeline.iris.cpf(), pipeline.iris.starts()), (cpf, starts));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_would_change_and_changes_nothing() {
    let pipeline = asking().await;
    let folders = [pipeline.path("iris"), pipeline.path("sysctl.d")];
    let before = world::snapshot(&folders);
    let file = pipeline.command_file(&wish::set_cpf("globals", "0,0,512,0,0,0", true));
    let ran = pipeline
        .instance(&["orchestrate", "--command-file", file.to_str().unwrap(), "--dry-run", "--wait", "--json"])
        .await;
    let trace = json(&ran);
    assert_eq!((ran.code, &trace["overall_status"]), (0, &"dry_run".into()), "{ran:?}");
    let change = trace["steps_executed"][0]["changes_applied"].as_object().unwrap().values().next().unwrap();
    assert_eq!(
        (&change["old_value"], &change["new_value"]),
        (&json!("0,0,256,0,0,0"), &json!("0,0,512,0,0,0"))
    );
    assert_eq!(world::differences(&before, &world::snapshot(&folders)), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_doctor_tell_who_is_there_and_who_is_not() {
    let mut pipeline = Pipeline::running(&[]).await;
    let hosts = json(&pipeline.instance(&["hosts", "--json"]).await);
    let mut served: Vec<&str> =
        hosts["served"].as_array().unwrap().iter().map(|row| row["agent"].as_str().unwrap()).collect();
    served.sort_unstable();
    assert_eq!(served, AGENTS);
    assert!(hosts["served"].as_array().unwrap().iter().all(|row| row["instance"] == INSTANCE));

    let iris = pipeline.iris.program();
    let words = ["doctor", "--json", "--iris-command", iris.to_str().unwrap()];
    let healthy = pipeline.instance(&words).await;
    assert_eq!((healthy.code, &json(&healthy)["healthy"]), (0, &true.into()), "{healthy:?}");
    pipeline.service("os-agent").kill9();
    let ill = json(&pipeline.instance(&words).await);
    let checks = ill["checks"].as_array().unwrap();
    let wrong: Vec<&Value> = checks.iter().filter(|check| check["outcome"] != "ok").collect();
    // No analyst and no gateway run here, which are warnings of their own.
    let names: Vec<&Value> = wrong.iter().map(|check| &check["name"]).collect();
    assert_eq!(names, ["analyst", "gateway", "os-agent"], "{wrong:?}");
    assert!(wrong.iter().all(|check| check["next"].as_str().unwrap().contains("start")), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_are_the_published_ones() {
    let pipeline = Pipeline::running(&[]).await;
    let nobody = "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8";
    let refused = source_tree().join("examples/refused/timeout-too-long.json");
    let refused = refused.to_str().unwrap();
    let settings = pipeline.path("wrong.toml");
    fs::write(&settings, "[nats]\ncolour = 7\n").unwrap();
    let table: [(&[&str], i32); 10] = [
        (&["status"], 0),
        (&["status", nobody], 8),
        (&["trace", nobody], 8),
        (&["approve", nobody, "--yes"], 8),
        (&["dead-letter", "replay", "4711"], 8),
        (&["orchestrate", "--command-file", refused], 3),
        (&["orchestrate", "--command-file", "/no/such/file.json"], 1),
        (&["validate", refused], 1),
        (&["orchestrate"], 2),
        (&["status", "--config", settings.to_str().unwrap()], 78),
    ];
    for (words, code) in table {
        let ran = pipeline.instance(words).await;
        assert_eq!(ran.code, code, "{words:?}: {ran:?}");
        assert!(
            code == 0 || code == 3 || !ran.stderr.is_empty() || !ran.stdout.is_empty(),
            "{words:?} says nothing"
        );
    }
    assert_eq!(alone(&["--nats", "nats://127.0.0.1:1", "status"]).code, 7);
    let undone = sent(&pipeline, &{
        let mut wish = wish::restart();
        wish["instance"] = INSTANCE.into();
        wish
    })
    .await;
    in_phase(&pipeline, &undone, "ended").await;
    assert_eq!(pipeline.instance(&["trace", &undone, "--exit-code"]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_invented_from_the_command_line() {
    let pipeline = Pipeline::running(&[]).await;
    let words = ["generate", "--category", "journal", "--count", "4", "--seed", "7", "--json"];
    let (first, second) = (pipeline.instance(&words).await, pipeline.instance(&words).await);
    assert_eq!(first.code, 0, "{first:?}");
    assert_eq!(first.stdout, second.stdout, "same seed, same bytes");
    assert!(
        first.stdout.contains("\"journal\"") && first.stdout.matches("\"message_id\"").count() == 4,
        "{first:?}"
    );
}

#[test]
fn every_example_is_legal_and_every_refused_one_is_told_why() {
    let files = |folder: &str| {
        let listing = fs::read_dir(source_tree().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        listing.filter(|path| path.is_file()).collect::<Vec<_>>()
    };
    for file in files("examples") {
        let ran = alone(&["validate", file.to_str().unwrap(), "--json"]);
        assert_eq!((ran.code, &json(&ran)["faults"]), (0, &json!([])), "{}", file.display());
    }
    for file in files("examples/refused") {
        let ran = alone(&["validate", file.to_str().unwrap(), "--json"]);
        let report = json(&ran);
        let faults = report["faults"].as_array().unwrap();
        assert!(ran.code == 1 && !faults.is_empty(), "{}: {ran:?}", file.display());
        for fault in faults {
            let told = |name: &str| fault[name].as_str().is_some_and(|text| !text.is_empty());
            assert!(
                told("field") && told("rule") && fault["value"].is_string(),
                "{}: {fault}",
                file.display()
            );
        }
    }
}
