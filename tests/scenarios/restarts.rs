//! Restarts of an instance in which people work, and of one whose port somebody else has taken.

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
    time::Duration,
};

use instance_contract::{OverallStatus, StepStatus, ToolResult, WorkflowTrace};
use instance_testkit::eventually;
use serde_json::{Value, json};

use crate::pipeline::{Pipeline, wish, world};

fn restart(parameters: &Value) -> Value {
    let mut wish = wish::restart();
    let fields = wish.as_object_mut().unwrap();
    fields.remove("execution_order");
    fields.remove("parameters");
    wish["steps"] = json!([{"id": "restart", "tool": "iris_restart", "parameters": parameters}]);
    wish
}

fn result<'a>(trace: &'a WorkflowTrace, step: &str) -> &'a ToolResult {
    trace.steps_executed.iter().find(|result| result.step_id.as_str() == step).unwrap()
}

/// Somebody works in the instance, in the middle of a transaction.
fn at_work(pipeline: &Pipeline) -> TcpStream {
    let mut session = TcpStream::connect(("127.0.0.1", pipeline.iris.port())).unwrap();
    session.write_all(b"TSTART\n").unwrap();
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn who_works_there_is_waited_for_and_listed_and_nothing_is_stopped() {
    let pipeline = Pipeline::running(&[]).await;
    let session = at_work(&pipeline);
    let starts = pipeline.iris.starts();
    let answer = pipeline.ask(&restart(&json!({"users_seconds": 2}))).await;
    let trace = pipeline.ended(answer.remediation_id.unwrap()).await;
    // A restart that failed is always followed by its undo, which finds the very run still there.
    assert_eq!(trace.overall_status, OverallStatus::Undone, "{trace:#?}");
    let failed = result(&trace, "restart");
    assert_eq!(failed.error_code.as_deref(), Some("users_remain"), "{failed:#?}");
    let told = failed.error_message.as_deref().unwrap();
    let from = session.local_addr().unwrap();
    assert!(told.contains(&format!("1 session ({from}), 1 open transaction")), "{told}");
    assert_eq!(pipeline.iris.starts(), starts, "nothing was stopped");

    // Who leaves in time lets it go on.
    let waits = || pipeline.logs().matches("waiting for users to leave").count();
    let before = waits();
    let answer = pipeline.ask(&restart(&json!({"users_seconds": 30}))).await;
    eventually(Duration::from_mins(1), || async { (waits() > before).then_some(()) }).await;
    drop(session);
    let trace = pipeline.ended(answer.remediation_id.unwrap()).await;
    let done = result(&trace, "restart");
    assert_eq!(done.status, StepStatus::Success, "{trace:#?}\n{}", pipeline.logs());
    assert_eq!(done.changes_applied["sessions"].new_value.as_deref(), Some("1"));
    assert_eq!(done.changes_applied["open_transactions"].new_value.as_deref(), Some("1"));
    let databases = &done.changes_applied["databases_mounted"];
    assert_eq!(databases.old_value, databases.new_value);
    assert_eq!(pipeline.iris.starts(), starts + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_does_not_stop_is_killed_when_command_policy_settings_and_a_person_agree() {
    let mut pipeline = Pipeline::new(&[]).await;
    pipeline.iris.start();
    // It never stops by itself.
    let gate = pipeline.gate("stop");
    pipeline.policy(
        "approve_restarts = false\nallow_force = true\nquiet_seconds = 0\nminutes_between_restarts = 0\n",
    );
    pipeline.variable("INSTANCE_RESTART_AGENT__ALLOW_FORCE", "true");
    pipeline.everything().await;
    let starts = pipeline.iris.starts();
    let mut wish = wish::restart();
    wish["parameters"] = json!({"force": true, "users_seconds": 0, "stop_seconds": 2});
    let id = pipeline.ask(&wish).await.remediation_id.unwrap();
    pipeline.recorded(id, "approval.1.asked").await;
    assert!(!gate.is_reached(), "nobody has agreed yet");
    let granted = pipeline.instance(&["approve", &id.to_string(), "--yes", "--by", "ops"]).await;
    assert_eq!(granted.code, 0, "{granted:?}");
    // That was a yes to a restart. To force a person must say so once it is known that the stop has failed.
    pipeline.recorded(id, "approval.2.asked").await;
    assert!(gate.is_reached(), "it was asked to stop first");
    assert_eq!(pipeline.iris.log().matches("irisforce killed").count(), 0);
    let shown = pipeline.instance(&["status", &id.to_string()]).await;
    assert!(shown.stdout.contains("iris force"), "{shown:?}");
    let granted = pipeline.instance(&["approve", &id.to_string(), "--yes", "--by", "ops"]).await;
    assert_eq!(granted.code, 0, "{granted:?}");
    let trace = pipeline.succeeded(id).await;
    let done = result(&trace, "restart");
    assert!(done.changes_applied.contains_key("force_ms"), "{done:#?}");
    assert!(done.warnings.iter().any(|warning| warning.contains("forced down")), "{done:#?}");
    assert_eq!(pipeline.iris.log().matches("irisforce killed").count(), 1);
    assert_eq!(pipeline.iris.starts(), starts + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_listener_is_not_the_superserver() {
    let pipeline = Pipeline::running(&[]).await;
    let iris = &pipeline.iris;
    let (cpf, port) = (iris.cpf(), iris.port());
    // It takes connections, as a superserver would.
    let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = foreign.local_addr().unwrap().port();
    let mut wish = wish::set_cpf("DefaultPort", &taken.to_string(), true);
    wish["parameters"]["cpf_section"] = json!("Startup");
    wish["timeout_seconds"] = json!(10);
    let answer = pipeline.ask(&wish).await;
    let trace = pipeline.ended(answer.remediation_id.unwrap()).await;
    assert_eq!(trace.overall_status, OverallStatus::Undone, "{trace:#?}\n{}", pipeline.logs());
    let told = result(&trace, "restart").error_message.as_deref().unwrap();
    assert!(told.contains("not of the instance, holds its superserver port"), "{told}");
    assert_eq!(world::changed_lines(&cpf, &iris.cpf()), Vec::new());
    assert_eq!((iris.state().0.as_str(), iris.port()), ("running", port));
}
