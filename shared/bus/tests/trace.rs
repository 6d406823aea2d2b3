//! One trace from the publisher to the handler, and no inbox in it.

mod kept; // The spans that a test makes.

use std::time::Duration;

use bytes::Bytes;
use instance_bus::{DeadLetterReason, Headers};
use instance_contract::{AgentKind, AskKind, RemediationId, Shard, subject, subject::RecordKind};
use instance_testkit::NatsServer;
use kept::Kept;
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SpanData};
use serde_json::json;
use tracing::Instrument as _;

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes.iter().find(|pair| pair.key.as_str() == key).map(|pair| pair.value.to_string())
}

#[tokio::test]
async fn a_trace_goes_from_publisher_to_handler_and_names_no_inbox() {
    let (kept, _default) = Kept::of_this_thread();

    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let sender = tracing::info_span!("sender");
    let (trace_id, traceparent) = sender.in_scope(|| {
        (instance_bus::current_trace_id().unwrap(), instance_bus::current_traceparent().unwrap())
    });
    assert!(traceparent.starts_with(&format!("00-{trace_id}-")), "{traceparent}");

    // A command, stored and handled; the handler writes a record.
    let command = subject::command(&"PROD".parse().unwrap());
    bus.publish(&command, &json!({}), Some("id-1"), Headers::new()).instrument(sender.clone()).await.unwrap();
    let mut all = futures::stream::SelectAll::new();
    for shard in bus.topology().await.unwrap().shards() {
        let deliveries = bus.commands(shard).await.unwrap();
        all.push(Box::pin(futures::stream::unfold(deliveries, |mut deliveries| async {
            let next = deliveries.next().await?;
            Some((next, deliveries))
        })));
    }
    let wait = tokio::time::timeout(Duration::from_secs(20), futures::StreamExt::next(&mut all));
    let delivery = wait.await.unwrap().unwrap().unwrap();
    let span = delivery.span();
    let id = RemediationId::from_uuid(uuid::Uuid::new_v4());
    let record = subject::record(Shard(0), id, &RecordKind::Accepted);
    bus.publish_once(&record, &json!({}), Headers::new()).instrument(span.clone()).await.unwrap();
    delivery
        .dead_letter(DeadLetterReason::Refused("for the test".to_owned()))
        .instrument(span.clone())
        .await
        .unwrap();
    // Questions that nobody answers, and one to an inbox.
    let ask = subject::ask(AgentKind::Os, &"db1".parse().unwrap(), AskKind::Facts);
    bus.request(&ask, Bytes::new(), Duration::from_secs(5)).await.unwrap_err();
    let inbox = bus.inbox().await.unwrap();
    let reply = subject::Subject::foreign(inbox.subject()).unwrap();
    bus.publish_core(&reply, Bytes::new(), Headers::new()).await.unwrap();
    drop((span, sender));

    let publish = kept.named("publish instance.v1.command.{instance}");
    let process = kept.named("process instance.v1.command.{instance}");
    let accepted = kept.named("publish instance.v1.remediation.{shard}.{id}.accepted");
    let settled = kept.named("term instance.v1.command.{instance}");
    for span in [&publish, &process, &accepted, &settled] {
        assert_eq!(span.span_context.trace_id().to_string(), trace_id.as_str(), "{}", span.name);
    }
    assert_eq!((&publish.span_kind, &process.span_kind), (&SpanKind::Producer, &SpanKind::Consumer));
    assert_eq!(process.parent_span_id, publish.span_context.span_id());
    assert_eq!(process.links.len(), 1);
    assert_eq!(process.links[0].span_context.span_id(), publish.span_context.span_id());
    assert_eq!(accepted.parent_span_id, process.span_context.span_id());
    assert_eq!(
        (settled.parent_span_id, settled.links[0].span_context.span_id(), &settled.span_kind),
        (process.span_context.span_id(), publish.span_context.span_id(), &SpanKind::Client)
    );
    for (name, value) in [
        ("messaging.operation.name", "term"),
        ("messaging.operation.type", "settle"),
        ("messaging.nats.stream", "INSTANCE_COMMANDS"),
    ] {
        assert_eq!(attribute(&settled, name).as_deref(), Some(value));
    }
    assert_eq!(attribute(&publish, "messaging.system").as_deref(), Some("nats"));
    assert_eq!(attribute(&publish, "messaging.message.id").as_deref(), Some("id-1"));
    assert_eq!(attribute(&process, "messaging.nats.delivery_count").as_deref(), Some("1"));
    assert_eq!(attribute(&process, "server.address").as_deref(), Some("127.0.0.1"));
    let asked = kept.named("request instance.v1.ask.{agent}.{host}.facts");
    let question = kept.named("publish instance.v1.ask.{agent}.{host}.facts");
    assert_eq!(question.parent_span_id, asked.span_context.span_id());
    assert_eq!((asked.span_kind.clone(), attribute(&question, "error.type")), (SpanKind::Internal, None));
    assert_eq!(attribute(&accepted, "messaging.message.conversation_id"), Some(id.to_string()));
    assert_eq!(attribute(&asked, "error.type").as_deref(), Some("nobody_there"));
    assert_eq!(attribute(&kept.named("publish"), "messaging.destination.temporary").as_deref(), Some("true"));

    // The dead letter keeps the context that the command came with; a replay is a new trace with a link to it.
    let letter = bus.dead_letters().await.unwrap().remove(0);
    let kept_context = letter.headers.get("traceparent").unwrap().to_owned();
    assert!(kept_context.contains(&publish.span_context.span_id().to_string()), "{kept_context}");
    bus.replay(letter.sequence).await.unwrap();
    let replayed = kept.named("replay");
    assert_ne!(replayed.span_context.trace_id(), publish.span_context.trace_id());
    assert_eq!(replayed.links[0].span_context.span_id(), publish.span_context.span_id());

    for span in kept.all() {
        let text = format!("{} {:?}", span.name, span.attributes);
        assert!(!text.contains("_INBOX") && !text.contains("$JS.ACK"), "{text}");
    }
}

#[test]
fn an_illegal_traceparent_is_a_new_trace_and_no_error() {
    use opentelemetry::trace::TraceContextExt as _;
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let legal = format!("00-{}-{}-01", "1".repeat(32), "2".repeat(16));
    assert!(instance_bus::parent_from(&legal).span().span_context().is_valid());
    for text in
        ["", "00-0-0-00", "\r\nNats-Rollup: all", &format!("00-{}-{}-01", "0".repeat(32), "0".repeat(16))]
    {
        assert!(!instance_bus::parent_from(text).span().span_context().is_valid(), "{text}");
    }
}
