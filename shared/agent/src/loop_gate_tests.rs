//! What the loop lets through while it runs: halted or not, with which token, and whose steps.

use std::{
    fs,
    time::{Duration, Instant},
};

use instance_bus::{Headers, Settings};
use instance_contract::{Action, AgentKind, StepStatus, subject};
use instance_testkit::NatsServer;

use crate::{
    held_effect::HeldEffect,
    loop_fixture::{DONE, Fixture, SHARD, host, order},
};

/// The agent hears nothing of what is written to the kill switch, as after a connection that fell silent.
const USERS: &str = "
authorization { users: [
  { user: everybody, password: everybody }
  { user: deaf, password: deaf, permissions: { subscribe: { deny: \"$KV.>\" } } }
] }
no_auth_user: everybody
";

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_that_nobody_hears_stops_a_running_loop_within_a_second() {
    let server = NatsServer::start_with(USERS);
    let login = |name: &str| matches!(name, "NATS_USER" | "NATS_PASSWORD").then(|| "deaf".to_owned());
    let deaf = Settings { url: Some(server.url()), ..Settings::default() }.resolve(&login).unwrap();
    let mut fixture = Fixture::on(server, &deaf).await;
    let mut step = 0;
    let mut halted_at = None;
    loop {
        step += 1;
        fixture.agent.set("256");
        let order = order(&format!("s{step}"), 1);
        let sent_at = Instant::now();
        fixture.send(&order).await;
        let result = fixture.result(&order).await;
        match (halted_at, result.status) {
            (None, status) => {
                assert_eq!(status, StepStatus::Success, "{result:?}");
                fixture.bus.halt("a test", "to see").await.unwrap();
                halted_at = Some(Instant::now());
            }
            (Some(halted_at), StepStatus::Success) => {
                let late = sent_at.duration_since(halted_at);
                assert!(late.as_millis() < 1000, "an effect was begun {late:?} after the halt");
            }
            (Some(_), status) => {
                assert_eq!((status, result.error_code.as_deref()), (StepStatus::Refused, Some("halted")));
                break;
            }
        }
    }
    fixture.bus.lift_halt("somebody").await.unwrap();
    fixture.agent.set("256");
    fixture.check(&order("again", 1), StepStatus::Success, None).await;
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_that_is_heard_stops_the_very_next_step() {
    let mut fixture = Fixture::new().await;
    for step in 0..10 {
        fixture.agent.set("256");
        fixture.check(&order(&format!("go{step}"), 1), StepStatus::Success, None).await;
        fixture.bus.halt("a test", "to see").await.unwrap();
        fixture.check(&order(&format!("stop{step}"), 1), StepStatus::Refused, Some("halted")).await;
        fixture.bus.lift_halt("somebody").await.unwrap();
    }
    assert_eq!(fixture.agent.effects().len(), 10);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_token_is_refused_also_when_the_fence_file_is_lost() {
    let mut fixture = Fixture::new().await;
    let mut newer = order("newer", 1);
    newer.token.epoch += 1;
    fixture.check(&newer, StepStatus::Success, None).await;
    fixture.stop().await;
    fs::remove_dir_all(fixture.folder.path().join("fence")).unwrap();
    fixture.start().await;
    fixture.agent.set("256");
    let refused = fixture.check(&order("older", 1), StepStatus::Refused, Some("stale_token")).await;
    assert!(refused.error_message.unwrap().contains("is stale"));
    assert_eq!(fixture.agent.effects(), DONE);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_names_another_agent_or_host_than_its_subject_is_kept_and_not_done() {
    let mut fixture = Fixture::new().await;
    let mut forged = order("agent", 1);
    forged.agent = AgentKind::Os;
    let mut astray = order("host", 1);
    astray.host = "db2".parse().unwrap();
    for order in [&forged, &astray] {
        let (id, step) = (order.remediation_id, &order.step_id);
        let subject = subject::step(SHARD, id, AgentKind::Config, &host(), step, order.attempt);
        fixture.bus.publish_once(&subject, order, Headers::new()).await.unwrap();
    }
    let letters = fixture.dead_letters(2).await;
    for letter in letters {
        assert!(letter.reason.contains("does not fit the subject"), "{}", letter.reason);
    }
    assert!(fixture.agent.effects().is_empty());
    fixture.stop().await;
}

/// Two slow steps of one plan that do not wait for each other take the time of one.
#[tokio::test(flavor = "multi_thread")]
async fn steps_on_different_parts_of_an_instance_run_side_by_side() {
    let mut fixture = Fixture::new().await;
    let orders = ["globals", "routines"].map(|parameter| {
        let mut order = order(parameter, 1);
        let Action::SetCpf(set) = &mut order.action else { panic!("the sample sets a value") };
        (set.cpf_section, set.parameter) = ("parts".to_owned(), parameter.to_owned());
        order
    });
    let mut both = orders.each_ref().map(|_| HeldEffect::next_of(&fixture.agent));
    for order in &orders {
        fixture.send(order).await;
    }
    for held in &mut both {
        held.has_begun().await;
    }
    for held in both {
        held.goes_on();
    }
    for order in &orders {
        assert_eq!(fixture.result(order).await.status, StepStatus::Success);
    }
    fixture.stop().await;
}

/// Two instances, one host: the second remediation waits for the first, and then sees what it has done.
#[tokio::test(flavor = "multi_thread")]
async fn two_instances_set_the_same_value_of_their_host_one_after_the_other() {
    let mut fixture = Fixture::new().await;
    let [first, second] = [("PROD", 1_u128, "512"), ("TEST", 2, "768")].map(|(instance, command, value)| {
        let mut order = order("kernel", 1);
        order.instance = instance.parse().unwrap();
        order.command_id = instance_contract::CommandId::from_uuid(uuid::Uuid::from_u128(command));
        order.remediation_id = order.command_id.into();
        let Action::SetCpf(set) = &mut order.action else { panic!("the sample sets a value") };
        (set.cpf_section, set.new_value) = ("host".to_owned(), value.to_owned());
        order.change.as_mut().unwrap().after = value.to_owned();
        order
    });
    let mut held = HeldEffect::next_of(&fixture.agent);
    fixture.send(&first).await;
    held.has_begun().await;
    // The first has looked and not acted yet. Beside it, the second would look, too, and both would act.
    fixture.send(&second).await;
    let early = tokio::time::timeout(Duration::from_secs(1), fixture.result(&second)).await;
    assert!(early.is_err(), "it did not wait: {early:?}");
    held.goes_on();
    assert_eq!(fixture.result(&first).await.status, StepStatus::Success);
    let refused = fixture.result(&second).await;
    assert_eq!(
        (refused.status, refused.error_code.as_deref()),
        (StepStatus::Refused, Some("drifted")),
        "{refused:?}"
    );
    assert_eq!((fixture.agent.value().as_str(), fixture.agent.effects().len()), ("512", 1));
    fixture.stop().await;
}
