//! The layout of the bus on a real server: made, read back, compared, refused.

use expect_test::expect_file;
use instance_bus::{BusError, InitOutcome, TopologyOptions, topology};
use instance_contract::{InstanceName, Shard, subject};
use instance_testkit::NatsServer;
use serde_json::{Value, json};

/// Changes a stream behind the bus's back.
async fn api(server: &NatsServer, subject: &str, request: Value) -> Value {
    let client = async_nats::connect(server.url()).await.expect("the server runs");
    let payload = if request.is_null() { String::new() } else { request.to_string() };
    let reply = client.request(format!("$JS.API.{subject}"), payload.into()).await;
    let reply = reply.expect("the server answers");
    serde_json::from_slice(&reply.payload).expect("the server answers JSON")
}

#[tokio::test]
async fn made_once_and_found_the_second_time() {
    let server = NatsServer::start();
    let bus = instance_testkit::connect(&server).await;
    let missing = bus.topology().await.unwrap_err();
    assert_eq!(missing.to_string(), "stream INSTANCE_COMMANDS is missing; run `instance bus init`");
    assert_eq!(bus.check().await.unwrap().len(), 1);

    let first = bus.init(&TopologyOptions::default()).await.unwrap();
    assert!(first.iter().all(|outcome| matches!(outcome, InitOutcome::Created(_))), "{first:?}");
    assert_eq!(first.len(), 5 + 4 + 4 + 4, "streams, shards, buckets, consumers");
    let second = bus.init(&TopologyOptions::default()).await.unwrap();
    assert!(second.iter().all(|outcome| matches!(outcome, InitOutcome::Existing(_))), "{second:?}");
    assert_eq!(bus.topology().await.unwrap().shards, 4);
    assert_eq!(bus.check().await.unwrap(), []);
}

#[tokio::test]
async fn a_stream_that_differs_is_refused_by_field() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let name = topology::remediations(Shard(2));
    let info = api(&server, &format!("STREAM.INFO.{name}"), Value::Null).await;
    let mut config = info["config"].clone();
    config["discard"] = json!("old");
    // The server knows this one only with the other.
    config["discard_new_per_subject"] = json!(false);
    let changed = api(&server, &format!("STREAM.UPDATE.{name}"), config).await;
    assert!(changed["error"].is_null(), "{changed}");

    let error = bus.init(&TopologyOptions::default()).await.unwrap_err();
    let BusError::TopologyMismatch { thing, field, expected, found, server: version } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        (thing.as_str(), field.as_str(), expected.as_str(), found.as_str()),
        ("stream INSTANCE_REMEDIATIONS_2", "discard", "\"new\"", "\"old\"")
    );
    assert_eq!(*version, bus.server_version());
    let findings = bus.check().await.unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].thing, "stream INSTANCE_REMEDIATIONS_2");
}

#[tokio::test]
async fn a_consumer_that_differs_is_refused_by_field() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let deleted = api(&server, "CONSUMER.DELETE.INSTANCE_COMMANDS.router_1", Value::Null).await;
    assert_eq!(deleted["success"], true);
    let request = json!({ "stream_name": "INSTANCE_COMMANDS", "config": {
        "durable_name": "router_1", "ack_policy": "explicit", "deliver_policy": "all",
        "filter_subject": "instance.v1.command.1.*", "ack_wait": 60_000_000_000_u64, "max_deliver": -1,
    }});
    let made = api(&server, "CONSUMER.DURABLE.CREATE.INSTANCE_COMMANDS.router_1", request).await;
    assert!(made["error"].is_null(), "{made}");
    let error = bus.commands(Shard(1)).await.err().expect("a router with another wait is not ours");
    let text = error.to_string();
    assert!(
        text.starts_with(
            "consumer router_1 of INSTANCE_COMMANDS differs in \"ack_wait\": expected 4000000000"
        ),
        "{text}"
    );
}

#[tokio::test]
async fn the_number_of_shards_changes_only_with_nothing_open() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let two = TopologyOptions { shards: Some(2), ..TopologyOptions::default() };
    let instance: InstanceName = "PROD".parse().unwrap();
    bus.publish(&subject::command(&instance), &json!({}), None, instance_bus::Headers::new()).await.unwrap();
    let error = bus.init(&two).await.unwrap_err();
    assert_eq!(error.to_string(), "the bus has 4 shards and 2 were asked for; 1 commands are waiting");
    // An existing bus keeps its number when nobody asks for another.
    bus.init(&TopologyOptions::default()).await.unwrap();

    let purged = api(&server, "STREAM.PURGE.INSTANCE_COMMANDS", json!({})).await;
    assert_eq!(purged["success"], true);
    let outcomes = bus.init(&two).await.unwrap();
    assert_eq!(outcomes[0], InitOutcome::Resharded { from: 4, to: 2 });
    assert_eq!(bus.topology().await.unwrap().shards, 2);
    assert_eq!(bus.check().await.unwrap(), []);
}

#[test]
fn the_table_on_the_wire() {
    expect_file!["topology.txt"].assert_eq(&topology::print_table(1));
}
