//! One delivery: a step command in, one result out, settled only when the result is stored.

use std::{sync::Arc, time::Duration};

use instance_bus::{DeadLetterReason, Delivery, Headers, PublishError, topology};
use instance_chassis::{crash_point, mutant};
use instance_contract::{
    Action, Shard, StepCommand, ToolResult,
    subject::{self, RecordKind},
};
use instance_signals::metrics::{STEP_DURATION, STEPS, STEPS_IN_HAND};
use tokio::time::{self, MissedTickBehavior};
use tracing::Instrument as _;

use crate::{
    agent::Agent,
    run::{AgentError, Desk},
    running::Role,
};

/// A quarter of the time after which an unsettled step comes again.
const STILL_WORKING_EVERY: Duration = Duration::from_millis(500);
/// A promise that holds is seen to hold long before; one that does not is waited for.
const SLOW: Duration = Duration::from_millis(400);
/// Between two tries to store a result.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// The result can never be stored; an operator has to act.
const MUCH_LATER: Duration = Duration::from_secs(30);

/// What became of a result.
enum Stored {
    /// By this call or an earlier one.
    Yes,
    /// The stream refuses it.
    No,
}

pub async fn handle<A: Agent>(desk: Arc<Desk<A>>, delivery: Delivery) {
    let span = delivery.span();
    let _in_hand = InHand::begin();
    attend(&desk, delivery).instrument(span).await;
}

/// A step that was taken, until it is settled or given up.
struct InHand;

impl InHand {
    fn begin() -> Self {
        STEPS_IN_HAND.shift(1, &[]);
        Self
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        STEPS_IN_HAND.shift(-1, &[]);
    }
}

async fn attend<A: Agent>(desk: &Arc<Desk<A>>, delivery: Delivery) {
    crash_point("agent.step-taken");
    let settled = match read(desk, &delivery) {
        Err(reason) => delivery.dead_letter(reason).await,
        Ok((order, shard)) if mutant("agent.ack-before-result") => {
            let settled = delivery.done().await;
            let subject = result_subject(&order, shard);
            let _ = answer(desk, order, &subject).await;
            settled
        }
        Ok((order, shard)) => match carry_out(desk, &delivery, order, shard).await {
            Ok(Stored::Yes) => {
                crash_point("agent.step-to-settle");
                // Should it get lost, the ledger answers the repetition, and the stream holds the answer already.
                delivery.done_unconfirmed().await
            }
            Ok(Stored::No) => delivery.retry_after(MUCH_LATER).await,
            Err(error) => {
                // The loop ends; the delivery comes again to the next process.
                let _ = desk.fatal.send(error);
                return;
            }
        },
    };
    if let Err(error) = settled {
        // It comes again, and is answered from the ledger.
        tracing::warn!(%error, "could not settle a step command");
    }
    crash_point("agent.step-settled");
}

/// The order, when it is one and for us.
fn read<A>(desk: &Desk<A>, delivery: &Delivery) -> Result<(StepCommand, Shard), DeadLetterReason> {
    let unreadable =
        |why: &dyn std::fmt::Display| DeadLetterReason::Unreadable(format!("no step command: {why}"));
    let order: StepCommand =
        serde_json::from_slice(delivery.payload()).map_err(|error| unreadable(&error))?;
    if order.schema != StepCommand::SCHEMA {
        return Err(unreadable(&format!("its schema is \"{}\"", order.schema)));
    }
    let (shard, id, record) = subject::parse_record(delivery.subject())
        .ok_or_else(|| unreadable(&format!("it came on \"{}\"", delivery.subject())))?;
    let said = subject::step(shard, id, desk.kind, &desk.host, &order.step_id, order.attempt);
    let named = RecordKind::Step { step: order.step_id.clone(), attempt: order.attempt };
    let fits = said.as_str() == delivery.subject()
        && record == named
        && order.remediation_id == id
        && order.agent == desk.kind
        && order.host == desk.host;
    if !fits {
        return Err(DeadLetterReason::Refused(
            "what it says does not fit the subject that it came on".to_owned(),
        ));
    }
    Ok((order, shard))
}

/// Does the work and stores its result, while telling the server that it is still being worked on.
async fn carry_out<A: Agent>(
    desk: &Arc<Desk<A>>,
    delivery: &Delivery,
    order: StepCommand,
    shard: Shard,
) -> Result<Stored, AgentError> {
    let subject = result_subject(&order, shard);
    let is_verify = matches!(order.action, Action::Verify(_));
    let work = answer(desk, order, &subject);
    let was_answered = was_answered(desk, shard, &subject);
    tokio::pin!(work, was_answered);
    let mut ticks = time::interval_at(time::Instant::now() + STILL_WORKING_EVERY, STILL_WORKING_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            stored = &mut work => return stored,
            () = &mut was_answered, if is_verify => {
                tracing::info!("a promise that was kept or broken before is not waited for again");
                return Ok(Stored::Yes);
            }
            _ = ticks.tick() => {
                if let Err(error) = delivery.still_working().await {
                    tracing::debug!(%error, "could not tell that a step is still being worked on");
                }
            }
        }
    }
}

