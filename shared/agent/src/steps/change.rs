//! A step that changes something.

use instance_chassis::{crash_point, mutant};
use instance_contract::{Failure, StepStatus, ToolResult};

use super::{LookedBack, Settle, Turn, fence_failure, refused};
use crate::{
    agent::{Agent, Applied, Prepared, Work},
    decide,
    fence::Guard,
    ledger::{Effect, Intent, LedgerError, State, undone_by},
    outcome::Outcome,
};

impl<A: Agent> Turn<'_, A> {
    /// Under the lock of the instance: from what the ledger says to an answer that it holds.
    pub(super) fn change(&self) -> Result<ToolResult, LedgerError> {
        let guard = match self.lock(self.remaining()) {
            Ok(guard) => guard,
            Err(error) => return self.kept_out(&fence_failure(&error)),
        };
        // A question may have settled the step while this one waited for the lock.
        if let Some(result) = self.recalled()? {
            return Ok(result);
        }
        match (self.steps.state(self.order)?, undone_by(self.order)) {
            (State::Intent(intent), _) if !mutant("agent.intent-not-probed") => self.resume(&intent, &guard),
            (_, Some(original)) => self.undo(&original, &guard),
            (_, None) => self.begin_effect(&guard),
        }
    }

    fn kept_out(&self, failure: &Failure) -> Result<ToolResult, LedgerError> {
        match self.steps.state(self.order)? {
            State::Intent(_) => self.settle(Outcome::left_open(failure.cause().clone()), Settle::Open),
            State::Nothing | State::Done(_) => self.settle(Outcome::failed(failure), Settle::Unchanged),
        }
    }

    /// After a crash, or after an outcome that nobody could tell.
    fn resume(&self, intent: &Intent, guard: &Guard) -> Result<ToolResult, LedgerError> {
        if let LookedBack::Settled(result) = self.look_back(intent)? {
            return Ok(*result);
        }
        match self.pass(guard) {
            Err(failure) => self.leave(Outcome::failed(&failure), &intent.prepared),
            Ok(()) if undone_by(self.order).is_some() => self.take_back(&intent.prepared, Some(intent)),
            Ok(()) => self.act(&intent.prepared, Some(intent)),
        }
    }

    fn begin_effect(&self, guard: &Guard) -> Result<ToolResult, LedgerError> {
        let prepare = |work: &Work<'_>| self.steps.agent.prepare(self.order, work);
        let prepared = match self.pass(guard).and_then(|()| self.looking(prepare)) {
            Ok(prepared) => prepared,
            Err(failure) => return self.not_begun(&failure),
        };
        if prepared.already {
            return self.settle(Outcome::already(self.order, &prepared), Settle::Final(None));
        }
        match decide::drift(self.order, &prepared) {
            Err(refusal) => self.not_begun(&refused(&refusal)),
            Ok(()) => self.act(&prepared, None),
        }
    }

    fn act(&self, prepared: &Prepared, recorded: Option<&Intent>) -> Result<ToolResult, LedgerError> {
        let is_late = mutant("agent.effect-before-intent");
        if !is_late {
            self.intend(prepared, recorded)?;
        }
        let (may_act, remaining) = (|| self.may_act(), || self.remaining());
        let applied = self.steps.agent.apply(self.order, prepared, &Work::new(&may_act, &remaining));
        crash_point("agent.effect-over");
        match applied {
            Ok(applied) => self.done(applied, prepared.clone()),
            // It was begun before a crash: "nothing changed" is true of this attempt, and may not be of the step.
            Err(failure @ (Failure::Refused { .. } | Failure::Transient { .. })) if recorded.is_some() => {
                self.leave(Outcome::failed(&failure), prepared)
            }
            Err(failure) => self.failed(&failure),
        }
    }

    pub(super) fn done(&self, applied: Applied, prepared: Prepared) -> Result<ToolResult, LedgerError> {
        let outcome = Outcome::applied(applied.clone(), StepStatus::Success);
        self.settle(outcome, Settle::Final(Some(Effect { prepared, applied })))
    }

    /// Looking at the world and preparing change nothing, so even an unknown outcome is none of the effect.
    pub(super) fn not_begun(&self, failure: &Failure) -> Result<ToolResult, LedgerError> {
        match failure {
            Failure::Permanent { .. } => self.settle(Outcome::failed(failure), Settle::Final(None)),
            Failure::Unknown { cause } => {
                let failure = Failure::Transient { cause: cause.clone() };
                self.settle(Outcome::failed(&failure), Settle::Unchanged)
            }
            Failure::Transient { .. } | Failure::Refused { .. } => {
                self.settle(Outcome::failed(failure), Settle::Unchanged)
            }
        }
    }

    pub(super) fn failed(&self, failure: &Failure) -> Result<ToolResult, LedgerError> {
        let how = match failure {
            Failure::Permanent { .. } => Settle::Final(None),
            Failure::Transient { .. } | Failure::Refused { .. } => Settle::Unchanged,
            Failure::Unknown { .. } => Settle::Open,
        };
        self.settle(Outcome::failed(failure), how)
    }
}
