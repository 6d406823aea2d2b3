//! What can go wrong, each with how often.

/// A kind of injected fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A command is delivered again although it was settled ("ack, then forget").
    CommandForgotten,
    /// A delivery comes twice.
    DeliveredTwice,
    /// A record reaches its reader late, behind others.
    Delayed,
    /// A write stands in the log, and its answer is lost.
    AnswerLost,
    /// A write does not reach the log.
    WriteLost,
    RouterKilled,
    /// A router stops for longer than its lease, and goes on as if nothing had happened.
    RouterPaused,
    AgentKilled,
    /// A router's clock is wrong from now on.
    ClockJump,
    ApprovalLate,
    /// Nobody answers.
    ApprovalNever,
    ApprovalTwice,
    ApprovalOtherDigest,
    /// All remediations of the run have a minute.
    ShortOfTime,
    /// Somebody else changes a value that a remediation has planned on.
    ForeignChange,
    Halted,
    /// A step is planted to fail.
    StepFails,
    /// A step is planted to fail a few times and then to work.
    StepFailsAtFirst,
}

impl Fault {
    pub const ALL: &'static [Self] = &[
        Self::CommandForgotten,
        Self::DeliveredTwice,
        Self::Delayed,
        Self::AnswerLost,
        Self::WriteLost,
        Self::RouterKilled,
        Self::RouterPaused,
        Self::AgentKilled,
        Self::ClockJump,
        Self::ApprovalLate,
        Self::ApprovalNever,
        Self::ApprovalTwice,
        Self::ApprovalOtherDigest,
        Self::ShortOfTime,
        Self::ForeignChange,
        Self::Halted,
        Self::StepFails,
        Self::StepFailsAtFirst,
    ];
}