fn result_subject(order: &StepCommand, shard: Shard) -> subject::Subject {
    let record = RecordKind::Result { step: order.step_id.clone(), attempt: order.attempt };
    subject::record(shard, order.remediation_id, &record)
}

/// Does the work and stores its result.
async fn answer<A: Agent>(
    desk: &Arc<Desk<A>>,
    order: StepCommand,
    subject: &subject::Subject,
) -> Result<Stored, AgentError> {
    let result = result_of(desk, order).await?;
    tell(&result);
    crash_point("agent.result-to-publish");
    let stored = store(desk, subject, &result).await;
    crash_point("agent.result-published");
    Ok(stored)
}

/// Returns when the result is there already, a while after the work has begun. A server that was killed forgets what was
/// settled last, and delivers it again; what a verification waits for may never come true again, and the instance would
/// be blocked until its time is over.
async fn was_answered<A>(desk: &Desk<A>, shard: Shard, subject: &subject::Subject) {
    time::sleep(SLOW).await;
    loop {
        match desk.bus.last_in(&topology::remediations(shard), subject.as_str()).await {
            Ok(Some(_)) => return,
            // It is the first time: nobody else writes it.
            Ok(None) => return std::future::pending().await,
            Err(error) => tracing::debug!(%error, "cannot tell yet whether a step was answered before"),
        }
        time::sleep(TRY_AGAIN).await;
    }
}

/// A step that went as planned stands in the remediation log; the rest an operator may want to see here.
fn tell(result: &ToolResult) {
    let (step, attempt, status) = (&result.step_id, result.attempt, result.status.as_str());
    let labels = [result.tool_name.as_str(), status];
    STEPS.add(1, &labels);
    STEP_DURATION.record(Duration::from_millis(result.execution_time_ms).as_secs_f64(), &labels);
    match result.error_code.as_deref() {
        None => tracing::debug!(%step, %attempt, status, "step answered"),
        Some(code) => tracing::info!(%step, %attempt, status, code, "step answered"),
    }
}

/// Runs the step, or waits for the attempt that runs already.
async fn result_of<A: Agent>(desk: &Arc<Desk<A>>, order: StepCommand) -> Result<ToolResult, AgentError> {
    if !desk.steps.serves(&order.instance) {
        return Ok(desk.steps.not_served(&order));
    }
    loop {
        match desk.running.enter(&order.key()) {
            Role::Lead(lead) => {
                let _turn = desk.running.turn(&order.instance, desk.steps.part(&order.action)).await;
                let _on_host = desk.running.turn_on_host(desk.steps.host_part(&order.action)).await;
                let result = blocking(desk, move |steps| steps.carry_out(&order)).await?;
                lead.end(&result);
                return Ok(result);
            }
            Role::Join(join) => {
                if let Some(result) = join.result().await {
                    return blocking(desk, move |steps| steps.join(&order, result)).await;
                }
                // Given up without a result; the loop is ending, or this one leads now.
            }
        }
    }
}

/// On a thread that may wait.
pub async fn blocking<A: Agent, T: Send + 'static>(
    desk: &Arc<Desk<A>>,
    work: impl FnOnce(&crate::steps::Steps<A>) -> Result<T, crate::ledger::LedgerError> + Send + 'static,
) -> Result<T, AgentError> {
    let (mine, span) = (Arc::clone(desk), tracing::Span::current());
    let done = desk.crew.run(move || span.in_scope(|| work(&mine.steps))).await;
    done.ok_or(AgentError::Panicked)?.map_err(AgentError::LedgerFailed)
}

/// Tries until the stream has it: nobody else can tell what was done.
async fn store<A>(desk: &Desk<A>, subject: &subject::Subject, result: &ToolResult) -> Stored {
    loop {
        match desk.bus.publish_once_confirmed(subject, result, Headers::new()).await {
            Ok(_) | Err(PublishError::Exists { .. }) => return Stored::Yes,
            Err(error) if error.is_unreachable() || matches!(error, PublishError::Send { .. }) => {
                tracing::warn!(%error, "could not store a result yet");
                time::sleep(TRY_AGAIN).await;
            }
            Err(error) => {
                tracing::error!(%error, "a result cannot be stored");
                return Stored::No;
            }
        }
    }
}
