//! The answer to a command: at once, to the subject that the sender names in `Instance-Reply`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    decode::Fault,
    ids::{CommandId, RemediationId, TraceId},
};

/// Accepted with its place, or refused with every fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "CommandAnswer")]
pub struct CommandAnswer {
    /// Always `instance.v1.command_answer`.
    #[schemars(extend("const" = "instance.v1.command_answer"))]
    pub schema: String,
    pub status: AnswerStatus,
    /// Null when the command could not be read.
    pub command_id: Option<CommandId>,
    /// Follow it on the subjects `instance.v1.remediation.*.<remediation_id>.>`.
    pub remediation_id: Option<RemediationId>,
    pub trace_id: Option<TraceId>,
    /// How many accepted remediations of the same instance go first. Null when refused.
    pub place: Option<u32>,
    /// Field, value and rule of everything that is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// The first word of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerStatus {
    Accepted,
    /// The same command was accepted before; it is not done twice.
    Repeated,
    Refused,
    /// Too old to be done.
    Expired,
}

impl CommandAnswer {
    pub const SCHEMA: &'static str = "instance.v1.command_answer";
    /// Header in which a sender names the subject for this answer (JetStream uses the reply subject for itself).
    pub const REPLY_HEADER: &'static str = "Instance-Reply";

    pub fn refused(command_id: Option<CommandId>, trace_id: Option<TraceId>, faults: Vec<Fault>) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            status: AnswerStatus::Refused,
            command_id,
            remediation_id: command_id.map(RemediationId::from),
            trace_id,
            place: None,
            faults,
        }
    }
}
