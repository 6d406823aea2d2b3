//! A record of the remediation log in the words of the audit trail. Only what is told is read: the trail is written
//! beside every plan, and a trail of older records must stay readable.

use instance_contract::{
    Action, AgentKind, ApprovalAnswered, ApprovalAsked, AuditKind, Because, Change, CommandId, Digest, Fault,
    HostName, InstanceName, MessageId, Notice, NoticeKind, OverallStatus, RemediationId, Risk, Shard, StepId,
    ToolResult, TraceId, Verdict, subject::RecordKind,
};
use jiff::Timestamp;
use serde::Deserialize;

use super::Known;

/// Characters of `who`, `what` and `why`.
const LONGEST: usize = 1_000;

/// What a record says.
pub(super) struct Told {
    /// When a router has decided it. `None`: told when the log took it.
    pub(super) at: Option<Timestamp>,
    pub(super) kind: AuditKind,
    pub(super) who: String,
    pub(super) what: String,
    pub(super) why: String,
    pub(super) digest: Option<Digest>,
    pub(super) instance: Option<InstanceName>,
    pub(super) remediation_id: Option<RemediationId>,
    pub(super) trace_id: Option<TraceId>,
}

/// What is read of a record.
pub(super) enum Slip {
    Accepted(Accepted),
    Planned(Planned),
    Step(Step),
    Result(Box<ToolResult>),
    Asked(Box<ApprovalAsked>),
    Answered(ApprovalAnswered),
    Ended(Box<Ended>),
}

#[derive(Deserialize)]
pub(super) struct Command {
    #[serde(rename = "command_id")]
    id: CommandId,
    instance: InstanceName,
    error_type: String,
    severity: u8,
    #[serde(default)]
    priority: String,
    recommended_action: String,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    requested_by: String,
    #[serde(default)]
    caused_by: Vec<MessageId>,
}

#[derive(Deserialize)]
struct Plan {
    steps: Vec<PlannedStep>,
    digest: Digest,
}

#[derive(Deserialize)]
struct PlannedStep {
    id: StepId,
    agent: AgentKind,
    risk: Risk,
    reason: String,
}

#[derive(Deserialize)]
pub(super) struct Accepted {
    trace_id: TraceId,
    command: Command,
    plan: Option<Plan>,
}

#[derive(Deserialize)]
pub(super) struct Planned {
    trace_id: TraceId,
    plan: Plan,
    because: Because,
}

#[derive(Deserialize)]
pub(super) struct Step {
    trace_id: TraceId,
    instance: InstanceName,
    agent: AgentKind,
    host: HostName,
    action: Action,
    change: Option<Change>,
    plan_digest: Digest,
    because: Because,
}

#[derive(Deserialize)]
pub(super) struct Ended {
    trace_id: TraceId,
    command_received: Option<Command>,
    overall_status: OverallStatus,
    plan_digest: Option<Digest>,
    reason: Option<String>,
    #[serde(default)]
    faults: Vec<Fault>,
    because: Because,
}

#[derive(Deserialize)]
struct Owner {
    router: String,
    process: String,
}

impl Slip {
    pub(super) fn read(kind: &RecordKind, payload: &[u8]) -> Result<Self, String> {
        fn json<T: serde::de::DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
            serde_json::from_slice(payload).map_err(|error| error.to_string())
        }
        Ok(match kind {
            RecordKind::Accepted => Self::Accepted(json(payload)?),
            RecordKind::Planned => Self::Planned(json(payload)?),
            RecordKind::Step { .. } => Self::Step(json(payload)?),
            RecordKind::Result { .. } => Self::Result(json(payload)?),
            RecordKind::ApprovalAsked(_) => Self::Asked(json(payload)?),
            RecordKind::ApprovalAnswered(_) => Self::Answered(json(payload)?),
            RecordKind::Ended => Self::Ended(json(payload)?),
        })
    }

    pub(super) fn instance(&self) -> Option<&InstanceName> {
        match self {
            Self::Accepted(slip) => Some(&slip.command.instance),
            Self::Step(slip) => Some(&slip.instance),
            Self::Asked(slip) => Some(&slip.instance),
            Self::Ended(slip) => slip.command_received.as_ref().map(|command| &command.instance),
            Self::Planned(_) | Self::Result(_) | Self::Answered(_) => None,
        }
    }

    pub(super) fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Accepted(slip) => slip.plan.as_ref().map(|plan| &plan.digest),
            Self::Planned(slip) => Some(&slip.plan.digest),
            Self::Step(slip) => Some(&slip.plan_digest),
            Self::Asked(slip) => Some(&slip.digest),
            Self::Answered(slip) => Some(&slip.digest),
            Self::Ended(slip) => slip.plan_digest.as_ref(),
            Self::Result(_) => None,
        }
    }

    fn trace_id(&self) -> &TraceId {
        match self {
            Self::Accepted(slip) => &slip.trace_id,
            Self::Planned(slip) => &slip.trace_id,
            Self::Step(slip) => &slip.trace_id,
            Self::Result(slip) => &slip.trace_id,
            Self::Asked(slip) => &slip.trace_id,
            Self::Answered(slip) => &slip.trace_id,
            Self::Ended(slip) => &slip.trace_id,
        }
    }

    /// What a router had before it when it wrote this. (An acceptance tells of a command, and is heard in the log.)
    fn because(&self) -> Option<&Because> {
        match self {
            Self::Planned(slip) => Some(&slip.because),
            Self::Step(slip) => Some(&slip.because),
            Self::Asked(slip) => Some(&slip.because),
            Self::Ended(slip) => Some(&slip.because),
            Self::Accepted(_) | Self::Result(_) | Self::Answered(_) => None,
        }
    }

    /// `router` names the owner of an epoch.
    pub(super) fn tell(
        &self,
        subject: &RecordKind,
        id: RemediationId,
        known: Known,
        router: impl Fn(u64) -> String,
    ) -> Told {
        let by = |because: &Because| router(because.epoch);
        let (kind, who, what, why) = match self {
            Self::Accepted(slip) => accepted(slip),
            Self::Planned(slip) => {
                let why = format!("its turn has come; {}", reasons(&slip.plan));
                (AuditKind::Planned, by(&slip.because), outline(&slip.plan), why)
            }
            Self::Step(slip) => (AuditKind::StepSent, by(&slip.because), sent(slip, subject), cause(slip)),
            Self::Result(slip) => answered(slip),
            Self::Asked(slip) => (AuditKind::ApprovalAsked, by(&slip.because), asked(slip), asked_for(slip)),
            Self::Answered(slip) => verdict(slip),
            Self::Ended(slip) => ended(slip, router),
        };
        Told {
            at: self.because().map(|because| because.now),
            kind,
            who,
            what,
            why,
            digest: self.digest().cloned().or(known.digest),
            instance: self.instance().cloned().or(known.instance),
            remediation_id: Some(id),
            trace_id: Some(self.trace_id().clone()),
        }
    }
}

