//! A step that takes another one back.

use instance_chassis::crash_point;
use instance_contract::{Failure, StepKey, StepStatus, ToolResult};

use super::{Settle, Turn};
use crate::{
    agent::{Agent, Applied, Prepared, Probe, Work},
    fence::Guard,
    ledger::{Intent, LedgerError, State},
    outcome::Outcome,
};

impl<A: Agent> Turn<'_, A> {
    /// Takes back what the ledger says about the original step, where there is something.
    pub(super) fn undo(&self, original: &StepKey, guard: &Guard) -> Result<ToolResult, LedgerError> {
        if let Err(failure) = self.pass(guard) {
            return self.not_begun(&failure);
        }
        let (state, last_intent) = {
            let ledger = &self.steps.ledger;
            (ledger.state(original)?, ledger.last_intent(original)?)
        };
        match (state, last_intent) {
            (State::Done(done), _) if done.effect.is_some() => {
                let effect = done.effect.expect("looked at above");
                self.take_back(&effect.prepared, None)
            }
            (State::Intent(intent), _) => self.undo_unknown(&intent),
            // Its agent said that nothing changed; a restart that failed may have stopped the instance all the same.
            (_, Some(intent)) => self.restore(&intent.prepared, false),
            (_, None) => self.nothing_to_undo(),
        }
    }

    /// Nobody knows what came of the original: look first.
    fn undo_unknown(&self, intent: &Intent) -> Result<ToolResult, LedgerError> {
        match self.looking(|work| self.steps.agent.probe(&intent.order, &intent.prepared, work)) {
            Ok(Probe::Done(_)) => self.take_back(&intent.prepared, None),
            Ok(Probe::NotDone) => self.restore(&intent.prepared, true),
            Ok(Probe::Other { found }) => self.settle(Outcome::conflict(&found), Settle::Unchanged),
            Err(failure) => self.settle(Outcome::left_open(failure.cause().clone()), Settle::Unchanged),
        }
    }

    /// The effect is not there, but a part of it may be.
    fn restore(&self, prepared: &Prepared, may_be_ours: bool) -> Result<ToolResult, LedgerError> {
        match self.looking(|work| self.steps.agent.probe_undo(self.order, prepared, work)) {
            Ok(Probe::NotDone) => self.take_back(prepared, None),
            Ok(Probe::Other { found }) if may_be_ours => {
                self.settle(Outcome::conflict(&found), Settle::Unchanged)
            }
            Ok(Probe::Done(_) | Probe::Other { .. }) => self.nothing_to_undo(),
            Err(failure) => self.not_begun(&failure),
        }
    }

    pub(super) fn take_back(
        &self,
        prepared: &Prepared,
        recorded: Option<&Intent>,
    ) -> Result<ToolResult, LedgerError> {
        self.intend(prepared, recorded)?;
        let (may_act, remaining) = (|| self.may_act(), || self.remaining());
        let undone = self.steps.agent.undo(self.order, prepared, &Work::new(&may_act, &remaining));
        crash_point("agent.undo-over");
        match undone {
            Ok(applied) => self.undone(applied),
            Err(failure @ Failure::Permanent { .. }) => {
                self.settle(Outcome::failed(&failure).for_a_person(), Settle::Final(None))
            }
            Err(failure) => self.failed(&failure),
        }
    }

    pub(super) fn undone(&self, applied: Applied) -> Result<ToolResult, LedgerError> {
        self.settle(Outcome::applied(applied, StepStatus::Undone), Settle::Final(None))
    }

    fn nothing_to_undo(&self) -> Result<ToolResult, LedgerError> {
        self.settle(Outcome::nothing_to_undo(), Settle::Final(None))
    }
}
