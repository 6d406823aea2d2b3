//! The remediation log and the buckets on a real server.

use std::{collections::BTreeSet, time::Duration};

use futures::StreamExt as _;
use instance_bus::{AlreadyServed, Bus, BusError, Headers, LogFollow, LogMessage, OpenHint};
use instance_contract::{
    AgentKind, Attempt, HostName, InstanceName, RemediationId, Shard, subject, subject::RecordKind,
};
use instance_testkit::{NatsServer, eventually};
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);

fn remediation() -> RemediationId {
    RemediationId::from_uuid(uuid::Uuid::new_v4())
}

async fn next(follow: &mut LogFollow) -> LogMessage {
    tokio::time::timeout(SOON, follow.next())
        .await
        .expect("a message comes in time")
        .expect("the log can be read")
}

async fn write(bus: &Bus, id: RemediationId, shard: Shard, attempt: u32) -> u64 {
    let kind = RecordKind::Result { step: "config".parse().expect("a step id"), attempt: Attempt(attempt) };
    let subject = subject::record(shard, id, &kind);
    let written = bus.publish_once_confirmed(&subject, &json!(attempt), Headers::new()).await;
    written.expect("nobody else writes here").sequence
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_5000_records_is_read_whole_and_in_order() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let id = remediation();
    let writes = futures::stream::iter(1..=5000).map(|attempt| write(&bus, id, Shard(1), attempt));
    let written: BTreeSet<u64> = writes.buffer_unordered(200).collect().await;
    assert_eq!(written.len(), 5000);

    let log = bus.read_log(Shard(1), &subject::shard_log(Shard(1))).await.unwrap();
    assert_eq!(
        log.iter().map(|message| message.sequence).collect::<Vec<_>>(),
        (1..=5000).collect::<Vec<_>>()
    );
    let attempts: BTreeSet<u32> = log.iter().map(|message| message.json().unwrap()).collect();
    assert_eq!(attempts, (1..=5000).collect());
    assert_eq!(bus.last_sequence(Shard(1)).await.unwrap(), 5000);
    assert!(bus.read_log(Shard(0), &subject::shard_log(Shard(0))).await.unwrap().is_empty());
    assert_eq!(bus.find_remediation(id).await.unwrap().len(), 5000);
    assert!(bus.find_remediation(remediation()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_filter_ends_at_its_own_last_record() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let (first, second) = (remediation(), remediation());
    for attempt in 1..=3 {
        write(&bus, first, Shard(0), attempt).await;
    }
    for attempt in 1..=5 {
        write(&bus, second, Shard(0), attempt).await;
    }
    let log = bus.read_log(Shard(0), &subject::remediation_of(Shard(0), first)).await.unwrap();
    assert_eq!(log.iter().map(|message| message.sequence).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_follow_loses_and_repeats_nothing_over_a_kill_of_the_server() {
    let mut server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let id = remediation();
    for attempt in 1..=10 {
        write(&bus, id, Shard(2), attempt).await;
    }
    let mut all = bus.follow(Shard(2), &[subject::shard_log(Shard(2))], 4);
    let mut one = bus.follow_remediation(id).await.unwrap();
    for expected in 4..=10 {
        assert_eq!(next(&mut all).await.sequence, expected);
    }
    for expected in 1..=10 {
        assert_eq!(next(&mut one).await.sequence, expected);
    }
    server.kill9();
    server.restart();
    eventually(SOON, || async { bus.is_connected().then_some(()) }).await;
    for attempt in 11..=20 {
        write(&bus, id, Shard(2), attempt).await;
    }
    for follow in [&mut all, &mut one] {
        for expected in 11..=20 {
            assert_eq!(next(follow).await.json::<u64>().unwrap(), expected);
        }
    }
}

#[tokio::test]
async fn a_follow_survives_a_frozen_server() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let id = remediation();
    let mut follow = bus.follow(Shard(0), &[subject::shard_log(Shard(0))], 1);
    write(&bus, id, Shard(0), 1).await;
    assert_eq!(next(&mut follow).await.sequence, 1);
    server.stop_cont(tokio::time::sleep(Duration::from_secs(8))).await;
    write(&bus, id, Shard(0), 2).await;
    assert_eq!(next(&mut follow).await.sequence, 2);
}

#[tokio::test]
async fn a_shard_has_one_owner_until_it_is_given_back_or_expires() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let mut first = bus.lease(Shard(0), "router-a", "p1");
    let mut second = bus.lease(Shard(0), "router-b", "p2");
    assert!(first.try_acquire().await.unwrap() && first.is_fresh());
    assert!(!second.try_acquire().await.unwrap() && !second.is_fresh());
    assert!(first.renew().await.unwrap());
    assert_eq!(bus.lease_holder(Shard(0)).await.unwrap().unwrap().process, "p1");

    first.release().await.unwrap();
    assert!(!first.renew().await.unwrap());
    assert!(second.try_acquire().await.unwrap());
    // Nobody renews: gone by itself.
    let mut third = bus.lease(Shard(0), "router-c", "p3");
    eventually(SOON, || {
        let bus = bus.clone();
        async move { bus.lease_holder(Shard(0)).await.unwrap().is_none().then_some(()) }
    })
    .await;
    assert!(!second.is_fresh());
    assert!(third.try_acquire().await.unwrap());
    assert!(!second.renew().await.unwrap(), "an expired lease is not renewed over its new owner");
}

#[tokio::test]
async fn a_restarted_router_takes_its_own_shard_at_once() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let mut before = bus.lease(Shard(1), "router-a", "p1");
    let mut after = bus.lease(Shard(1), "router-a", "p2");
    assert!(before.try_acquire().await.unwrap());
    assert!(after.try_acquire().await.unwrap());
    assert!(!before.renew().await.unwrap(), "the former process has lost the shard");
    assert!(after.renew().await.unwrap());
}

#[tokio::test]
async fn a_lease_whose_answer_was_lost_is_looked_up() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let mut lease = bus.lease(Shard(0), "router-a", "p1");
    assert!(lease.try_acquire().await.unwrap());
    let (renewed, ()) =
        tokio::join!(lease.renew(), server.stop_cont(tokio::time::sleep(Duration::from_secs(6))));
    assert!(renewed.as_ref().map_or_else(BusError::is_unreachable, |_| true), "{renewed:?}");
    assert!(!lease.is_fresh() || renewed.is_ok_and(|held| held), "not known to be held is not held");
    eventually(SOON, || async { bus.is_connected().then_some(()) }).await;
    // Nobody else wants it: the same process gets it back, however the lost write ended.
    assert!(lease.try_acquire().await.unwrap() && lease.is_fresh());
    assert_eq!(bus.lease_holder(Shard(0)).await.unwrap().unwrap().process, "p1");
}

