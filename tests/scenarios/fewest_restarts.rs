//! Several changes for one instance: told beforehand to the byte, done with one restart, and told truly when none was
//! asked for.

use instance_contract::{OverallStatus, StepStatus, WorkflowTrace};
use serde_json::{Value, json};

use crate::pipeline::{Pipeline, wish};

/// Three changes by two agents and two restarts, in an order that nobody would choose.
fn changes(dry_run: bool) -> Value {
    let mut wish = wish::restart();
    let fields = wish.as_object_mut().unwrap();
    fields.remove("execution_order");
    fields.remove("parameters");
    let cpf = |parameter: &str, value: &str| json!({"cpf_section": "config", "parameter": parameter, "new_value": value});
    wish["dry_run"] = dry_run.into();
    wish["error_type"] = "config".into();
    wish["steps"] = json!([
        {"id": "cache", "tool": "iris_config", "parameters": cpf("globals", "0,0,300,0,0,0")},
        {"id": "first", "tool": "iris_restart", "parameters": {}, "depends_on": ["cache"]},
        {"id": "locks", "tool": "iris_config", "parameters": cpf("locksiz", "33554432"), "depends_on": ["first"]},
        {"id": "last", "tool": "iris_restart", "parameters": {}, "depends_on": ["locks"]},
        {"id": "swap", "tool": "os_config", "parameters": {"kernel_param": "vm.swappiness", "new_value": 5}},
    ]);
    wish
}

/// Each change as it was told or done: step, target, from, to. What is only measured on the way is no change.
fn told(trace: &WorkflowTrace, status: StepStatus) -> Vec<[String; 4]> {
    let steps = trace.steps_executed.iter().filter(|step| step.status == status);
    let changes = steps.flat_map(|step| {
        step.changes_applied.iter().map(|(target, change)| {
            let value = |value: &Option<String>| value.clone().unwrap_or_default();
            [step.step_id.to_string(), target.clone(), value(&change.old_value), value(&change.new_value)]
        })
    });
    let is_change =
        |target: &str| ["cpf ", "kernel ", "instance "].iter().any(|kind| target.starts_with(kind));
    let mut changes: Vec<_> = changes.filter(|[_, target, ..]| is_change(target)).collect();
    changes.sort();
    changes
}

#[tokio::test(flavor = "multi_thread")]
async fn three_changes_take_one_restart_and_are_those_of_the_dry_run() {
    let pipeline = Pipeline::running(&[]).await;
    let (cpf, starts) = (pipeline.iris.cpf(), pipeline.iris.starts());
    let dry = pipeline.ask(&changes(true)).await.remediation_id.unwrap();
    let dry = pipeline.ended(dry).await;
    assert_eq!(dry.overall_status, OverallStatus::DryRun, "{dry:#?}");
    assert_eq!((pipeline.iris.cpf(), pipeline.iris.starts()), (cpf, starts), "a dry run changes nothing");

    let real = pipeline.ask(&changes(false)).await.remediation_id.unwrap();
    let real = pipeline.succeeded(real).await;
    assert_eq!(pipeline.iris.starts(), starts + 1, "one restart serves all changes");
    let forecast = told(&dry, StepStatus::DryRun);
    assert_eq!((forecast.len(), &forecast), (4, &told(&real, StepStatus::Success)));
    assert!(dry.plan_digest.is_some() && dry.plan_digest == real.plan_digest, "the same changes, one digest");
    let folded = |trace: &WorkflowTrace| trace.warnings.iter().any(|text| text.contains("is folded into"));
    assert!(folded(&dry) && folded(&real), "{:?}", real.warnings);
    let cpf = pipeline.iris.cpf();
    assert!(cpf.contains("\nglobals=0,0,300,0,0,0\n") && cpf.contains("\nlocksiz=33554432\n"), "{cpf}");
    assert_eq!(pipeline.iris.kernel("vm/swappiness"), "5");
    assert_eq!(pipeline.iris.status()["told"]["globals_8k_mb"], 300, "in force");

    // Without a restart the change is made all the same, and its asker is told that it is not in force.
    let id = pipeline.ask(&wish::set_cpf("globals", "0,0,256,0,0,0", false)).await.remediation_id.unwrap();
    let applied = pipeline.succeeded(id).await;
    let told = applied.warnings.iter().any(|text| text.contains("comes into force only after a restart"));
    assert!(told, "{applied:#?}");
    assert!(pipeline.iris.cpf().contains("\nglobals=0,0,256,0,0,0\n"));
    assert_eq!(pipeline.iris.status()["told"]["globals_8k_mb"], 300, "as before");
}
