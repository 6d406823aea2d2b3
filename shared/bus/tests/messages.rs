//! Publishing, receiving, settling and dead letters on a real server.

use std::time::Duration;

use bytes::Bytes;
use instance_bus::{
    Bus, BusError, DeadLetterReason, Deliveries, Delivery, Durability, Headers, PublishError, StartAt,
    topology,
};
use instance_contract::{
    AgentKind, Attempt, HostName, InstanceName, RemediationId, Severity, Shard, StepId, subject,
    subject::RecordKind,
};
use instance_testkit::{NatsServer, eventually};
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);

async fn next(deliveries: &mut Deliveries) -> Delivery {
    let delivery = tokio::time::timeout(SOON, deliveries.next()).await.expect("a delivery comes in time");
    delivery.expect("a bus with shards never ends").expect("the consumer is there")
}

fn remediation() -> RemediationId {
    RemediationId::from_uuid(uuid::Uuid::new_v4())
}

/// Publishes commands until one has landed in the shard; gives its instance.
async fn command_in(bus: &Bus, shard: Shard) -> InstanceName {
    for number in 0..200 {
        let instance: InstanceName = format!("PROD{number}").parse().expect("a legal name");
        let written = bus
            .publish(&subject::command(&instance), &json!({ "instance": instance }), None, Headers::new())
            .await
            .expect("the stream takes it");
        let stored = format!("instance.v1.command.{shard}.{}", instance.token());
        if bus
            .last_in(topology::COMMANDS, &stored)
            .await
            .expect("the stream can be read")
            .is_some_and(|m| m.sequence == written.sequence)
        {
            return instance;
        }
    }
    panic!("no instance of 200 belongs to shard {shard}");
}

#[tokio::test]
async fn the_server_assigns_the_shard_and_its_owner_receives() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let instance = command_in(&bus, Shard(3)).await;
    let mut commands = bus.commands(Shard(3)).await.unwrap();
    let delivery = next(&mut commands).await;
    assert_eq!(delivery.subject(), format!("instance.v1.command.3.{}", instance.token()));
    assert_eq!(delivery.json::<serde_json::Value>().unwrap()["instance"], instance.as_str());
    assert_eq!((delivery.delivered(), delivery.stream()), (1, topology::COMMANDS));
    delivery.done().await.unwrap();
}