#[tokio::test]
async fn a_second_host_for_the_same_instance_is_refused() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let instance: InstanceName = "PROD.1".parse().unwrap();
    let (here, there): (HostName, HostName) = ("db1".parse().unwrap(), "db2".parse().unwrap());
    assert_eq!(bus.host_of(&instance, AgentKind::Os).await.unwrap(), None);
    bus.register_host(&instance, AgentKind::Os, &here).await.unwrap();
    bus.register_host(&instance, AgentKind::Os, &here).await.unwrap();
    bus.register_host(&instance, AgentKind::Config, &there).await.unwrap();
    let error = bus.register_host(&instance, AgentKind::Os, &there).await.unwrap_err();
    assert!(matches!(&error, AlreadyServed::By { host, .. } if *host == here), "{error}");
    assert_eq!(error.to_string(), "os-agent of instance \"PROD.1\" already runs on host \"db1\"");
    assert_eq!(bus.host_of(&instance, AgentKind::Os).await.unwrap(), Some(here));
    assert_eq!(bus.hosts().await.unwrap().len(), 2);

    bus.forget_host(&instance, AgentKind::Os).await.unwrap();
    assert_eq!(bus.host_of(&instance, AgentKind::Os).await.unwrap(), None);
    bus.register_host(&instance, AgentKind::Os, &there).await.unwrap();
}

#[tokio::test]
async fn halted_until_lifted_and_unreadable_is_an_error() {
    let mut server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    assert!(!bus.is_halted().await.unwrap());
    bus.halt("ann", "storage is failing").await.unwrap();
    assert!(bus.is_halted().await.unwrap());
    assert_eq!(bus.halt_order().await.unwrap().unwrap().reason, "storage is failing");
    bus.lift_halt("somebody").await.unwrap();
    assert!(!bus.is_halted().await.unwrap());
    server.kill9();
    assert!(bus.is_halted().await.unwrap_err().is_unreachable());
}

#[tokio::test]
async fn an_open_hint_is_only_a_hint() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    assert_eq!(bus.open_hint(Shard(0)).await.unwrap(), OpenHint::default());
    let hint = OpenHint { accepted: vec![3, 9], read_to: 12, epoch: 7, ..OpenHint::default() };
    bus.put_open_hint(Shard(0), &hint).await.unwrap();
    assert_eq!(bus.open_hint(Shard(0)).await.unwrap(), hint);
}
