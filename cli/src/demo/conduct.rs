//! From the fault to the end of the remediation: what passes over the bus is told, held together by its trace, and
//! answered where a person is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures::{
    StreamExt as _,
    stream::{BoxStream, SelectAll, select_all, unfold},
};
use instance_bus::{Bus, BusError, Deliveries, Durability, LogMessage, StartAt};
use instance_contract::{
    Accepted, IrisMessage, RemediationId, Shard, StepStatus, ToolResult, TraceId, WorkflowTrace,
    subject::{self, RecordKind},
};
use instance_engine::Record;
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    Args, Liar,
    checker::{self, Snapshot},
    claims::Claim,
    operator,
    progress::Progress,
    world::World,
};
use crate::{
    exit::{Exit, Stop},
    up::supervisor::Supervisor,
};

/// The fault must show in the instance itself within this time.
const BROKEN_WITHIN: Duration = Duration::from_secs(20);
/// From the fault to the end of the remediation. A verification that fails may take a minute by itself.
const HEALED_WITHIN: Duration = Duration::from_mins(4);
/// How long nothing may happen before it is said what is awaited.
const SILENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What the run came to.
#[derive(Debug, Clone)]
pub struct Run {
    pub trace: WorkflowTrace,
    /// Trace ids, and where each was seen. One, when all is well.
    pub traces: BTreeMap<String, BTreeSet<String>>,
    pub claims: Vec<Claim>,
    pub router_killed: bool,
}

