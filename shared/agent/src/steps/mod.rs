//! One step command carried out: ledger, gate, effect, ledger. Blocks; knows nothing of NATS.
//!
//! Invariant: an effect begins only after its intent is durable, and is answered for only after its outcome is.
//! Invariant: an answer that was given is given again, word for word, to a repetition of the same attempt.

mod change; // Read this first: a step that changes something.
mod undo;
mod word;

#[cfg(test)]
mod gate_tests;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use instance_chassis::{crash_point, mutant};
use instance_clock::Clock;
use instance_contract::{Action, Digest, Failure, HostName, InstanceName, StepCommand, ToolResult, Verify};

use crate::{
    agent::{Agent, HostPart, Prepared, Probe, Work},
    decide::{self, Gate, Memory, Recall, Refusal},
    fence::{Fence, FenceError, Guard},
    ledger::{Answered, Done, Effect, Intent, Ledger, LedgerError, State, content_digest, undone_by},
    outcome::Outcome,
    self_guard::SelfGuard,
};
use word::Word;

/// How long it may take to find out what became of a step.
const TELL_LIMIT: Duration = Duration::from_secs(10);

/// What a step depends on outside of this host.
pub trait Surroundings: Send + Sync + 'static {
    fn clock(&self) -> &dyn Clock;
    /// Also true when it cannot be told within `longest`.
    fn is_halted(&self, longest: Duration) -> bool;
}

/// An agent with its memory.
pub struct Steps<A> {
    pub agent: A,
    instances: BTreeSet<InstanceName>,
    ledger: Ledger,
    fence: Fence,
    surroundings: Box<dyn Surroundings>,
    host: HostName,
    self_guard: SelfGuard,
}

/// One attempt in hand.
struct Turn<'a, A> {
    steps: &'a Steps<A>,
    order: &'a StepCommand,
    digest: Digest,
    began: Instant,
    /// No work after it.
    deadline: Instant,
}

/// What the ledger is told about an outcome.
enum Settle {
    /// The last word about the step.
    Final(Option<Effect>),
    /// The answer to this attempt; nothing is changed.
    Unchanged,
    /// The answer to this attempt; what is true must still be found out.
    Open,
}

/// What came of an intent.
enum LookedBack {
    Settled(Box<ToolResult>),
    NotDone,
}

impl<A: Agent> Steps<A> {
    pub fn new(
        agent: A,
        ledger: Ledger,
        fence: Fence,
        surroundings: Box<dyn Surroundings>,
        host: HostName,
    ) -> Self {
        let instances = agent.instances().into_iter().collect();
        let self_guard = SelfGuard::default();
        Self { agent, instances, ledger, fence, surroundings, host, self_guard }
    }

    #[must_use]
    pub fn guarded_by(self, self_guard: SelfGuard) -> Self {
        Self { self_guard, ..self }
    }

    /// As [`Agent::part`].
    pub fn part(&self, action: &Action) -> Option<String> {
        self.agent.part(action)
    }

    /// As [`Agent::host_part`].
    pub fn host_part(&self, action: &Action) -> HostPart {
        self.agent.host_part(action)
    }

    /// Does what the command says, or says why not. An error means that this process cannot go on.
    pub fn carry_out(&self, order: &StepCommand) -> Result<ToolResult, LedgerError> {
        let turn = Turn::begin(self, order);
        match &order.action {
            Action::Verify(verify) => Ok(turn.verify(verify)),
            Action::CheckLicense(_) => Ok(turn.read()),
            _ => match turn.recalled()? {
                Some(result) => Ok(result),
                None => turn.change(),
            },
        }
    }

    /// The answer to an attempt that came while another of the same step was running: that one's result.
    pub fn join(&self, order: &StepCommand, result: ToolResult) -> Result<ToolResult, LedgerError> {
        let turn = Turn::begin(self, order);
        if let Some(recalled) = turn.recalled()? {
            return Ok(recalled);
        }
        let result = ToolResult { attempt: order.attempt, ..result };
        if order.action.has_effect() {
            let unchanged = self.ledger.state(&order.key())? == State::Nothing;
            self.ledger.answered(turn.answered(result.clone(), unchanged))?;
        }
        Ok(result)
    }

    /// What became of a step that is not running now. Where that is nothing, the attempt is answered with it, so that
    /// it cannot begin after this was told.
    pub fn tell(&self, order: &StepCommand) -> Result<ToolResult, LedgerError> {
        // The time of the step itself may be long over.
        let turn = Turn { deadline: Instant::now() + TELL_LIMIT, ..Turn::begin(self, order) };
        if let Some(result) = turn.recalled()? {
            return Ok(result);
        }
        let not_done = || {
            Outcome::failed(&Failure::transient("not_done", "nothing was begun, or nothing is left of it"))
        };
        match self.state(order)? {
            _ if !order.action.has_effect() => Ok(turn.result(not_done())),
            State::Intent(intent) => match turn.lock(Duration::from_secs(2)) {
                Ok(_guard) => match turn.look_back(&intent)? {
                    LookedBack::Settled(result) => Ok(*result),
                    LookedBack::NotDone => turn.leave(not_done(), &intent.prepared),
                },
                Err(error) => Ok(turn.result(Outcome::left_open(fence_failure(&error).cause().clone()))),
            },
            State::Nothing | State::Done(_) => turn.settle(not_done(), Settle::Unchanged),
        }
    }

