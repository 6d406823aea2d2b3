//! The router on a real NATS server: commands in, remediations driven to their end, whoever dies meanwhile.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod audit; // What was decided and done, told on.
mod desk;
mod ids; // An id is used once, wherever it comes.
mod owners; // Who drives a shard.

use std::time::{Duration, Instant};

use desk::{Desk, command};
use instance_bus::OpenHint;
use instance_contract::{AgentKind, AnswerStatus, OverallStatus, StepStatus, subject};
use instance_planner::Policy;
use instance_testkit::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_answered_at_once_and_driven_to_its_end() {
    let desk = Desk::new().await;
    let router = desk.router("a");
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let answer = desk.ask(&command(1, "PROD"), "PROD").await;
    assert_eq!((answer.status, answer.place), (AnswerStatus::Accepted, Some(0)), "{answer:?}");
    let trace = desk.ended(answer.remediation_id.unwrap()).await;
    assert_eq!(trace.overall_status, OverallStatus::Success);
    assert_eq!(desk.sent(), ["config.1", "restart.1", "verify.1"]);

    let again = desk.ask(&command(1, "PROD"), "PROD").await;
    // The same id, issued at another instant: other bytes.
    assert_eq!(again.status, AnswerStatus::Refused);
    assert_eq!(again.faults[0].field, "command_id");
    desk.dead_letters(1).await;
    router.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_twice_are_done_once() {
    let desk = Desk::new().await;
    let _router = desk.router("a");
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let payload = command(1, "PROD");
    let first = desk.ask(&payload, "PROD").await;
    desk.ended(first.remediation_id.unwrap()).await;
    let second = desk.ask(&payload, "PROD").await;
    assert_eq!(second.status, AnswerStatus::Repeated);
    assert_eq!(second.remediation_id, first.remediation_id);
    assert_eq!(desk.sent().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_commands_are_answered_with_field_value_and_rule_and_change_nothing() {
    let desk = Desk::new().await;
    let _router = desk.router("a");
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let with = |name: &str, value: serde_json::Value| {
        let mut json: serde_json::Value = serde_json::from_str(&command(2, "PROD")).unwrap();
        json[name] = value;
        json.to_string()
    };
    let cases = [
        (with("timeout_seconds", 301.into()), "timeout_seconds"),
        (with("command_id", "no".into()), "command_id"),
        ("not JSON".to_owned(), "payload"),
        (format!("{{\"a\": \"{}\"}}", "x".repeat(300 * 1024)), "payload"),
        ("[".repeat(128), "payload"),
    ];
    for (payload, field) in cases {
        let answer = desk.ask(&payload, "PROD").await;
        assert_eq!(answer.status, AnswerStatus::Refused);
        assert_eq!(answer.faults[0].field, field);
    }
    let unserved = desk.ask(&command(3, "NOBODY"), "NOBODY").await;
    assert_eq!((unserved.status, unserved.faults[0].field.as_str()), (AnswerStatus::Refused, "instance"));
    let mut old: serde_json::Value = serde_json::from_str(&command(4, "PROD")).unwrap();
    old["issued_at"] = "2020-01-01T00:00:00Z".into();
    let expired = desk.ask(&old.to_string(), "PROD").await;
    assert_eq!((expired.status, expired.faults[0].field.as_str()), (AnswerStatus::Expired, "issued_at"));
    assert_eq!(desk.ended(expired.remediation_id.unwrap()).await.overall_status, OverallStatus::Expired);
    assert!(desk.sent().is_empty(), "nothing was changed");
    // Four could not be read, so they are kept; the others stand in the log as refused.
    desk.dead_letters(4).await;
}

/// Two commands under one id come so close that the first is still being answered: each sender hears of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_command_under_an_id_that_is_arriving_is_not_taken_for_the_first() {
    let desk = Desk::new().await;
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    // Whoever takes a command asks them, and waits a little before it is accepted without their answer.
    desk.agents_fall_asleep();
    let first = command(60, "PROD");
    let urgent = first.replace("\"severity\":3", "\"severity\":2");
    let illegal = first.replace("\"severity\":3", "\"severity\":9");
    let mut answers = Vec::new();
    for payload in [&first, &urgent, &illegal] {
        answers.push(desk.tell(payload, "PROD").await);
    }
    let _router = desk.router("a");
    let mut heard = Vec::new();
    for inbox in answers {
        heard.push(desk::answer(inbox).await);
    }
    assert_eq!(heard[0].status, AnswerStatus::Accepted, "{heard:?}");
    assert_eq!(
        (heard[1].status, heard[2].status),
        (AnswerStatus::Refused, AnswerStatus::Refused),
        "{heard:?}"
    );
    assert_eq!(heard[1].faults[0].field, "command_id");
    desk.dead_letters(2).await;
    let log = desk.bus.find_remediation(heard[0].remediation_id.unwrap()).await.unwrap();
    assert!(!log.iter().any(desk::is_end), "it still waits for the agents");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_id_is_spent() {
    let desk = Desk::new().await;
    let _router = desk.router("a");
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let good = command(5, "PROD");
    let bad = good.replace("\"severity\":3", "\"severity\":9");
    assert_eq!(desk.ask(&bad, "PROD").await.status, AnswerStatus::Refused);
    let corrected = desk.ask(&good, "PROD").await;
    assert_eq!(corrected.status, AnswerStatus::Refused);
    assert!(corrected.faults[0].rule.contains("its own id"), "{corrected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_illegal_command_cannot_end_another_ones_remediation() {
    let desk = Desk::new().await;
    let _router = desk.router_with("a", desk::often());
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let good = command(6, "PROD");
    let id = desk.ask(&good, "PROD").await.remediation_id.unwrap();
    let answer = desk.ask(&good.replace("\"severity\":3", "\"severity\":9"), "PROD").await;
    assert_eq!(answer.status, AnswerStatus::Refused);
    let log = desk.bus.find_remediation(id).await.unwrap();
    assert!(!log.iter().any(desk::is_end), "it still waits for its approval");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_router_is_followed_by_another_and_every_step_is_sent_once() {
    let desk = Desk::new().await;
    let first = desk.router("first");
    // The restart is never answered by the agent itself: only the next owner's remediation shows the end.
    desk.agents("PROD", |step| (step.step_id.as_str() != "restart").then_some(StepStatus::Success)).await;
    let answer = desk.ask(&command(7, "PROD"), "PROD").await;
    eventually(Duration::from_secs(10), || async {
        desk.sent().contains(&"restart.1".to_owned()).then_some(())
    })
    .await;
    first.kill();
    let killed = Instant::now();
    let _second = desk.router("second");
    desk.answer_restart(answer.remediation_id.unwrap()).await;
    let trace = desk.ended(answer.remediation_id.unwrap()).await;
    assert_eq!(trace.overall_status, OverallStatus::Success);
    assert_eq!(desk.sent(), ["config.1", "restart.1", "verify.1"]);
    let taken_over = killed.elapsed();
    // The lease of the dead one lives three seconds: sooner would mean that it was not dead.
    assert!(taken_over > Duration::from_millis(900), "{taken_over:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_survive_the_server_being_killed() {
    let mut desk = Desk::new().await;
    let _router = desk.router("a");
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let first = desk.ask(&command(8, "PROD"), "PROD").await;
    desk.ended(first.remediation_id.unwrap()).await;
    desk.server.kill9();
    desk.server.restart();
    let payload = command(9, "PROD");
    let bus = desk.bus.clone();
    eventually(Duration::from_secs(15), || async { bus.is_connected().then_some(()) }).await;
    let second = desk.ask(&payload, "PROD").await;
    assert_eq!(second.status, AnswerStatus::Accepted);
    assert_eq!(desk.ended(second.remediation_id.unwrap()).await.overall_status, OverallStatus::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_routers_share_the_shards_and_each_command_is_taken_once() {
    let desk = Desk::new().await;
    let (_a, _b) = (desk.router("a"), desk.router("b"));
    let instances = ["ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON", "ZETA"];
    for instance in instances {
        let instance = instance.parse().unwrap();
        for agent in instance_contract::AgentKind::ALL {
            desk.bus.register_host(&instance, *agent, &desk::host()).await.unwrap();
        }
    }
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    for (number, instance) in instances.iter().enumerate() {
        let answer = desk.ask(&command(100 + number as u128, instance), instance).await;
        assert_eq!(answer.status, AnswerStatus::Accepted, "{instance}");
        let trace = desk.ended(answer.remediation_id.unwrap()).await;
        assert_eq!(trace.overall_status, OverallStatus::Success, "{instance}");
    }
    assert_eq!(desk.sent().len(), 3 * instances.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_refuses_is_refused_at_once_and_at_its_turn() {
    let desk = Desk::new().await;
    let _router = desk.router_with("a", desk::often());
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    desk.refuses(AgentKind::Config);
    let answer = desk.ask(&command(20, "PROD"), "PROD").await;
    assert_eq!((answer.status, answer.faults[0].field.as_str()), (AnswerStatus::Refused, "parameters"));

    // One that waits behind another is refused when its turn comes, and blocks nobody.
    desk.refuses_nothing();
    let first = desk.ask(&command(21, "PROD"), "PROD").await.remediation_id.unwrap();
    let second = desk.ask(&command(22, "PROD"), "PROD").await;
    let third = desk.ask(&command(23, "PROD"), "PROD").await;
    assert_eq!((second.place, third.place), (Some(1), Some(2)));
    desk.refuses(AgentKind::Config);
    desk.approve(first).await;
    assert_eq!(desk.ended(first).await.overall_status, OverallStatus::Success);
    for waited in [second, third] {
        let trace = desk.ended(waited.remediation_id.unwrap()).await;
        assert_eq!(trace.overall_status, OverallStatus::Refused, "{trace:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_of_an_instance_are_kept_apart_over_a_change_of_owner() {
    let desk = Desk::new().await;
    let policy = Policy { approve_restarts: false, quiet_seconds: 0, ..Policy::default() };
    let first = desk.router_with("first", policy.clone());
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let done = desk.ask(&command(30, "PROD"), "PROD").await;
    assert_eq!(desk.ended(done.remediation_id.unwrap()).await.overall_status, OverallStatus::Success);
    first.drained().await;
    let _second = desk.router_with("second", policy);
    let refused = desk.ask(&command(31, "PROD"), "PROD").await;
    assert_eq!(
        (refused.status, refused.faults[0].field.as_str()),
        (AnswerStatus::Refused, "requires_restart")
    );
    assert!(refused.faults[0].rule.contains("15 minutes between two restarts"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_changes_nothing_sends_no_step_of_what_was_open_before_it() {
    let desk = Desk::new().await;
    let first = desk.router_with("a", desk::often());
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let open = desk.ask(&command(32, "PROD"), "PROD").await.remediation_id.unwrap();
    desk.asked(open).await;
    first.drained().await;
    let _dry = desk.dry_router("a");
    desk.approve(open).await;
    let trace = desk.ended(open).await;
    assert!(trace.reason.is_some_and(|reason| reason.contains("kill switch")));
    let planned = desk.ask(&command(33, "PROD"), "PROD").await;
    assert_eq!(desk.ended(planned.remediation_id.unwrap()).await.overall_status, OverallStatus::DryRun);
    assert!(desk.sent().is_empty(), "{:?}", desk.sent());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_comes_back_for_another_instance_is_refused_in_every_shard() {
    let desk = Desk::new().await;
    let _router = desk.router("a");
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let first = desk.ask(&command(40, "PROD"), "PROD").await;
    desk.ended(first.remediation_id.unwrap()).await;
    for instance in ["ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON", "ZETA"] {
        for agent in AgentKind::ALL {
            desk.bus.register_host(&instance.parse().unwrap(), *agent, &desk::host()).await.unwrap();
        }
        let again = desk.ask(&command(40, instance), instance).await;
        assert_eq!(again.status, AnswerStatus::Refused, "{instance}");
        assert!(again.faults[0].rule.contains("its own id"), "{again:?}");
    }
    assert_eq!(desk.sent().len(), 3);
}

/// What an owner leaves for the next one is a hint: with it, without it, and with one that is not true, every
/// remediation goes on.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_is_found_by_the_next_owner_whatever_the_hint_says() {
    let desk = Desk::new().await;
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let mut owner = desk.router_with("a", desk::often());
    let first = desk.ask(&command(50, "PROD"), "PROD").await.remediation_id.unwrap();
    let accepted = desk.bus.find_remediation(first).await.unwrap();
    let (shard, ..) = subject::parse_record(&accepted[0].subject).unwrap();
    let variants: [fn(OpenHint) -> OpenHint; 4] = [
        |hint| hint,
        |hint| OpenHint { accepted: Vec::new(), epoch: hint.epoch + 1, ..hint },
        |_| OpenHint::default(),
        // As after a long time: what is open lies far behind, and is asked for by its name.
        |hint| OpenHint { read_to: hint.read_to + 1_000, ..hint },
    ];
    for (before, variant) in (1..).zip(variants) {
        let hint = desk.hint_of(shard, before as usize).await;
        owner.kill();
        if before == 4 {
            desk.ends_of_others(shard, 1_000).await;
        }
        desk.bus.put_open_hint(shard, &variant(hint)).await.unwrap();
        owner = desk.router_with("a", desk::often());
        let waiting = desk.ask(&command(50 + u128::from(before), "PROD"), "PROD").await;
        assert_eq!(waiting.place, Some(before), "all before are still open: {waiting:?}");
    }
    desk.approve(first).await;
    assert_eq!(desk.ended(first).await.overall_status, OverallStatus::Success);
}
