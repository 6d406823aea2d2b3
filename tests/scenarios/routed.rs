//! A command that names no tools: the rules find them, and whoever looks sees which rule it was and what is at risk.

use instance_contract::{Risk, WorkflowTrace};
use serde_json::Value;

use crate::pipeline::{Pipeline, wish};

const WHY: &str =
    "routed to iris_config by rule, as the parameters name a CPF parameter: what the test wants";

#[tokio::test(flavor = "multi_thread")]
async fn reason_and_risk_of_a_routed_command_are_seen_wherever_one_looks() {
    let pipeline = Pipeline::running(&[]).await;
    let mut wish = wish::set_cpf("routines", "128", false);
    wish.as_object_mut().unwrap().remove("execution_order");
    let file = pipeline.command_file(&wish).display().to_string();

    let dry = ["orchestrate", "--command-file", &file, "--complete", "--dry-run", "--wait"];
    let dry = pipeline.instance(&dry).await;
    assert_eq!(dry.code, 0, "{dry:?}");
    let line = format!("why       config, risk medium: {WHY}");
    assert!(dry.stdout.contains(&line), "{dry:?}");

    let run = pipeline.instance(&["orchestrate", "--command-file", &file, "--wait"]).await;
    assert_eq!(run.code, 0, "{run:?}\n{}", pipeline.logs());
    assert!(run.stderr.contains(&format!("config by config-agent, risk medium: {WHY}")), "{run:?}");
    assert!(run.stdout.contains(&line), "{run:?}");
    assert!(pipeline.iris.cpf().contains("routines=128"));

    let id = wish::id_of(&wish);
    let status = pipeline.instance(&["status", &id, "--json"]).await;
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!((&status["steps"][0]["risk"], &status["steps"][0]["reason"]), (&"medium".into(), &WHY.into()));
    assert_eq!(status["steps"][1]["risk"], "low", "{status}");

    let history = pipeline.instance(&["history", "--csv"]).await;
    let rows: Vec<&str> = history.stdout.lines().collect();
    assert!(rows[0].ends_with(",risk,why"), "{history:?}");
    assert!(rows[2].contains(",medium,") && rows[2].contains(WHY), "{history:?}");

    let trace = pipeline.instance(&["trace", &id, "--json"]).await;
    let trace = WorkflowTrace::decode(trace.stdout.as_bytes()).unwrap();
    let planned: Vec<(&str, Risk)> =
        trace.planned.iter().map(|step| (step.step_id.as_str(), step.risk)).collect();
    assert_eq!(planned, [("config", Risk::Medium), ("verify", Risk::Low)]);
    let replay = pipeline.instance(&["replay", &id]).await;
    assert_eq!(replay.code, 0, "{replay:?}");
}
