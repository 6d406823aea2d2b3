//! What an agent is: the one trait that each of the three fills in. Everything else is the loop's.
//!
//! All methods block; the loop calls them on a thread of their own. None of them knows of NATS, of retries or of the
//! ledger: they read the world, forecast, act once, and say what is true.

use std::time::Duration;

use instance_contract::{
    Action, AgentKind, AppliedChange, Failure, ForecastReply, InstanceName, StepCommand, Verification, Verify,
};
use serde::{Deserialize, Serialize};

/// One of the three agents.
pub trait Agent: Send + Sync + 'static {
    fn kind(&self) -> AgentKind;

    /// The instances that this host serves, from the settings.
    fn instances(&self) -> Vec<InstanceName>;

    /// What is true of the instance now, for people and for planning. Reads only.
    fn facts(&self, instance: &InstanceName) -> Result<serde_json::Value, Failure>;

    /// Exactly what `apply` would change, or why it would refuse. Reads only; the same code as the real run.
    fn forecast(&self, instance: &InstanceName, action: &Action) -> ForecastReply;

    /// Look at the world and get everything ready that must be recorded before the effect. Reads only. Like all that
    /// takes a [`Work`], it ends with the time that is left.
    fn prepare(&self, order: &StepCommand, work: &Work<'_>) -> Result<Prepared, Failure>;

    /// The one effect, and its read-back. Called with `prepared` durable in the ledger. Must call
    /// [`Work::before_effect`] directly before it changes anything. It may be called again after a crash, when
    /// `probe` said `NotDone`: so it is written as a goal ("be so"), not as a deed.
    fn apply(&self, order: &StepCommand, prepared: &Prepared, work: &Work<'_>) -> Result<Applied, Failure>;

    /// After a crash with only the intent known, or after an unknown outcome: what is true? Reads only.
    fn probe(&self, order: &StepCommand, prepared: &Prepared, work: &Work<'_>) -> Result<Probe, Failure>;

    /// Take back what `done` describes (from the ledger), only while the state is still ours. Same rules as `apply`.
    fn undo(&self, order: &StepCommand, done: &Prepared, work: &Work<'_>) -> Result<Applied, Failure>;

    /// Is the former state there? Asked after a crash with only the intent of an undo known, and, with the original
    /// step command as `order`, about a step whose effect is not there but may be in part. Reads only.
    fn probe_undo(&self, order: &StepCommand, done: &Prepared, work: &Work<'_>) -> Result<Probe, Failure>;

    /// The part of the instance that this acts on, where it leaves all others alone: steps of one plan that do not
    /// wait for each other act on different parts at the same time. `None`: on all of it, and nothing acts beside it.
    fn part(&self, action: &Action) -> Option<String>;

    /// What of the whole host this acts on, whichever instance it is for: there, steps for different instances wait for
    /// each other, too. Default: nothing.
    fn host_part(&self, _action: &Action) -> HostPart {
        HostPart::Nothing
    }

    /// Look whether what was promised holds, from IRIS and the host. Reads only; waits for the quiet time.
    fn verify(&self, order: &StepCommand, verify: &Verify, work: &Work<'_>) -> Result<Verification, Failure>;
}

/// What an action touches beyond its own instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPart {
    Nothing,
    /// One property of the host, by its name.
    Property(String),
    /// It may be any of them (what is taken back is known to the ledger alone).
    Any,
}

/// What is recorded before an effect: enough to recognise it, to finish it and to take it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prepared {
    /// As in the forecast; the loop refuses the step when it differs from the plan's (drift).
    pub before: String,
    /// As the forecast's `after`; the loop refuses the step when it differs from the plan's, for it was not agreed to.
    pub wanted: String,
    /// Is the world already as wanted, so that there is nothing to do?
    pub already: bool,
    /// Whatever the agent needs to undo or to probe: the path of the backup, the identity of the process ...
    pub material: serde_json::Value,
}

/// What an effect came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// By name of the target; `validated` tells that it was read back.
    pub changes: Vec<(String, AppliedChange)>,
    pub warnings: Vec<String>,
    pub rollback_available: bool,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// As before: the effect has not happened (or has a part left to finish).
    NotDone,
    /// As wanted: the effect has happened.
    Done(Applied),
    /// Neither: somebody else has acted. Touch nothing.
    Other { found: String },
}

/// The limits of one attempt.
pub struct Work<'a> {
    pub(crate) may_act: &'a (dyn Fn() -> Result<(), Failure> + Sync),
    pub(crate) remaining: &'a (dyn Fn() -> Duration + Sync),
}

impl<'a> Work<'a> {
    /// The limits as two questions: may the effect begin, and how much time is left? For the loop, and for tests of
    /// one agent alone.
    pub fn new(
        may_act: &'a (dyn Fn() -> Result<(), Failure> + Sync),
        remaining: &'a (dyn Fn() -> Duration + Sync),
    ) -> Self {
        Self { may_act, remaining }
    }
}

impl Work<'_> {
    /// Time left for this attempt. Zero means stop now.
    pub fn remaining(&self) -> Duration {
        (self.remaining)()
    }

    /// Directly before the effect: is the deadline ahead, nobody halted, the token still the highest?
    pub fn before_effect(&self) -> Result<(), Failure> {
        (self.may_act)()
    }
}