type Words = (AuditKind, String, String, String);

fn accepted(slip: &Accepted) -> Words {
    let command = &slip.command;
    let dry = if command.dry_run { " (dry run)" } else { "" };
    let plan = slip.plan.as_ref().map(|plan| format!("; {}", outline(plan))).unwrap_or_default();
    let what = format!("command {}{dry}: {}{plan}", command.id, command.recommended_action);
    let mut why = format!(
        "{} problem of severity {}, priority {}",
        command.error_type, command.severity, command.priority
    );
    if !command.caused_by.is_empty() {
        let messages: Vec<String> = command.caused_by.iter().map(ToString::to_string).collect();
        why = format!("{why}; caused by messages {}", messages.join(", "));
    }
    if let Some(plan) = &slip.plan {
        why = format!("{why}; {}", reasons(plan));
    }
    (AuditKind::Accepted, command.requested_by.clone(), what, why)
}

fn outline(plan: &Plan) -> String {
    let steps = plan.steps.iter().map(|step| format!("{} ({}, risk {})", step.id, step.agent, step.risk));
    format!("plan: {}", steps.collect::<Vec<_>>().join(", "))
}

fn reasons(plan: &Plan) -> String {
    let steps = plan.steps.iter().map(|step| format!("{}: {}", step.id, step.reason));
    steps.collect::<Vec<_>>().join("; ")
}

fn sent(slip: &Step, subject: &RecordKind) -> String {
    let change = slip.change.as_ref().map(changed).unwrap_or_default();
    format!("{subject} to {} on {}{change}", slip.agent, slip.host)
}

fn changed(change: &Change) -> String {
    format!(": {}: {} -> {}", change.target, change.before, change.after)
}

fn cause(slip: &Step) -> String {
    let Because { event, delay_ms, .. } = &slip.because;
    match &slip.action {
        Action::Undo(undo) => format!("takes step {} back, after {event}", undo.step),
        _ if *delay_ms > 0 => format!("one more try after {delay_ms} ms: {event} may work later"),
        Action::Verify(_) => format!("proof of what was done, after {event}"),
        _ => format!("as planned; nothing stands in its way after {event}"),
    }
}

fn answered(result: &ToolResult) -> Words {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    let changes = result.changes_applied.iter().map(|(target, change)| {
        format!("; {target}: {} -> {}", value(&change.old_value), value(&change.new_value))
    });
    let changes: String = changes.collect();
    let what =
        format!("step {} attempt {}: {}{changes}", result.step_id, result.attempt, result.status.as_str());
    let mut why = match (&result.error_code, &result.error_message) {
        (Some(code), Some(message)) => format!("{message} ({code})"),
        (None, Some(message)) => message.clone(),
        (_, None) if result.changes_applied.values().any(|change| change.validated) => {
            "done, and read back".to_owned()
        }
        _ => "done".to_owned(),
    };
    if result.requires_user_action {
        why.push_str("; a person has to look");
    }
    (AuditKind::StepAnswered, format!("{} on {}", result.agent.name, result.agent.host), what, why)
}

fn asked(slip: &ApprovalAsked) -> String {
    let changes: Vec<String> =
        slip.changes.iter().map(|change| format!("{}{}", change.step, changed(change))).collect();
    format!("asks a person, until {}, to agree to: {}", slip.expires_at, changes.join("; "))
}

