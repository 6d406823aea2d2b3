//! `--dry-run` beats every profile, file and flag: nothing is changed, by a router that plans only, and by agents that a router
//! without it asks to act. And what the services of this machine say of their health.

use std::time::Duration;

use instance_contract::{OverallStatus, WorkflowTrace};
use instance_testkit::eventually;
use serde_json::Value;

use crate::pipeline::{Pipeline, wish};

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_in_the_production_profile_changes_nothing() {
    let mut pipeline = Pipeline::new(&["--globals", "256"]).await;
    pipeline.iris.start();
    pipeline.flags(&["--profile", "production", "--set", "dry_run=false", "--dry-run"]);
    pipeline.everything().await;
    let (cpf, starts) = (pipeline.iris.cpf(), pipeline.iris.starts());
    let wished = wish::set_cpf("globals", "0,0,512,0,0,0", true);
    let planned = ended(&pipeline, &wished).await;
    assert_eq!(planned.overall_status, OverallStatus::DryRun, "{planned:#?}");
    assert!(!planned.planned.is_empty(), "the plan is told: {planned:#?}");

    ready(&mut pipeline, "router-a", "router").await;
    pipeline.service("router-a").terminate();
    pipeline.service("router-a").ended(Duration::from_secs(30)).await;
    // This one would act, and the agents are asked to.
    pipeline.flags(&["--profile", "production"]);
    pipeline.router("a");
    ready(&mut pipeline, "router-a", "router").await;
    let wished = wish::set_cpf("globals", "0,0,512,0,0,0", false);
    let refused = ended(&pipeline, &wished).await;
    assert_eq!(refused.overall_status, OverallStatus::Refused, "{refused:#?}");
    let code = refused.steps_executed.first().and_then(|step| step.error_code.clone());
    assert_eq!(code.as_deref(), Some("dry_run"), "{refused:#?}");
    assert_eq!((pipeline.iris.cpf(), pipeline.iris.starts(), pipeline.iris.backups()), (cpf, starts, 0));
}

async fn ended(pipeline: &Pipeline, wished: &Value) -> WorkflowTrace {
    let answer = pipeline.ask(wished).await;
    let id = answer.remediation_id.unwrap_or_else(|| panic!("{answer:#?}\n{}", pipeline.logs()));
    pipeline.ended(id).await
}

/// Other tests run services of this role on this machine, too: ours is known by its process.
async fn ready(pipeline: &mut Pipeline, process: &str, role: &str) {
    let pid = pipeline.service(process).pid();
    eventually(Duration::from_mins(1), || async {
        let ran = pipeline.instance(&["health", "--role", role, "--json"]).await;
        let told: Value = serde_json::from_str(&ran.stdout).ok()?;
        let all = told["services"].as_array()?.clone();
        all.into_iter().find(|one| one["pid"] == pid && one["ready"] == true && one["role"] == role)
    })
    .await;
    let nobody = pipeline.instance(&["health", "--role", "no-such-role"]).await;
    assert_eq!(nobody.code, 8, "{nobody:?}");
}
