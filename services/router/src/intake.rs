//! From a delivery to an arrival: the command, and what is known about its id and its instance.

use futures::future::try_join_all;
use instance_bus::{BusError, Delivery, topology};
use instance_contract::{
    Accepted, AgentKind, Because, CommandAnswer, CommandId, Digest, Ended, Faults, InstanceName, Older,
    OverallStatus, RemediationCommand, RemediationId, Shard, Totals, TraceId, WorkflowTrace,
    decode::{self, Node},
    subject::{self, RecordKind},
};
use instance_engine::{Arrival, Earlier, Record};
use instance_planner::questions;
use jiff::Timestamp;
use tracing::Span;

use crate::Router;

/// What a delivery turned out to be.
pub(crate) enum Taken {
    Legal {
        arrival: Box<Arrival>,
        /// Goes on in the place of the delivery's span, where that is in another trace than the command.
        moved: Option<Span>,
    },
    /// Not legal, but its id can be read: the refusal is written down, unless the id has a history of its own.
    Illegal { id: RemediationId, answer: Box<CommandAnswer>, ended: Option<Box<Record>> },
    /// Not even an id.
    Unreadable { answer: Box<CommandAnswer>, reason: String },
}

/// Look at a delivery. Reads the bus, changes nothing.
pub(crate) async fn take(router: &Router, delivery: &Delivery, now: Timestamp) -> Result<Taken, BusError> {
    let bytes = delivery.payload();
    let older = Older {
        instance: router.default_instance.clone(),
        trace_id: instance_bus::current_trace_id().unwrap_or_else(|| made_trace_id(bytes)),
        requested_by: "a sender on the bus".to_owned(),
        issued_at: delivery.published_at(),
    };
    match RemediationCommand::decode(bytes, &older) {
        // Its shard follows from the subject: under another one, two routers could drive one instance.
        Ok(command) if !is_addressed_to(delivery.subject(), &command.instance) => {
            let faults = Faults::one("instance", &command.instance, "must be the one that the subject names");
            illegal(router, bytes, faults, older.trace_id, now).await
        }
        Ok(mut command) => {
            command.dry_run |= router.dry_run;
            let needed: Vec<AgentKind> = questions(&command).iter().map(|question| question.agent).collect();
            let hosts = router.hosts.of(&command.instance, &needed).await?;
            let digest = Digest::of(bytes);
            let moved = in_its_trace(&command);
            let traceparent = match &moved {
                Some(span) => span.in_scope(instance_bus::current_traceparent),
                None => instance_bus::current_traceparent(),
            };
            // Whether its id is new is found out when its first record is written.
            let arrival = Box::new(Arrival { command, digest, traceparent, hosts, earlier: None });
            Ok(Taken::Legal { arrival, moved })
        }
        Err(faults) => illegal(router, bytes, faults, older.trace_id, now).await,
    }
}

/// A span in the trace that the command names, where its sender has sent another trace along, or none: what is told of it
/// is found under one id.
fn in_its_trace(command: &RemediationCommand) -> Option<Span> {
    if !instance_bus::is_elsewhere(&command.trace_id) {
        return None;
    }
    let span = tracing::info_span!(
        parent: None,
        "take command",
        otel.kind = "internal",
        instance.command.id = %command.command_id,
    );
    instance_bus::begin_in(&span, &command.trace_id);
    Some(span)
}

fn is_addressed_to(subject: &str, instance: &InstanceName) -> bool {
    subject.rsplit('.').next() == Some(instance.token().as_str())
}

async fn illegal(
    router: &Router,
    bytes: &[u8],
    faults: Faults,
    made: TraceId,
    now: Timestamp,
) -> Result<Taken, BusError> {
    let node = decode::tree(bytes, decode::MAX_COMMAND_BYTES).ok();
    let text = |field: &str| node.as_ref().and_then(|node| node.get(field)).and_then(Node::as_str);
    let trace_id: TraceId = text("trace_id").and_then(|raw| raw.parse().ok()).unwrap_or(made);
    let command_id: Option<CommandId> = text("command_id").and_then(|raw| raw.parse().ok());
    let answer = Box::new(CommandAnswer::refused(command_id, Some(trace_id.clone()), faults.0.clone()));
    let Some(command_id) = command_id else {
        return Ok(Taken::Unreadable { answer, reason: faults.to_string() });
    };
    let id = RemediationId::from(command_id);
    let ended = match earlier(router, id).await? {
        // Its end is not ours to write: the id belongs to another command.
        Some(_) => None,
        None => Some(Box::new(Record::Ended(refusal(id, trace_id, faults, now)))),
    };
    Ok(Taken::Illegal { id, answer, ended })
}

fn refusal(id: RemediationId, trace_id: TraceId, faults: Faults, now: Timestamp) -> Ended {
    let trace = WorkflowTrace {
        schema: WorkflowTrace::SCHEMA.to_owned(),
        trace_id,
        remediation_id: id,
        command_received: None,
        initiated_at: now,
        steps_executed: Vec::new(),
        overall_status: OverallStatus::Refused,
        failed_at_step: None,
        verification: None,
        completion_time_ms: 0,
        plan_digest: None,
        planned: Vec::new(),
        warnings: Vec::new(),
        totals: Totals::default(),
        reason: Some(faults.to_string()),
        faults: faults.0,
    };
    Ended {
        trace,
        because: Because { now, event: "command".to_owned(), delay_ms: 0, epoch: 0, halted: false },
        facts: None,
    }
}

/// What the log holds under an id, in whichever shard: the same id may come back for another instance.
pub(crate) async fn earlier(router: &Router, id: RemediationId) -> Result<Option<Earlier>, BusError> {
    let shards = router.shards.iter();
    let found = try_join_all(shards.map(|shard| async move { earlier_in(router, *shard, id).await })).await?;
    Ok(found.into_iter().flatten().next())
}

async fn earlier_in(router: &Router, shard: Shard, id: RemediationId) -> Result<Option<Earlier>, BusError> {
    let stream = topology::remediations(shard);
    let any = subject::remediation_of(shard, id);
    if router.bus.last_in(&stream, any.as_str()).await?.is_none() {
        return Ok(None);
    }
    let accepted = subject::record(shard, id, &RecordKind::Accepted);
    match router.bus.last_in(&stream, accepted.as_str()).await? {
        Some(message) => {
            let accepted: Accepted = message.json()?;
            Ok(Some(Earlier::Accepted(accepted.command_digest)))
        }
        None => Ok(Some(Earlier::Refused)),
    }
}

/// A trace id for a message that came without one: derived, so that a redelivery gets the same.
fn made_trace_id(bytes: &[u8]) -> TraceId {
    let digest = Digest::of(bytes);
    let half = u128::from_str_radix(&digest.as_str()[..32], 16).unwrap_or(1);
    TraceId::from_bytes(half.to_be_bytes())
}