fn asked_for(slip: &ApprovalAsked) -> String {
    let reasons: Vec<String> =
        slip.reasons.iter().map(|(step, reason)| format!("{step}: {reason}")).collect();
    reasons.join("; ")
}

fn verdict(slip: &ApprovalAnswered) -> Words {
    let (kind, what) = match slip.verdict {
        Verdict::Granted => (AuditKind::Approved, "agrees to the changes of the digest"),
        Verdict::Denied => (AuditKind::Denied, "does not agree to the changes of the digest"),
        Verdict::Expired => (AuditKind::Expired, "closes the question: nobody has answered it"),
    };
    let why = slip.note.clone().unwrap_or_else(|| "no reason given".to_owned());
    (kind, slip.by.clone(), what.to_owned(), why)
}

fn ended(slip: &Ended, router: impl Fn(u64) -> String) -> Words {
    // A command that was turned away on arrival was not yet anybody's to finish.
    let arrival = slip.because.epoch == 0;
    let kind = match slip.overall_status {
        OverallStatus::Refused => AuditKind::Refused,
        OverallStatus::Expired if arrival => AuditKind::Expired,
        _ => AuditKind::Ended,
    };
    let who = if arrival { "router".to_owned() } else { router(slip.because.epoch) };
    let asked = slip.command_received.as_ref().map_or_else(
        || "a command that cannot be read".to_owned(),
        |command| format!("{}, asked for by {}", command.recommended_action, command.requested_by),
    );
    let faults: Vec<String> = slip.faults.iter().map(ToString::to_string).collect();
    let why = match (&slip.reason, faults.is_empty()) {
        (Some(reason), _) => reason.clone(),
        (None, false) => faults.join("; "),
        (None, true) => "every step succeeded".to_owned(),
    };
    (kind, who, format!("{}: {asked}", slip.overall_status.as_str()), why)
}

/// The router that an owner record names.
pub(super) fn owner(payload: &[u8]) -> Option<String> {
    serde_json::from_slice::<Owner>(payload).ok().map(|owner| owner.router)
}

pub(super) fn shard_taken(shard: Shard, epoch: u64, payload: &[u8]) -> Told {
    match serde_json::from_slice::<Owner>(payload) {
        Ok(owner) => Told {
            kind: AuditKind::ShardTaken,
            who: format!("router {}", owner.router),
            what: format!("takes shard {shard} at epoch {epoch}, as process {}", owner.process),
            why: "the lease was free, or its own from before".to_owned(),
            ..nobody()
        },
        Err(error) => unreadable(None, &format!("owner of epoch {epoch}"), &error.to_string()),
    }
}

/// A halt, a dead letter, or what was decided about an incident.
pub(super) fn noticed(subject: &str, payload: &[u8]) -> Told {
    match serde_json::from_slice::<Notice>(payload) {
        // The gateway may write its own notices, and throws no switch by them.
        Ok(notice) if is_gateways(subject) != is_decided_by_gateway(notice.kind) => {
            unreadable(None, subject, "not a notice of this kind")
        }
        Ok(Notice { kind, at, who, what, why, digest, instance, trace_id, .. }) => {
            let kind = match kind {
                NoticeKind::Halted => AuditKind::Halted,
                NoticeKind::Resumed => AuditKind::Resumed,
                NoticeKind::DeadLetter => AuditKind::DeadLetter,
                NoticeKind::Found => AuditKind::Found,
                NoticeKind::Acknowledged => AuditKind::Acknowledged,
                NoticeKind::Closed => AuditKind::Closed,
                NoticeKind::Refused => AuditKind::Refused,
                NoticeKind::Alerted => AuditKind::Alerted,
            };
            Told { at: Some(at), kind, who, what, why, digest, instance, trace_id, ..nobody() }
        }
        Err(error) => unreadable(None, subject, &error.to_string()),
    }
}

fn is_gateways(subject: &str) -> bool {
    subject.contains(".notice.gateway.")
}

const fn is_decided_by_gateway(kind: NoticeKind) -> bool {
    matches!(kind, NoticeKind::Refused | NoticeKind::Alerted)
}

pub(super) fn unreadable(id: Option<RemediationId>, subject: &str, why: &str) -> Told {
    let what = format!("{subject} holds something else");
    Told { what, why: why.to_owned(), remediation_id: id, ..nobody() }
}

fn nobody() -> Told {
    Told {
        at: None,
        kind: AuditKind::Unreadable,
        who: "unknown".to_owned(),
        what: String::new(),
        why: String::new(),
        digest: None,
        instance: None,
        remediation_id: None,
        trace_id: None,
    }
}

/// Without what looks like a secret, and short. By its looks alone: whoever tells the log again must come to the same words.
pub fn safe(text: &str) -> String {
    short(instance_redaction::redact_by_shape(text).into_owned())
}

/// At most [`LONGEST`] characters.
fn short(text: String) -> String {
    if text.chars().nth(LONGEST).is_none() {
        return text;
    }
    text.chars().take(LONGEST - 3).chain("...".chars()).collect()
}