/// Until the checker sees the fault by itself.
pub async fn wait_until_broken(world: &World, progress: &Progress) -> Result<Snapshot> {
    let fault = world.choice().fault;
    let deadline = Instant::now() + BROKEN_WITHIN;
    progress.say("the instance runs, and the fault is on its way");
    loop {
        let now = Snapshot::take(&world.site).context("could not look at the instance")?;
        if checker::is_broken(fault, &now) {
            progress.say(&format!("broken: iris qlist says {}, health {}", now.state(), now.health()));
            return Ok(now);
        }
        if Instant::now() >= deadline {
            let text = format!("the fault did not show in the instance within {} s", BROKEN_WITHIN.as_secs());
            return Err(Stop::new(Exit::Failure, text).into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Watches the bus.
pub struct Conductor<'a> {
    pub bus: Bus,
    pub world: &'a World,
    pub progress: &'a Progress,
    pub args: &'a Args,
}

/// What is known so far.
#[derive(Default)]
struct Known {
    message: Option<IrisMessage>,
    accepted: Option<Accepted>,
    ended: Option<WorkflowTrace>,
    traces: BTreeMap<String, BTreeSet<String>>,
    claims: Vec<Claim>,
    router_killed: bool,
    broken_again: bool,
}

impl Known {
    fn trace(&mut self, id: &TraceId, seen: &str) {
        self.traces.entry(id.to_string()).or_default().insert(seen.to_owned());
    }

    /// What has to happen next.
    fn awaited(&self) -> &'static str {
        match (&self.message, &self.accepted) {
            (None, None) => "the generator to publish the instance's own message",
            (_, None) => "the rules to answer with a command, and the router to accept it",
            _ => "the agents, and the end of the remediation",
        }
    }
}

type Records = SelectAll<BoxStream<'static, Result<LogMessage, BusError>>>;

impl Conductor<'_> {
    /// Until the remediation has ended.
    pub async fn watch(&self, supervisor: &mut Supervisor) -> Result<Run> {
        let deadline = Instant::now() + HEALED_WITHIN;
        let mut messages = self.bus.errors(Durability::Ephemeral, StartAt::First).await?;
        let mut records = self.records().await?;
        let mut known = Known::default();
        while known.ended.is_none() {
            let next = timeout(SILENCE, next(&mut messages, &mut records));
            let event = tokio::select! {
                event = next => event,
                () = sleep_until(deadline) => return Err(too_late(&known)),
            };
            match event {
                Err(_) => self.progress.say(&format!("... waiting for {}", known.awaited())),
                Ok(Event::Message(message)) => self.message(&mut known, *message),
                Ok(Event::Record(record)) => self.record(&mut known, &record, supervisor).await?,
                Ok(Event::Trouble(error)) => {
                    self.progress.say(&format!("the bus does not answer: {error}"));
                }
            }
        }
        let trace = known.ended.context("the loop above ends with it")?;
        Ok(Run { trace, traces: known.traces, claims: known.claims, router_killed: known.router_killed })
    }

    /// Everything in the remediation log of every shard, from the beginning.
    async fn records(&self) -> Result<Records> {
        let shards = self.bus.topology().await?.shards();
        let follows = shards.map(|shard| {
            let follow = self.bus.follow(shard, &[subject::shard_log(shard)], 1);
            unfold(follow, |mut follow| async move { Some((follow.next().await, follow)) }).boxed()
        });
        Ok(select_all(follows))
    }

    fn message(&self, known: &mut Known, message: IrisMessage) {
        let condition = self.world.choice().fault.condition();
        if known.message.is_some() || message.condition.as_ref().is_none_or(|id| id.as_str() != condition) {
            return;
        }
        known.trace(&message.trace_id, "message");
        self.progress.say(&format!(
            "message {} of {} (severity {}, {condition}): {}",
            message.message_id,
            message.instance,
            message.severity.as_u8(),
            first_words(message.message_text.as_str()),
        ));
        known.message = Some(message);
    }

    async fn record(
        &self,
        known: &mut Known,
        message: &LogMessage,
        supervisor: &mut Supervisor,
    ) -> Result<()> {
        let Some((shard, id, kind)) = subject::parse_record(&message.subject) else { return Ok(()) };
        // What follows another remediation is another story.
        if known.accepted.as_ref().is_some_and(|accepted| accepted.remediation_id != id) {
            return Ok(());
        }
        let record = Record::decode(&kind, &message.payload)?;
        if let Some(header) = message.headers.get("traceparent").and_then(|header| header.split('-').nth(1)) {
            known.traces.entry(header.to_owned()).or_default().insert(format!("header of {kind}"));
        }
        match record {
            // A dry run goes before it, and is no remediation yet.
            Record::Accepted(accepted) if accepted.command.dry_run => {}
            Record::Ended(ended) if known.accepted.is_none() && is_dry(&ended.trace) => {}
            Record::Accepted(accepted) => self.accepted(known, id, accepted),
            Record::Planned(planned) => known.trace(&planned.trace_id, "plan"),
            Record::ApprovalAsked(asked) => {
                known.trace(&asked.trace_id, "approval asked");
                self.progress.say(&operator::question(&asked));
                self.approve(shard, &kind, &asked, message).await?;
            }
            Record::ApprovalAnswered(answered) => {
                known.trace(&answered.trace_id, "approval answered");
                self.progress.say(&format!("approved by {}", answered.by));
            }
            Record::Illegible(answer) => anyhow::bail!("the approval cannot be read: {}", answer.why),
            Record::Step(step) => {
                known.trace(&step.trace_id, "step");
                self.progress
                    .say(&format!("{} is sent to {} (attempt {})", step.step_id, step.agent, step.attempt));
            }
            Record::Result(result) => self.result(known, result, supervisor).await?,
            Record::Ended(ended) => self.ended(known, ended.trace),
        }
        Ok(())
    }

    fn accepted(&self, known: &mut Known, id: RemediationId, accepted: Accepted) {
        known.trace(&accepted.trace_id, "accepted");
        known.trace(&accepted.command.trace_id, "command");
        let command = &accepted.command;
        self.progress.say(&format!(
            "command {} by {}: {}\naccepted as remediation {id}, trace {}",
            command.command_id, command.requested_by, command.recommended_action, accepted.trace_id
        ));
        known.accepted = Some(accepted);
    }

    async fn approve(
        &self,
        shard: Shard,
        kind: &RecordKind,
        asked: &instance_contract::ApprovalAsked,
        message: &LogMessage,
    ) -> Result<()> {
        let RecordKind::ApprovalAsked(number) = kind else { return Ok(()) };
        operator::approve(&self.bus, shard, *number, asked, message).await
    }

    async fn result(&self, known: &mut Known, result: ToolResult, supervisor: &mut Supervisor) -> Result<()> {
        known.trace(&result.trace_id, "result");
        let (step, status) = (result.step_id.as_str(), result.status);
        let why = result.error_message.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        self.progress.say(&format!(
            "{step} by {}: {} in {} ms{why}",
            result.agent.name,
            status.as_str(),
            result.execution_time_ms
        ));
        if self.args.sabotage == Some(Liar::Verify)
            && step == "restart"
            && status == StepStatus::Success
            && !known.broken_again
        {
            known.broken_again = true;
            self.world.break_it_again()?;
            self.progress.say("sabotage: the cause is brought back behind everybody's back");
        }
        if self.args.break_midway && !known.router_killed {
            known.router_killed = true;
            let before = supervisor.state("router").pid.unwrap_or_default();
            supervisor.crash("router").await;
            let after = supervisor.state("router").pid.unwrap_or_default();
            self.progress.say(&format!(
                "the router is killed (pid {before}, SIGKILL) and started again (pid {after})"
            ));
        }
        let world = Snapshot::take(&self.world.site).context("could not look at the instance")?;
        known.claims.push(Claim { result, world });
        Ok(())
    }

    fn ended(&self, known: &mut Known, trace: WorkflowTrace) {
        known.trace(&trace.trace_id, "workflow trace");
        let reason = trace.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        self.progress.say(&format!("remediation ended: {}{reason}", trace.overall_status.as_str()));
        known.ended = Some(trace);
    }
}

enum Event {
    Message(Box<IrisMessage>),
    Record(LogMessage),
    Trouble(String),
}

/// The next thing that happens.
async fn next(messages: &mut Deliveries, records: &mut Records) -> Event {
    loop {
        tokio::select! {
            delivery = messages.next() => match delivery {
                Some(Ok(delivery)) => {
                    let message = IrisMessage::decode(delivery.payload());
                    // A reading that nobody else shares; one that is not confirmed comes again and is known then.
                    let _ = delivery.done().await;
                    match message {
                        Ok(message) => return Event::Message(Box::new(message)),
                        Err(faults) => return Event::Trouble(format!("a message is not readable: {faults}")),
                    }
                }
                Some(Err(error)) => return Event::Trouble(error.to_string()),
                None => {}
            },
            Some(record) = records.next() => return match record {
                Ok(record) => Event::Record(record),
                Err(error) => Event::Trouble(error.to_string()),
            },
        }
    }
}

fn too_late(known: &Known) -> anyhow::Error {
    let text =
        format!("nothing came of it within {} s; awaited was {}", HEALED_WITHIN.as_secs(), known.awaited());
    Stop::new(Exit::TimedOut, text).next("the services' own words lie in the run folder, in logs/").into()
}

/// Enough of a message to recognise it.
fn first_words(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut words: String = line.chars().take(100).collect();
    if words.len() < line.len() {
        words.push_str("...");
    }
    words
}

fn is_dry(trace: &WorkflowTrace) -> bool {
    trace.command_received.as_ref().is_some_and(|command| command.dry_run)
}
