//! `POST /v1/commands`: a RemediationCommand, as on the bus.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use instance_bus::Headers;
use instance_contract::{
    AnswerStatus, CommandAnswer, CommandId, Faults, Older, RemediationCommand, RemediationId, TraceId,
    subject,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::Instrument as _;

use crate::{Gateway, guard::Asker, problem::Problem};

/// A command that the bus has.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CommandTaken {
    pub(crate) status: TakenStatus,
    pub(crate) command_id: CommandId,
    /// Follow it at the address in the header `Location`.
    pub(crate) remediation_id: RemediationId,
    pub(crate) trace_id: TraceId,
    /// How many remediations of the instance go first; null when no router has answered yet.
    pub(crate) place: Option<u32>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TakenStatus {
    /// A router has accepted it.
    Accepted,
    /// It was accepted before, and is not done twice.
    Repeated,
    /// The bus keeps it until a router takes it up.
    Stored,
}

pub(crate) async fn take(
    State(gateway): State<Arc<Gateway>>,
    Extension(Asker(asker)): Extension<Asker>,
    body: Bytes,
) -> Result<Response, Problem> {
    let older = Older {
        instance: None,
        trace_id: instance_bus::current_trace_id().unwrap_or_else(|| TraceId::from_bytes(rand::random())),
        requested_by: asker.clone(),
        issued_at: gateway.clock.now(),
    };
    let command = RemediationCommand::decode(&body, &older)
        .map_err(|faults| Problem::faulty("the command breaks rules; nothing was sent", faults))?;
    if command.requested_by != asker {
        let rule = format!("must be \"{asker}\", which the credential says");
        let faults = Faults::one("requested_by", &command.requested_by, rule);
        let title = "a command is asked for in one's own name; nothing was sent";
        return Err(Problem { faults: faults.0, ..Problem::new(StatusCode::FORBIDDEN, title) });
    }
    if gateway.dry_run && !command.dry_run {
        return Err(Problem::dry_run());
    }
    let body = signed(&command, body);
    let answer = in_its_trace(&command.trace_id, command.command_id, send(&gateway, &command, body)).await?;
    let taken = |status, place| CommandTaken {
        status,
        command_id: command.command_id,
        remediation_id: command.command_id.into(),
        trace_id: command.trace_id.clone(),
        place,
    };
    let taken = match answer {
        None => taken(TakenStatus::Stored, None),
        Some(CommandAnswer { status: AnswerStatus::Accepted, place, .. }) => {
            taken(TakenStatus::Accepted, place)
        }
        Some(CommandAnswer { status: AnswerStatus::Repeated, place, .. }) => {
            taken(TakenStatus::Repeated, place)
        }
        Some(answer) => {
            let word =
                if answer.status == AnswerStatus::Expired { "too old" } else { "refused by the router" };
            let title = format!("the command is {word}");
            // The router's own record has it, as a dead letter or as an end.
            let told = Problem { told_elsewhere: true, ..Problem::new(StatusCode::CONFLICT, title) };
            return Err(Problem { faults: answer.faults, ..told });
        }
    };
    let location = format!("/v1/remediations/{}", taken.remediation_id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(taken)).into_response())
}

/// The very bytes that were checked, where they name who asks. An older sender's do not: the router would take them for
/// a stranger's, so the command goes out as it was completed here.
fn signed(command: &RemediationCommand, body: Bytes) -> Bytes {
    let told: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    if told.is_some_and(|told| told.get("requested_by").is_some_and(serde_json::Value::is_string)) {
        return body;
    }
    serde_json::to_vec(command).expect("a command is plain data").into()
}

/// Publishes the command, and waits a little for the router's answer.
async fn send(
    gateway: &Gateway,
    command: &RemediationCommand,
    bytes: Bytes,
) -> Result<Option<CommandAnswer>, Problem> {
    let mut inbox = gateway.bus.inbox().await?;
    let headers = Headers::new()
        .with(CommandAnswer::REPLY_HEADER, inbox.subject())
        // A tracer of ours, where one runs, writes its own over it.
        .with("traceparent", &traceparent(&command.trace_id));
    gateway.bus.publish_bytes(&subject::command(&command.instance), bytes, None, headers).await?;
    let patience = Duration::from_secs(gateway.config.answer_seconds);
    let reply = tokio::time::timeout(patience, inbox.next()).await.ok().flatten();
    // An answer that cannot be read says as much as none: the command is stored.
    Ok(reply.and_then(|reply| serde_json::from_slice(&reply.payload).ok()))
}

/// What is done for a command belongs to the trace that it names, whatever trace its request came in.
pub(crate) async fn in_its_trace<T>(
    trace_id: &TraceId,
    command_id: CommandId,
    work: impl Future<Output = T>,
) -> T {
    if !instance_bus::is_elsewhere(trace_id) {
        return work.await;
    }
    let span = tracing::info_span!(
        parent: None,
        "take command",
        otel.kind = "internal",
        instance.command.id = %command_id,
    );
    instance_bus::begin_in(&span, trace_id);
    work.instrument(span).await
}

/// The W3C trace context of a sender that has no tracer: the command's trace, a span of our own.
pub(crate) fn traceparent(trace_id: &TraceId) -> String {
    format!("00-{trace_id}-{:016x}-01", rand::random::<u64>().max(1))
}
