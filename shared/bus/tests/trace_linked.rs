//! Where handling a message is only linked to its creation. In a program of its own: the switch is the process's.

mod kept; // The spans that a test makes.

use std::time::Duration;

use instance_bus::Headers;
use instance_contract::{AgentKind, Attempt, RemediationId, Shard, subject};
use instance_testkit::NatsServer;
use kept::Kept;
use serde_json::json;

#[tokio::test]
async fn where_handling_is_only_linked_it_is_a_trace_of_its_own() {
    let (kept, _default) = Kept::of_this_thread();
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let host = "db1".parse().unwrap();
    let mut steps = bus.steps(AgentKind::Config, &host).await.unwrap();
    let id = RemediationId::from_uuid(uuid::Uuid::new_v4());
    let step = "config".parse().unwrap();
    let order = subject::step(Shard(0), id, AgentKind::Config, &host, &step, Attempt(1));
    bus.publish_once(&order, &json!({}), Headers::new()).await.unwrap();
    let next = tokio::time::timeout(Duration::from_secs(30), steps.next()).await;
    let delivery = next.unwrap().unwrap().unwrap();
    instance_bus::continue_traces(false);
    drop(delivery.span());
    delivery.done().await.unwrap();
    let template = "instance.v1.remediation.{shard}.{id}.step.{agent}.{host}.{step}.{attempt}";
    let (publish, process) =
        (kept.named(&format!("publish {template}")), kept.named(&format!("process {template}")));
    assert_ne!(process.span_context.trace_id(), publish.span_context.trace_id());
    assert_eq!(process.links[0].span_context.span_id(), publish.span_context.span_id());
}
