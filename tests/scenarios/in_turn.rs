//! Who may act, and when: one remediation of an instance after the other, two routers side by side, nobody while halted.

use std::{collections::BTreeSet, fs, time::Duration};

use instance_bus::Headers;
use instance_contract::{AnswerStatus, OverallStatus};

use crate::pipeline::{INSTANCE, Pipeline, source_tree, wish};

const A_SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn remediations_of_one_instance_wait_for_each_other_and_the_urgent_goes_first() {
    let mut pipeline = Pipeline::new(&[]).await;
    pipeline.iris.start();
    let gate = pipeline.gate("start");
    pipeline.everything().await;
    let first = pipeline.ask(&wish::restart()).await;
    gate.reached().await;
    let usual = pipeline.ask(&wish::set_kernel("vm.swappiness", 5, false)).await;
    let mut urgent = wish::set_kernel("vm.swappiness", 4, false);
    urgent["priority"] = "critical".into();
    let urgent = pipeline.ask(&urgent).await;
    assert_eq!((first.place, usual.place, urgent.place), (Some(0), Some(1), Some(1)));
    assert_eq!(pipeline.iris.kernel("vm/swappiness"), "60", "nothing acts beside the first");
    gate.open();
    let mut ends = Vec::new();
    for answer in [&first, &urgent, &usual] {
        let id = answer.remediation_id.unwrap();
        pipeline.succeeded(id).await;
        let first_step = pipeline.recorded(id, "step").await.published_at;
        ends.push((first_step, pipeline.recorded(id, "ended").await.published_at));
    }
    assert!(ends[0].1 <= ends[1].0 && ends[1].1 <= ends[2].0, "one after the other: {ends:?}");
    assert_eq!(pipeline.iris.kernel("vm/swappiness"), "5", "the last one to act was the usual one");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_routers_side_by_side_take_each_command_once() {
    let mut pipeline = Pipeline::running(&[]).await;
    pipeline.router("b");
    let mut ids = Vec::new();
    for value in 1..=5 {
        let answer = pipeline.ask(&wish::set_kernel("vm.swappiness", value, false)).await;
        assert_eq!(answer.status, AnswerStatus::Accepted, "{answer:?}");
        ids.push(answer.remediation_id.unwrap());
    }
    for id in ids {
        pipeline.succeeded(id).await;
        let records = pipeline.records(id).await;
        let subjects: BTreeSet<&str> = records.iter().map(|record| record.subject.as_str()).collect();
        assert_eq!(subjects.len(), records.len());
        assert_eq!(subjects.iter().filter(|subject| subject.contains(".step.")).count(), 2, "{subjects:?}");
    }
    assert_eq!(pipeline.iris.kernel("vm/swappiness"), "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acts_while_the_kill_switch_is_thrown_whoever_comes_back() {
    let mut pipeline = Pipeline::running(&[]).await;
    let cpf = pipeline.iris.cpf();
    pipeline.bus.halt("tests", "maintenance").await.unwrap();
    // The promise is a second, so a second is waited and not more.
    tokio::time::sleep(A_SECOND).await;
    let answer = pipeline.ask(&wish::set_cpf("globals", "0,0,512,0,0,0", false)).await;
    if let Some(id) = answer.remediation_id {
        let trace = pipeline.ended(id).await;
        assert!(
            !matches!(trace.overall_status, OverallStatus::Success | OverallStatus::Partial),
            "{trace:#?}"
        );
    }
    assert_eq!(pipeline.iris.cpf(), cpf);

    // It is nobody's memory but the bus's, and that is on its disk.
    pipeline.server.kill9();
    for process in ["router-a", "config-agent", "os-agent", "restart-agent"] {
        pipeline.service(process).kill9();
    }
    pipeline.server.restart();
    pipeline.router("a");
    pipeline.agents();
    pipeline.ready(&["router", "config-agent", "os-agent", "restart-agent"]).await;
    let answer = pipeline.ask(&wish::set_cpf("globals", "0,0,512,0,0,0", false)).await;
    let trace = pipeline.ended(answer.remediation_id.unwrap()).await;
    assert_eq!(trace.overall_status, OverallStatus::Failure, "{trace:#?}");
    assert!(trace.reason.as_deref().is_some_and(|reason| reason.contains("halted")), "{trace:#?}");
    assert_eq!(pipeline.iris.cpf(), cpf);
    pipeline.bus.lift_halt("somebody").await.unwrap();
    tokio::time::sleep(A_SECOND).await;
    let answer = pipeline.ask(&wish::set_cpf("globals", "0,0,512,0,0,0", false)).await;
    pipeline.succeeded(answer.remediation_id.unwrap()).await;
    assert_ne!(pipeline.iris.cpf(), cpf);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_an_older_sender_means_the_configured_instance() {
    let mut pipeline = Pipeline::new(&[]).await;
    pipeline.iris.start();
    pipeline.variable("INSTANCE_ROUTER__DEFAULT_INSTANCE", INSTANCE);
    pipeline.everything().await;
    let older = fs::read_to_string(source_tree().join("examples/older-nine-field.json")).unwrap();
    // It names the value that it believes to be there; the stand-in has another.
    let older = older.replace("\"64\"", "\"0\"");
    let answer = pipeline.ask_bytes(INSTANCE, older.into_bytes(), Headers::new()).await;
    assert_eq!(answer.status, AnswerStatus::Accepted, "{answer:?}");
    let trace = pipeline.ended(answer.remediation_id.unwrap()).await;
    assert_eq!(trace.overall_status, OverallStatus::DryRun, "{trace:#?}");
    assert_eq!(trace.command_received.unwrap().instance.as_str(), INSTANCE);
    assert_eq!(Some(trace.trace_id), answer.trace_id, "the trace was made for it");
}