#[tokio::test]
async fn a_subject_is_written_once_and_the_second_learns_it() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let subject = subject::record(Shard(0), remediation(), &RecordKind::Accepted);
    let first = bus.publish_once(&subject, &json!({ "by": 1 }), Headers::new()).await.unwrap();
    let second = bus.publish_once(&subject, &json!({ "by": 2 }), Headers::new()).await;
    assert!(matches!(second, Err(PublishError::Exists { .. })), "{second:?}");
    // Not in doubt, so the same bytes of somebody else are still somebody else's.
    let third = bus.publish_once_confirmed(&subject, &json!({ "by": 1 }), Headers::new()).await;
    assert!(matches!(third, Err(PublishError::Exists { .. })), "{third:?}");
    let stored = bus.last_in(&topology::remediations(Shard(0)), subject.as_str()).await.unwrap().unwrap();
    assert_eq!((stored.sequence, stored.payload), (first.sequence, Bytes::from(r#"{"by":1}"#)));
}

#[tokio::test]
async fn of_many_writers_one_wins() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let subject = subject::record(Shard(1), remediation(), &RecordKind::ApprovalAnswered(1));
    let writes = (0..50).map(|by| {
        let (bus, subject) = (bus.clone(), subject.clone());
        async move { bus.publish_once_confirmed(&subject, &json!({ "by": by }), Headers::new()).await }
    });
    let outcomes = futures::future::join_all(writes).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(bus.last_sequence(Shard(1)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_found_again() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let subject = subject::record(Shard(0), remediation(), &RecordKind::Ended);
    // The server takes the bytes off the wire and says nothing until it may go on.
    let record = json!({ "by": "me" });
    let (written, ()) = tokio::join!(
        bus.publish_once_confirmed(&subject, &record, Headers::new()),
        server.stop_cont(tokio::time::sleep(Duration::from_secs(7))),
    );
    let written = written.unwrap();
    let log = bus.read_log(Shard(0), &subject::shard_log(Shard(0))).await.unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!((log[0].sequence, &log[0].payload[..]), (written.sequence, &br#"{"by":"me"}"#[..]));
}

#[tokio::test]
async fn the_same_message_id_is_stored_once() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let host: HostName = "db1".parse().unwrap();
    let subject = subject::error(&host, &"PROD".parse().unwrap(), Severity::Severe);
    let first = bus.publish(&subject, &json!(1), Some("a"), Headers::new()).await.unwrap();
    let second = bus.publish(&subject, &json!(2), Some("a"), Headers::new()).await.unwrap();
    assert_eq!((first.duplicate, second.duplicate, second.sequence), (false, true, first.sequence));
}

#[tokio::test]
async fn a_dropped_delivery_comes_again_and_a_settled_one_does_not() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let instance = command_in(&bus, Shard(0)).await;
    let mut commands = bus.commands(Shard(0)).await.unwrap();
    let first = next(&mut commands).await;
    let sequence = first.sequence();
    drop(first);
    let second = next(&mut commands).await;
    assert_eq!((second.sequence(), second.delivered()), (sequence, 2));
    second.retry_after(Duration::from_millis(50)).await.unwrap();
    let third = next(&mut commands).await;
    assert_eq!((third.sequence(), third.delivered()), (sequence, 3));
    third.still_working().await.unwrap();
    third.done().await.unwrap();
    let stored = format!("instance.v1.command.0.{}", instance.token());
    assert!(bus.last_in(topology::COMMANDS, &stored).await.unwrap().is_none());
}

#[tokio::test]
async fn done_is_an_error_when_the_consumer_is_gone() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    command_in(&bus, Shard(0)).await;
    let mut commands = bus.commands(Shard(0)).await.unwrap();
    let delivery = next(&mut commands).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    client.request("$JS.API.CONSUMER.DELETE.INSTANCE_COMMANDS.router_0", Bytes::new()).await.unwrap();
    let error = delivery.done().await.unwrap_err();
    assert!(matches!(&error, BusError::NotConfirmed { status, .. } if status.contains("503")), "{error}");
    assert!(!error.is_unreachable());
    // And the pulling says what to do instead of waiting for ever.
    let error = tokio::time::timeout(SOON, commands.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "consumer router_0 of INSTANCE_COMMANDS is missing; run `instance bus init`"
    );
}

#[tokio::test]
async fn a_dead_letter_keeps_the_reason_and_can_be_replayed() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let instance = command_in(&bus, Shard(2)).await;
    let mut commands = bus.commands(Shard(2)).await.unwrap();
    let delivery = next(&mut commands).await;
    let (sequence, payload) = (delivery.sequence(), delivery.payload().clone());
    delivery.dead_letter(DeadLetterReason::Unreadable("line 1: no \"schema\"".to_owned())).await.unwrap();

    let letters = bus.dead_letters().await.unwrap();
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(letter.reason, "unreadable: line 1: no \"schema\"");
    assert_eq!((letter.stream.as_str(), letter.stream_sequence), (topology::COMMANDS, sequence));
    assert_eq!((letter.deliveries, &letter.payload), (1, &payload));

    bus.replay(letter.sequence).await.unwrap();
    let again = next(&mut commands).await;
    assert_eq!(again.subject(), format!("instance.v1.command.2.{}", instance.token()));
    assert!(again.sequence() > sequence);
    assert_eq!((again.delivered(), again.payload()), (1, &payload));
    let original = format!("INSTANCE_DEAD:{}", letter.sequence);
    assert_eq!(again.header("Instance-Replay-Of"), Some(original.as_str()));
    again.done().await.unwrap();
    assert!(matches!(bus.replay(999).await, Err(BusError::NoDeadLetter { sequence: 999 })));
}

#[tokio::test]
async fn an_agent_gets_its_steps_from_every_shard_and_nobody_elses() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let host: HostName = "db1.example.com".parse().unwrap();
    let step: StepId = "config".parse().unwrap();
    for shard in bus.topology().await.unwrap().shards() {
        for agent in [AgentKind::Config, AgentKind::Os] {
            let subject = subject::step(shard, remediation(), agent, &host, &step, Attempt::FIRST);
            bus.publish_once(&subject, &json!({ "shard": shard }), Headers::new()).await.unwrap();
        }
    }
    let mut steps = bus.steps(AgentKind::Config, &host).await.unwrap();
    let mut shards = Vec::new();
    for _ in 0..4 {
        let delivery = next(&mut steps).await;
        assert!(
            delivery.subject().contains(".step.config-agent.db1=2Eexample=2Ecom."),
            "{}",
            delivery.subject()
        );
        shards.push(delivery.json::<serde_json::Value>().unwrap()["shard"].as_u64().unwrap());
        delivery.done().await.unwrap();
    }
    shards.sort_unstable();
    assert_eq!(shards, [0, 1, 2, 3]);
    // A second start finds the same consumers and goes on behind what is done.
    drop(steps);
    let mut again = bus.steps(AgentKind::Config, &host).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(500), again.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

#[tokio::test]
async fn deliveries_go_on_after_the_server_was_killed() {
    let mut server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let mut errors = bus.errors(Durability::Durable("analyst".to_owned()), StartAt::First).await.unwrap();
    let mut watch = bus.errors(Durability::Ephemeral, StartAt::New).await.unwrap();
    let subject = subject::error(&"db1".parse().unwrap(), &"PROD".parse().unwrap(), Severity::Fatal);
    bus.publish(&subject, &json!(1), None, Headers::new()).await.unwrap();
    for deliveries in [&mut errors, &mut watch] {
        next(deliveries).await.done().await.unwrap();
    }
    server.restart();
    eventually(SOON, || async { bus.publish(&subject, &json!(2), Some("two"), Headers::new()).await.ok() })
        .await;
    for deliveries in [&mut errors, &mut watch] {
        eventually_json(deliveries, 2).await;
    }
}

/// The acknowledgement of what came before may have died with the server, so older ones may come again.
async fn eventually_json(deliveries: &mut Deliveries, wanted: u64) {
    loop {
        let delivery = next(deliveries).await;
        let found = delivery.json::<u64>().expect("a number");
        delivery.done().await.expect("the server confirms");
        if found == wanted {
            return;
        }
    }
}

#[tokio::test]
async fn an_unreachable_bus_says_so() {
    let server = NatsServer::start();
    let url = server.url();
    drop(server);
    let clock = std::sync::Arc::new(instance_clock::SystemClock);
    let settings = instance_bus::Resolved::at(&url);
    let error = Bus::connect(&settings, "test", clock.clone()).await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert!(error.to_string().contains(&url), "{error}");
    let patience = Duration::from_millis(300);
    assert!(Bus::connect_waiting(&settings, "test", clock, patience).await.unwrap_err().is_unreachable());
}

#[tokio::test]
async fn waiting_for_a_server_ends_when_it_comes() {
    let mut server = NatsServer::start();
    server.kill9();
    let settings = instance_bus::Resolved::at(&server.url());
    let waiting =
        Bus::connect_waiting(&settings, "test", std::sync::Arc::new(instance_clock::SystemClock), SOON);
    let (bus, ()) = tokio::join!(waiting, async { server.restart() });
    bus.unwrap().flush().await.unwrap();
}

#[tokio::test]
async fn what_is_published_behind_another_message_is_stored_behind_it_or_not_at_all() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let host: HostName = "db1".parse().unwrap();
    let instance: InstanceName = "PROD".parse().unwrap();
    let subjects =
        [Severity::Info, Severity::Fatal].map(|severity| subject::error(&host, &instance, severity));
    let text = |id: &str| json!({ "text": id });
    let first = bus.publish(&subjects[0], &text("a"), Some("a"), Headers::new()).await.unwrap();
    let behind = async |id: &'static str, before: &str| {
        bus.publish_behind(&subjects[1], &text(id), id, before, Headers::new()).await
    };
    let unmet = |outcome| matches!(outcome, Err(PublishError::Unmet { .. }));
    assert!(unmet(behind("c", "b").await), "b is lost, so c is refused");
    assert_eq!(behind("b", "a").await.unwrap().sequence, first.sequence + 1);
    assert_eq!(behind("c", "b").await.unwrap().sequence, first.sequence + 2);
    // Sent again because its answer was lost: known by its id, whatever is the newest by now.
    let again = behind("b", "a").await.unwrap();
    assert_eq!((again.sequence, again.duplicate), (first.sequence + 1, true));
    bus.publish(&subjects[0], &text("of somebody else"), None, Headers::new()).await.unwrap();
    assert!(unmet(behind("d", "c").await), "somebody else's is the newest");
    // Many on their way at once, and one of them is missing.
    let names: Vec<String> = (0..40).map(|number| format!("m{number}")).collect();
    bus.publish(&subjects[0], &text("m0"), Some("m0"), Headers::new()).await.unwrap();
    let sent = (1..40).filter(|number| *number != 20).map(|number| {
        bus.publish_behind(&subjects[0], &names[number], &names[number], &names[number - 1], Headers::new())
    });
    let answers = futures::future::join_all(sent).await;
    assert!(answers[..19].iter().all(Result::is_ok), "{answers:?}");
    assert!(answers.into_iter().skip(19).all(unmet));
}
