//! The loop against a real NATS server, with the agent whose effects are counted.

use instance_bus::Headers;
use instance_clock::{Clock, SystemClock};
use instance_contract::{
    Action, AgentKind, AskKind, Failure, ForecastReply, PlanQuestion, Shard, StepCommand, StepStatus,
    ToolResult, Verify,
    subject::{self, RecordKind},
};
use instance_testkit::chain;

use crate::{
    agent::Prepared,
    answer::FactsQuestion,
    counting_agent::Behaviour,
    held_effect::HeldEffect,
    ledger::{Folder, Intent, Ledger},
    loop_fixture::{DONE, Fixture, SHARD, SOON, host, order, settings},
    run::{AgentError, run},
    sample,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_done_once_however_often_it_is_sent_and_over_restarts() {
    let mut fixture = Fixture::new().await;
    let first = fixture.check(&order("config", 1), StepStatus::Success, None).await;
    assert_eq!(first.agent.host, host());
    fixture.stop().await;
    fixture.start().await;
    let again = fixture.check(&order("config", 2), StepStatus::Success, None).await;
    assert_eq!(ToolResult { attempt: first.attempt, ..again }, first);
    assert_eq!(fixture.agent.effects(), DONE);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redelivery_after_a_crash_between_intent_and_effect_acts_once() {
    let mut fixture = Fixture::new().await;
    fixture.stop().await;
    let order = order("config", 1);
    let ledger =
        Ledger::open(Folder::open(&fixture.folder.path().join("state")).unwrap(), SystemClock.now()).unwrap();
    let prepared: Prepared = sample::prepared("256", "512");
    ledger.intend(Intent { order: order.clone(), prepared, at: SystemClock.now() }).unwrap();
    drop(ledger);
    fixture.start().await;
    fixture.check(&order, StepStatus::Success, None).await;
    assert_eq!(fixture.agent.effects(), DONE);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_was_answered_but_not_settled_is_answered_the_same() {
    let mut fixture = Fixture::new().await;
    let order = order("config", 1);
    let result = fixture.check(&order, StepStatus::Success, None).await;
    // A second copy on another shard: the same attempt once more, as after a lost settlement.
    fixture.send_on(Shard(0), &order).await;
    assert_eq!(fixture.result_on(Shard(0), &order).await, result);
    assert_eq!(fixture.agent.effects(), DONE);
    fixture.stop().await;
}

/// A server that was killed within 100 ms after a settlement has forgotten it.
#[tokio::test(flavor = "multi_thread")]
async fn a_verification_that_was_answered_before_holds_nobody_up() {
    let mut fixture = Fixture::new().await;
    // What it waits for was true once, and never will be again.
    let mut held = HeldEffect::next_of(&fixture.agent);
    let promise = Verify { expect: Vec::new(), quiet: Vec::new(), quiet_seconds: 0 };
    let verify = StepCommand { action: Action::Verify(promise), ..order("verify", 1) };
    let kind = RecordKind::Result { step: verify.step_id.clone(), attempt: verify.attempt };
    let answer = subject::record(SHARD, verify.remediation_id, &kind);
    fixture.bus.publish_once(&answer, &"what was found then", Headers::new()).await.unwrap();
    fixture.send(&verify).await;
    held.has_begun().await;
    // The next plan's step on the same instance.
    fixture.check(&order("config", 1), StepStatus::Success, None).await;
    held.goes_on();
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_comes_while_the_step_runs_gets_its_result() {
    let mut fixture = Fixture::new().await;
    let mut held = HeldEffect::next_of(&fixture.agent);
    fixture.send(&order("config", 1)).await;
    held.has_begun().await;
    let told: ToolResult = fixture.ask(AskKind::Probe, &order("config", 1)).await;
    assert_eq!((told.status, told.error_code.as_deref()), (StepStatus::Unknown, Some("running")));
    fixture.send(&order("config", 2)).await;
    held.goes_on();
    let (first, second) =
        (fixture.result(&order("config", 1)).await, fixture.result(&order("config", 2)).await);
    assert_eq!(first.status, StepStatus::Success);
    assert_eq!(ToolResult { attempt: first.attempt, ..second }, first);
    assert_eq!(fixture.agent.effects(), DONE);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_the_step_in_hand() {
    let mut fixture = Fixture::new().await;
    let mut held = HeldEffect::next_of(&fixture.agent);
    fixture.send(&order("config", 1)).await;
    held.has_begun().await;
    let (drain, process) = fixture.process.take().unwrap();
    drain.request();
    fixture.send(&order("after", 1)).await;
    held.goes_on();
    process.await.unwrap().unwrap();
    assert_eq!(fixture.result(&order("config", 1)).await.status, StepStatus::Success);
    assert_eq!(fixture.agent.effects(), DONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_begin_is_refused_and_says_why() {
    let mut fixture = Fixture::new().await;
    let mut late = order("late", 1);
    late.not_after = SystemClock.now() - jiff::SignedDuration::from_secs(1);
    fixture.check(&late, StepStatus::Refused, Some("expired")).await;
    fixture.bus.halt("a test", "to see").await.unwrap();
    fixture.check(&order("halted", 1), StepStatus::Refused, Some("halted")).await;
    fixture.bus.lift_halt("somebody").await.unwrap();
    fixture.agent.set("300");
    fixture.check(&order("drifted", 1), StepStatus::Refused, Some("drifted")).await;
    fixture.agent.set("256");
    let mut newer = order("newer", 1);
    newer.token.epoch += 1;
    fixture.check(&newer, StepStatus::Success, None).await;
    fixture.check(&order("stale", 1), StepStatus::Refused, Some("stale_token")).await;
    let mut elsewhere = order("elsewhere", 1);
    elsewhere.instance = "NOTHERE".parse().unwrap();
    fixture.check(&elsewhere, StepStatus::Refused, Some("unknown_instance")).await;
    assert_eq!(fixture.agent.effects(), DONE);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_read_goes_to_the_dead_letters() {
    let mut fixture = Fixture::new().await;
    let order = order("config", 1);
    let on = |step: &str| {
        subject::step(
            SHARD,
            order.remediation_id,
            order.agent,
            &host(),
            &step.parse().unwrap(),
            order.attempt,
        )
    };
    fixture.bus.publish_once(&on("garbage"), &"no step command", Headers::new()).await.unwrap();
    fixture.bus.publish_once(&on("another"), &order, Headers::new()).await.unwrap();
    let letters = fixture.dead_letters(2).await;
    let reasons: Vec<&str> = letters.iter().map(|letter| letter.reason.split(':').next().unwrap()).collect();
    assert!(reasons.contains(&"unreadable") && reasons.contains(&"refused"), "{reasons:?}");
    assert!(fixture.agent.effects().is_empty());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered() {
    let mut fixture = Fixture::new().await;
    let facts: serde_json::Value =
        fixture.ask(AskKind::Facts, &FactsQuestion { instance: "PROD".parse().unwrap() }).await;
    assert_eq!(facts["globals"], "256");
    let order = order("config", 1);
    let question = PlanQuestion { instance: order.instance.clone(), actions: vec![order.action.clone()] };
    let forecasts: Vec<ForecastReply> = fixture.ask(AskKind::Plan, &question).await;
    let [ForecastReply::Would(forecast)] = &forecasts[..] else { panic!("{forecasts:?}") };
    assert_eq!((forecast.before.as_str(), forecast.after.as_str()), ("256", "512"));
    let told: ToolResult = fixture.ask(AskKind::Probe, &order).await;
    assert_eq!(told.error_code.as_deref(), Some("not_done"));
    let subject = subject::ask(AgentKind::Config, &host(), AskKind::Facts);
    for question in [&b"{}"[..], br#"{"instance":"NOTHERE"}"#] {
        assert!(fixture.bus.request(&subject, question.to_vec().into(), SOON).await.is_err());
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_host_serves_an_instance_and_one_process_its_ledger() {
    let mut fixture = Fixture::new().await;
    let second = run(fixture.context("db1"), fixture.agent.clone(), settings(fixture.folder.path())).await;
    assert!(matches!(second, Err(AgentError::InUse { .. })), "{second:?}");
    let elsewhere = tempfile::tempdir().unwrap();
    let other = run(fixture.context("db2"), fixture.agent.clone(), settings(elsewhere.path())).await;
    let error = other.unwrap_err();
    assert!(matches!(error, AgentError::Register(_)), "{}", chain(&error));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_and_the_next_attempt_may_do_better() {
    let mut fixture = Fixture::new().await;
    fixture.agent.next(Behaviour::FailBefore(Failure::transient("disk_full", "no room")));
    let failed = fixture.check(&order("config", 1), StepStatus::Failure, Some("disk_full")).await;
    assert!(failed.retryable);
    fixture.check(&order("config", 2), StepStatus::Success, None).await;
    let undo = StepCommand { not_after: order("config", 1).not_after, ..sample::undo_order("config", 1) };
    assert!(matches!(undo.action, Action::Undo(_)));
    fixture.check(&undo, StepStatus::Undone, None).await;
    assert_eq!(fixture.agent.value(), "256");
    fixture.stop().await;
}
