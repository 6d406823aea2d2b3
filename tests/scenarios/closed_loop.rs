//! An instance breaks, its own log line travels over NATS, and a command heals it. The world is read with plain tools.

use std::time::Duration;

use instance_testkit::eventually;
use serde_json::Value;

use crate::pipeline::{PANIC, Pipeline, is_backup, wish, world};

/// What caused a command is named in it: the message's id and its trace.
fn caused_by(mut wish: Value, message: &instance_contract::IrisMessage) -> Value {
    wish["caused_by"] = serde_json::json!([message.message_id.to_string()]);
    wish["trace_id"] = message.trace_id.to_string().into();
    wish
}

/// Sends the command as an operator does, and waits for its end.
async fn orchestrated(pipeline: &Pipeline, wish: &Value) -> Value {
    let file = pipeline.command_file(wish);
    let ran = pipeline
        .instance(&["orchestrate", "--command-file", file.to_str().unwrap(), "--wait", "--json"])
        .await;
    assert_eq!(ran.code, 0, "{}{}\n{}", ran.stdout, ran.stderr, pipeline.logs());
    let trace: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&trace["overall_status"], &trace["verification"]["held"]), (&"success".into(), &true.into()));
    assert_eq!(trace["trace_id"], wish["trace_id"]);
    trace
}

#[tokio::test(flavor = "multi_thread")]
async fn too_small_global_buffers_are_grown_and_the_panic_is_over() {
    let pipeline = Pipeline::running(&["--globals", "256", "--dirty-mb", "200"]).await;
    let iris = &pipeline.iris;
    iris.says(PANIC, 0).await;
    let (_, message) = pipeline.told("global-buffers-insufficient").await;
    let before = (iris.cpf(), iris.starts(), world::snapshot(&[pipeline.path("iris")]));

    let wish = caused_by(wish::set_cpf("globals", "0,0,512,0,0,0", true), &message);
    orchestrated(&pipeline, &wish).await;

    let line = |value: &str| format!("globals={value}");
    let changed = world::changed_lines(&before.0, &iris.cpf());
    assert_eq!(changed, [(line("0,0,256,0,0,0"), line("0,0,512,0,0,0"))]);
    assert_eq!(iris.starts(), before.1 + 1);
    let told = iris.status()["told"].clone();
    assert_eq!((&told["globals_8k_mb"], &told["in_panic"]), (&512.into(), &false.into()));
    assert_eq!(iris.state(), ("running".to_owned(), "ok".to_owned()));
    let differences = world::differences(&before.2, &world::snapshot(&[pipeline.path("iris")]));
    let names: Vec<&str> =
        differences.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert!(names.len() == 3 && is_backup(names[2]), "{names:?}");
    assert_eq!(
        &names[..2],
        ["_LastGood_.cpf", "iris.cpf"],
        "IRIS keeps the last good one, the agent a backup"
    );

    // The cause is gone, so the load is borne from now on.
    let (written, passes) = (iris.log().len(), told["passes"].as_u64().unwrap());
    eventually(Duration::from_secs(10), || async {
        (iris.status()["told"]["passes"].as_u64()? > passes + 1).then_some(())
    })
    .await;
    assert!(!iris.log()[written..].contains(PANIC));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_huge_pages_are_reserved_and_used_after_a_restart() {
    const FAILED: &str = "Failed to allocate 742MB shared memory using Huge Pages";
    let pipeline = Pipeline::running(&["--host-huge-pages", "100"]).await;
    let iris = &pipeline.iris;
    let (_, message) = pipeline.told("huge-pages-too-few").await;
    assert!(message.message_text.as_str().starts_with(FAILED));
    assert_eq!(iris.status()["told"]["huge_pages"], false);
    let (cpf, starts, before) = (iris.cpf(), iris.starts(), world::snapshot(&[iris.host()]));

    orchestrated(&pipeline, &caused_by(wish::set_kernel("vm.nr_hugepages", 379, true), &message)).await;

    assert_eq!(iris.kernel("vm/nr_hugepages"), "379");
    assert_eq!(
        world::differences(&before, &world::snapshot(&[iris.host()])),
        [iris.host().join("sys/vm/nr_hugepages")]
    );
    let kept = std::fs::read_to_string(pipeline.path("sysctl.d/90-instance-vm.nr_hugepages.conf")).unwrap();
    assert!(kept.contains("vm.nr_hugepages"), "{kept}");
    assert_eq!((iris.cpf(), iris.starts()), (cpf, starts + 1));
    assert_eq!(iris.status()["told"]["huge_pages"], true);
    assert_eq!(iris.log().matches(FAILED).count(), 1, "not at the second start");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_instance_is_restarted_and_writes_again() {
    let pipeline = Pipeline::running(&[]).await;
    let iris = &pipeline.iris;
    let killed = iris.daemon("WRTDMN").expect("the write daemon runs");
    let (cpf, starts) = (iris.cpf(), iris.starts());
    iris.sim("kill-daemon", &["WRTDMN"]);
    let (_, message) = pipeline.told("write-daemon-died").await;
    eventually(Duration::from_secs(10), || async { (iris.state().1 == "hung").then_some(()) }).await;

    orchestrated(&pipeline, &caused_by(wish::restart(), &message)).await;

    let now = iris.daemon("WRTDMN").expect("a write daemon is alive");
    assert_ne!(now, killed);
    assert_eq!((iris.cpf(), iris.starts()), (cpf, starts + 1));
    // A start after a freeze recovers, and tells so once; nothing is wrong any more.
    assert_eq!(iris.state().0, "running");
    assert!(["ok", "warn"].contains(&iris.state().1.as_str()), "{:?}", iris.state());
}
