//! A service that is asked to stop takes nothing new, finishes what it took, and tells so; asked twice, it stops at once.

use std::time::Duration;

use instance_contract::RemediationId;
use instance_testkit::eventually;
use serde_json::Value;

use crate::pipeline::{Gate, Pipeline, processes_of, settings::POLICY, wish};

const SOON: Duration = Duration::from_secs(10);

/// A remediation whose restart stands before a closed gate.
async fn restarting() -> (Pipeline, Gate, RemediationId) {
    let mut pipeline = Pipeline::new(&[]).await;
    pipeline.iris.start();
    let gate = pipeline.gate("start");
    pipeline.everything().await;
    let id = pipeline.ask(&wish::set_cpf("globals", "0,0,512,0,0,0", true)).await.remediation_id.unwrap();
    gate.reached().await;
    (pipeline, gate, id)
}

/// Asks a process to drain, and waits until it says that it does.
async fn asked_to_drain(pipeline: &mut Pipeline, service: &str) {
    pipeline.service(service).terminate();
    let process = pipeline.service(service);
    eventually(SOON, || {
        let draining = process.log().contains("\"draining\"");
        async move { draining.then_some(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_agent_finishes_the_restart_in_hand_and_tells_it() {
    let (mut pipeline, gate, id) = restarting().await;
    asked_to_drain(&mut pipeline, "restart-agent").await;
    assert!(pipeline.service("restart-agent").is_running(), "an instance is not left stopped");
    gate.open();
    assert_eq!(pipeline.service("restart-agent").ended(SOON).await.code(), Some(0));
    let result: Value = pipeline.recorded(id, "result.restart.1").await.json().unwrap();
    assert_eq!(result["status"], "success", "{result}");
    assert_eq!(pipeline.iris.state().0, "running");
    pipeline.agent("restart-agent");
    let trace = pipeline.succeeded(id).await;
    assert!(
        trace.steps_executed.iter().all(|step| step.attempt.0 == 1),
        "nothing was done again: {trace:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once() {
    let (mut pipeline, gate, _) = restarting().await;
    asked_to_drain(&mut pipeline, "restart-agent").await;
    // 143: it did not wait for its work, as a first signal makes it.
    pipeline.service("restart-agent").terminate();
    assert_eq!(pipeline.service("restart-agent").ended(SOON).await.code(), Some(143));
    // The program that it had called has nobody to tell; let it end.
    gate.open();
    eventually(SOON, || async { processes_of(&gate.program).is_empty().then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn router_leaves_at_once_and_another_ends_what_it_began() {
    let (mut pipeline, gate, id) = restarting().await;
    pipeline.router("b");
    pipeline.service("router-a").terminate();
    assert_eq!(pipeline.service("router-a").ended(SOON).await.code(), Some(0));
    gate.open();
    let trace = pipeline.succeeded(id).await;
    assert!(trace.steps_executed.iter().all(|step| step.attempt.0 == 1), "{trace:#?}");
    assert_eq!(pipeline.iris.backups(), 1);
}

/// The agent that verifies is asked to stop while it listens whether the instance stays silent.
async fn verification_is_finished(agent: &str, wish: Value) {
    let mut pipeline = Pipeline::new(&["--host-huge-pages", "100"]).await;
    pipeline.iris.start();
    pipeline.policy(&POLICY.replace("quiet_seconds = 1", "quiet_seconds = 3"));
    pipeline.everything().await;
    let id = pipeline.ask(&wish).await.remediation_id.unwrap();
    let step = pipeline.recorded(id, &format!("step.{agent}.")).await;
    assert!(!step.subject.contains("verify"), "{}", step.subject);
    let subject = pipeline.recorded(id, "verify.1").await.subject;
    assert!(subject.contains(&format!(".step.{agent}.")), "{subject}");
    asked_to_drain(&mut pipeline, agent).await;
    assert!(pipeline.service(agent).is_running(), "it still listens");
    assert_eq!(pipeline.service(agent).ended(SOON).await.code(), Some(0));
    let result: Value = pipeline.recorded(id, "result.verify.1").await.json().unwrap();
    assert_eq!(result["status"], "success", "{result}");
    pipeline.succeeded(id).await;
    pipeline.drained_but(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn config_agent_finishes_the_verification_in_hand() {
    verification_is_finished("config-agent", wish::set_cpf("globals", "0,0,512,0,0,0", true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn os_agent_finishes_the_verification_in_hand() {
    verification_is_finished("os-agent", wish::set_kernel("vm.nr_hugepages", 379, true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generator_finishes_the_message_in_hand_and_goes_on_there() {
    let mut pipeline = Pipeline::new(&[]).await;
    let line = |number: usize| format!("11/21/26-10:00:00:000 (1) 1 [Utility.Event] entry {number}\n");
    let text: String = (0..1500).map(line).collect();
    std::fs::write(pipeline.iris.log_path(), &text).unwrap();
    pipeline.generator();
    eventually(SOON, || async { (pipeline.stream_length("INSTANCE_ERRORS").await > 10).then_some(()) }).await;
    pipeline.service("generator").terminate();
    assert_eq!(pipeline.service("generator").ended(SOON).await.code(), Some(0));
    let halfway = pipeline.stream_length("INSTANCE_ERRORS").await;
    assert!(halfway < 1500, "it was asked in the middle");
    pipeline.generator();
    eventually(SOON, || async { (pipeline.stream_length("INSTANCE_ERRORS").await >= 1500).then_some(()) })
        .await;
    let raw: String = pipeline.messages().await.iter().map(|(_, message)| message.raw.as_str()).collect();
    assert_eq!(raw, text);
}