    /// The answer to an attempt at a step that is running at this moment.
    pub fn running(&self, order: &StepCommand) -> ToolResult {
        let cause = Failure::unknown("running", "the step is running; its result will be published");
        Turn::begin(self, order).result(Outcome::failed(&cause))
    }

    /// The answer to a step for an instance that is not served here.
    pub fn not_served(&self, order: &StepCommand) -> ToolResult {
        let message = format!("instance \"{}\" is not among the instances of this host", order.instance);
        Turn::begin(self, order).result(Outcome::failed(&Failure::refused("unknown_instance", message)))
    }

    pub fn serves(&self, instance: &InstanceName) -> bool {
        self.instances.contains(instance)
    }

    fn state(&self, order: &StepCommand) -> Result<State, LedgerError> {
        self.ledger.state(&order.key())
    }
}

impl<'a, A: Agent> Turn<'a, A> {
    fn begin(steps: &'a Steps<A>, order: &'a StepCommand) -> Self {
        let began = Instant::now();
        let until_not_after = order.not_after.duration_since(steps.surroundings.clock().now());
        let limit = Duration::from_secs(order.limit_seconds.into());
        let budget = Duration::try_from(until_not_after).unwrap_or_default().min(limit);
        Self { steps, order, digest: content_digest(order), began, deadline: began + budget }
    }

    /// The answer, where memory alone gives one.
    fn recalled(&self) -> Result<Option<ToolResult>, LedgerError> {
        let key = self.order.key();
        let ledger = &self.steps.ledger;
        let state = ledger.state(&key)?;
        let answer = match &state {
            State::Done(done) => Some(done.result.clone()),
            _ => ledger.answer(&key, self.order.attempt)?,
        };
        let memory = Memory {
            other_content: ledger.has_other_content(&key, &self.digest),
            answered: answer.is_some(),
            taken_back: ledger.is_closed(&key),
            intent: matches!(state, State::Intent(_)),
        };
        Ok(match decide::recall(memory) {
            Recall::AnswerAgain => answer.map(|result| ToolResult { attempt: self.order.attempt, ..result }),
            Recall::Refuse(refusal) => Some(self.result(Outcome::refused(&refusal))),
            Recall::Probe | Recall::Fresh => None,
        })
    }

    fn verify(&self, verify: &Verify) -> ToolResult {
        let look = |work: &Work<'_>| self.steps.agent.verify(self.order, verify, work);
        let verified = self.in_time().and_then(|()| self.looking(look));
        crash_point("agent.verified");
        self.result(verified.map_or_else(|failure| Outcome::failed(&failure), Outcome::verified))
    }

    /// A step that changes nothing by nature: no intent, and asked anew every time.
    fn read(&self) -> ToolResult {
        let read = self.in_time().and_then(|()| {
            self.looking(|work| {
                let prepared = self.steps.agent.prepare(self.order, work)?;
                self.steps.agent.apply(self.order, &prepared, work)
            })
        });
        let told = |applied| Outcome::applied(applied, instance_contract::StepStatus::Success);
        self.result(read.map_or_else(|failure| Outcome::failed(&failure), told))
    }

    fn in_time(&self) -> Result<(), Failure> {
        decide::in_time(self.steps.surroundings.clock().now(), self.order.not_after)
            .map_err(|refusal| refused(&refusal))
    }

    fn lock(&self, longest: Duration) -> Result<Guard, FenceError> {
        let until = self.deadline.min(Instant::now() + longest);
        let remaining = || until.saturating_duration_since(Instant::now());
        match self.steps.agent.part(&self.order.action) {
            Some(_) => self.steps.fence.lock_part(&self.order.instance, self.order.token, &remaining),
            None => self.steps.fence.lock(&self.order.instance, &remaining),
        }
    }

    /// Self-guard, deadline, halt and fence; the token is remembered when it passes.
    fn pass(&self, guard: &Guard) -> Result<(), Failure> {
        self.steps.self_guard.check(self.order)?;
        let gate = Gate {
            now: self.steps.surroundings.clock().now(),
            not_after: self.order.not_after,
            halted: self.steps.surroundings.is_halted(self.remaining()),
            token: self.order.token,
            highest: guard.highest().map_err(|error| fence_failure(&error))?,
        };
        decide::admit(&gate).map_err(|refusal| refused(&refusal))?;
        crash_point("agent.fence-to-raise");
        guard.admit(self.order.token).map_err(|error| fence_failure(&error))?;
        crash_point("agent.fence-raised");
        Ok(())
    }

