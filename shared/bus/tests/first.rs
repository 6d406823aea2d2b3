//! The first record of a story, and who serves an instance, on a real server.

use instance_bus::{Headers, PublishError};
use instance_contract::{
    AgentKind, Attempt, HostName, InstanceName, RemediationId, Shard,
    subject::{self, RecordKind},
};
use instance_testkit::NatsServer;
use serde_json::json;

const SHARD: Shard = Shard(0);

fn remediation() -> RemediationId {
    RemediationId::from_uuid(uuid::Uuid::new_v4())
}

#[tokio::test]
async fn the_first_record_is_written_only_where_nothing_stands_under_any_subject() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let accepted = |id| subject::record(SHARD, id, &RecordKind::Accepted);
    let first = async |id, bytes: &'static [u8]| {
        let filter = subject::remediation_of(SHARD, id);
        bus.publish_first_confirmed(&filter, &accepted(id), bytes.into()).await
    };

    let fresh = remediation();
    let written = first(fresh, b"{}").await.unwrap();
    assert!(matches!(first(fresh, b"{}").await, Err(PublishError::Exists { .. })));
    // Others change nothing for this one.
    assert!(first(remediation(), b"{}").await.unwrap().sequence > written.sequence);

    let ended = remediation();
    let end = subject::record(SHARD, ended, &RecordKind::Ended);
    bus.publish_once(&end, &json!({}), Headers::new()).await.unwrap();
    assert!(matches!(first(ended, b"{}").await, Err(PublishError::Exists { .. })));
    let log = bus.read_log(SHARD, &subject::remediation_of(SHARD, ended)).await.unwrap();
    assert_eq!(log.len(), 1, "only the end stands there");

    let begun = remediation();
    let kind = RecordKind::Result { step: "config".parse().unwrap(), attempt: Attempt(1) };
    bus.publish_once(&subject::record(SHARD, begun, &kind), &json!({}), Headers::new()).await.unwrap();
    assert!(matches!(first(begun, b"{}").await, Err(PublishError::Exists { .. })));
}

#[tokio::test]
async fn an_owner_writes_until_it_is_followed_and_nobody_writes_a_record_twice() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let owner = async |epoch| {
        let written = bus.publish_once(&subject::owner(SHARD, epoch), &json!({}), Headers::new()).await;
        bus.ownership(SHARD, written.unwrap().sequence).await.unwrap()
    };
    let former = owner(1).await;
    let id = remediation();
    let step = |number| {
        let kind = RecordKind::Result { step: "config".parse().unwrap(), attempt: Attempt(number) };
        subject::record(SHARD, id, &kind)
    };
    let write =
        async |by, number, bytes: &'static [u8]| bus.publish_owned(by, &step(number), bytes.into()).await;
    write(&former, 1, b"{}").await.unwrap();
    for bytes in [b"{}", b"[]"] {
        assert!(matches!(write(&former, 1, bytes).await, Err(PublishError::Exists { .. })));
    }
    // Whatever condition it is written under.
    let plain = bus.publish_bytes(&step(1), "{}".into(), None, Headers::new()).await;
    assert!(matches!(plain, Err(PublishError::Exists { .. })), "{plain:?}");

    let next = owner(2).await;
    if bus.server_version().starts_with("2.10.") {
        // It does not know the condition: a former owner is held up only where a record stands already.
        let refused = write(&former, 1, b"{}").await;
        assert!(matches!(refused, Err(PublishError::Exists { .. })), "{refused:?}");
    } else {
        for number in [1, 2] {
            let refused = write(&former, number, b"{}").await;
            assert!(matches!(refused, Err(PublishError::Unmet { .. })), "{refused:?}");
        }
    }
    write(&next, 2, b"{}").await.unwrap();
    let log = bus.read_log(SHARD, &subject::remediation_of(SHARD, id)).await.unwrap();
    assert_eq!(log.len(), 2);
}

#[tokio::test]
async fn a_write_that_no_stream_takes_is_no_write() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let nowhere = subject::record(Shard(99), remediation(), &RecordKind::Ended);
    let written = bus.publish_once(&nowhere, &json!({}), Headers::new()).await;
    assert!(matches!(written, Err(PublishError::Unavailable { .. })), "{written:?}");
}

#[tokio::test]
async fn many_ids_are_looked_for_with_one_question() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let subjects: Vec<_> =
        (0..1000).map(|_| subject::record(SHARD, remediation(), &RecordKind::Accepted)).collect();
    assert!(bus.is_new_in(SHARD, &subjects).await.unwrap(), "an empty log");
    let other = subject::record(SHARD, remediation(), &RecordKind::Accepted);
    bus.publish_once(&other, &json!({}), Headers::new()).await.unwrap();
    assert!(bus.is_new_in(SHARD, &subjects).await.unwrap());
    bus.publish_once(&subjects[777], &json!({}), Headers::new()).await.unwrap();
    assert!(!bus.is_new_in(SHARD, &subjects).await.unwrap());
    assert!(bus.is_new_in(Shard(1), &subjects).await.unwrap(), "another shard has a log of its own");
}

#[tokio::test]
async fn who_serves_an_instance_is_known_without_asking_until_it_changes() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let router = instance_testkit::bus(&server).await;
    let (prod, here): (InstanceName, HostName) = ("PROD".parse().unwrap(), "here".parse().unwrap());
    let there: HostName = "there".parse().unwrap();
    let hosts = router.hosts_by_instance().await.unwrap();
    let needed = [AgentKind::Config];

    // Nobody serves it yet, and that is not remembered.
    assert!(hosts.of(&prod, &needed).await.unwrap().is_empty());
    bus.register_host(&prod, AgentKind::Config, &here).await.unwrap();
    assert_eq!(hosts.of(&prod, &needed).await.unwrap()[&AgentKind::Config], here);

    // An agent that is not needed may be unknown; one that is needed is asked for.
    bus.register_host(&prod, AgentKind::Os, &here).await.unwrap();
    assert_eq!(hosts.of(&prod, &[AgentKind::Os]).await.unwrap()[&AgentKind::Os], here);

    for (from, to) in [(&here, &there), (&there, &here)] {
        assert_eq!(&hosts.of(&prod, &needed).await.unwrap()[&AgentKind::Config], from);
        bus.forget_host(&prod, AgentKind::Config).await.unwrap();
        bus.register_host(&prod, AgentKind::Config, to).await.unwrap();
        // Whatever the server says to the router after the move comes behind it.
        router.flush().await.unwrap();
        assert_eq!(&hosts.of(&prod, &needed).await.unwrap()[&AgentKind::Config], to);
    }
}
