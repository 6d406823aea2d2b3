//! What can go wrong, each with how often.

/// Kinds of injected faults, each with what it means, and the list of all.
macro_rules! faults {
    ($($(#[doc = $meaning:literal])* $name:ident,)*) => {
        /// A kind of injected fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[doc = $meaning])* $name,)*
        }

        impl Fault {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

faults! {
    /// A command is delivered again although it was settled ("ack, then forget").
    CommandForgotten,
    /// A step command is delivered again although it was settled.
    StepForgotten,
    /// A delivery comes twice.
    DeliveredTwice,
    /// A record reaches its reader late, behind others.
    Delayed,
    /// A write stands in the log, and its answer is lost.
    AnswerLost,
    /// A write does not reach the log.
    WriteLost,
    /// The agents do not say in time what a step would change.
    AgentsSilent,
    RouterKilled,
    /// A router stops for longer than its lease, and goes on as if nothing had happened.
    RouterPaused,
    /// An owner that was followed, and does not know it, wants to write.
    FormerOwnerWrites,
    AgentsKilled,
    /// A clock is wrong by as much as clocks may be.
    ClockSkew,
    /// A router's clock is wrong by more than that.
    ClockJump,
    /// An agent cannot tell what came of its effect, and it has happened.
    UnknownAndDone,
    /// An agent cannot tell what came of its effect, and it has not happened.
    UnknownAndNotDone,
    ApprovalLate,
    /// Nobody answers.
    ApprovalNever,
    ApprovalTwice,
    ApprovalOtherDigest,
    ApprovalDenied,
    /// Somebody answers whom policy does not know.
    ApprovalByStranger,
    /// All remediations of the run have a minute.
    ShortOfTime,
    /// An agent takes very long before an effect, where time is short.
    AgentSlow,
    /// Policy lets next to nothing happen.
    TightBudgets,
    /// Somebody else changes something, at any time.
    ForeignChange,
    /// Somebody else changes what a step has been planned on and has not changed yet.
    ForeignBeforeEffect,
    /// Somebody else changes what a step of an open remediation has changed.
    ForeignAfterEffect,
    Halted,
    /// A step is planted to fail.
    StepFails,
    /// A step is planted to fail a few times and then to work.
    StepFailsAtFirst,
    /// A restart stops its instance and does not start it.
    RestartStopsOnly,
}