    /// Directly before the effect. The fence needs no second look: it is locked while this turn lasts.
    fn may_act(&self) -> Result<(), Failure> {
        // First, as it may have to wait for the bus.
        let halted =
            self.steps.surroundings.is_halted(self.remaining()) && !mutant("agent.kill-switch-cached");
        self.in_time()?;
        if self.remaining().is_zero() {
            let message =
                format!("the {} s of the step were over before its effect began", self.order.limit_seconds);
            return Err(Failure::transient("too_late", message));
        }
        if halted { Err(refused(&Refusal::Halted)) } else { Ok(()) }
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Looks at the world and changes nothing, in the time that is left.
    fn looking<T>(&self, look: impl FnOnce(&Work<'_>) -> T) -> T {
        let (may_act, remaining) = (|| Ok(()), || self.remaining());
        look(&Work::new(&may_act, &remaining))
    }

    /// What came of an intent? Settled unless nothing did.
    fn look_back(&self, intent: &Intent) -> Result<LookedBack, LedgerError> {
        let is_undo = undone_by(self.order).is_some();
        let (agent, order, prepared) = (&self.steps.agent, self.order, &intent.prepared);
        let probed = self.looking(|work| {
            let probe = if is_undo { A::probe_undo } else { A::probe };
            probe(agent, order, prepared, work)
        });
        crash_point("agent.probed");
        let settled = match probed {
            Ok(Probe::NotDone) => return Ok(LookedBack::NotDone),
            Ok(Probe::Done(applied)) if is_undo => self.undone(applied),
            Ok(Probe::Done(applied)) => self.done(applied, intent.prepared.clone()),
            Ok(Probe::Other { found }) => self.settle(Outcome::conflict(&found), Settle::Open),
            Err(failure) => self.settle(Outcome::left_open(failure.cause().clone()), Settle::Open),
        };
        settled.map(Box::new).map(LookedBack::Settled)
    }

    /// Begun before, not done, and not to be gone on with now. When the former state is there, the attempt ends
    /// as if nothing had been begun; else a part of the effect may be left, which an undo must find.
    fn leave(&self, why: Outcome, prepared: &Prepared) -> Result<ToolResult, LedgerError> {
        let probe = |work: &Work<'_>| self.steps.agent.probe_undo(self.order, prepared, work);
        let former = || matches!(self.looking(probe), Ok(Probe::Done(_)));
        if undone_by(self.order).is_none() && former() {
            return self.settle(why, Settle::Unchanged);
        }
        let cause = why.cause().cloned().expect("only what is no success is left");
        self.settle(Outcome::left_open(cause), Settle::Open)
    }

    fn intend(&self, prepared: &Prepared, recorded: Option<&Intent>) -> Result<(), LedgerError> {
        let same = |intent: &Intent| {
            (intent.order.attempt, intent.order.token) == (self.order.attempt, self.order.token)
        };
        if recorded.is_some_and(same) {
            return Ok(());
        }
        let at = self.steps.surroundings.clock().now();
        let intent = Intent { order: self.order.clone(), prepared: prepared.clone(), at };
        let word = Word::intent(self.order);
        word.to_write();
        self.steps.ledger.intend(intent)?;
        word.written();
        Ok(())
    }

    fn settle(&self, outcome: Outcome, how: Settle) -> Result<ToolResult, LedgerError> {
        let result = self.result(outcome);
        let word = Word::last(self.order, &how);
        word.to_write();
        match how {
            Settle::Final(_) if mutant("agent.result-before-done") => {}
            Settle::Final(effect) => self.steps.ledger.finish(Done {
                key: self.order.key(),
                digest: self.digest.clone(),
                instance: self.order.instance.clone(),
                token: self.order.token,
                result: result.clone(),
                effect,
                undoes: undone_by(self.order),
                at: self.steps.surroundings.clock().now(),
            })?,
            Settle::Unchanged => self.steps.ledger.answered(self.answered(result.clone(), true))?,
            Settle::Open => self.steps.ledger.answered(self.answered(result.clone(), false))?,
        }
        word.written();
        Ok(result)
    }

    fn answered(&self, result: ToolResult, unchanged: bool) -> Answered {
        Answered {
            key: self.order.key(),
            digest: self.digest.clone(),
            instance: self.order.instance.clone(),
            token: self.order.token,
            attempt: self.order.attempt,
            result,
            unchanged,
            at: self.steps.surroundings.clock().now(),
        }
    }

    fn result(&self, outcome: Outcome) -> ToolResult {
        outcome.into_result(self.order, &self.steps.host, self.began.elapsed())
    }
}

fn refused(refusal: &Refusal) -> Failure {
    Failure::Refused { cause: refusal.cause() }
}

fn fence_failure(error: &FenceError) -> Failure {
    match error {
        FenceError::Busy { .. } => Failure::transient("instance_busy", error),
        FenceError::Stale { .. } => Failure::refused("stale_token", error),
        FenceError::Io { source, .. } => {
            Failure::transient("fence_unavailable", format!("{error}: {source}"))
        }
    }
}
