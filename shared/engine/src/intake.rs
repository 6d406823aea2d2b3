//! What is done with a command that has just arrived: answered at once, whatever the answer is.

use std::collections::BTreeMap;

use instance_contract::{
    Accepted, AgentKind, AnswerStatus, Because, CommandAnswer, Digest, Ended, Facts, Fault, Faults, HostName,
    OverallStatus, Plan, RemediationCommand, RemediationId, Totals, WorkflowTrace,
};
use instance_planner::{Policy, forbidden, questions};
use jiff::{SignedDuration, Timestamp};

/// A command older than this is not done.
const TOO_OLD: SignedDuration = SignedDuration::from_hours(24);

/// A legal command, with what the shell knows about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    pub command: RemediationCommand,
    /// SHA-256 of the bytes as received.
    pub digest: Digest,
    pub traceparent: Option<String>,
    /// Which host serves the command's instance, by agent.
    pub hosts: BTreeMap<AgentKind, HostName>,
    /// What the log holds under the same command id, as far as anybody has looked. The first record of an arrival is
    /// written only where nothing stands; when something does, [`crate::Event::Used`] tells.
    pub earlier: Option<Earlier>,
}

/// An earlier use of a command id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Earlier {
    /// A command with these bytes was accepted.
    Accepted(Digest),
    /// A command was refused or expired, and never accepted.
    Refused,
}

/// What came of asking the agents.
#[derive(Debug, Clone, PartialEq)]
pub enum FactsAnswer {
    Facts(Facts),
    /// At least one agent did not answer in time.
    Silent {
        why: String,
    },
}

/// The first look at an arrival.
pub(crate) enum Verdict {
    /// Legal, fresh and served.
    Proceed,
    /// Done before, or being done.
    Repeated,
    /// The same id with other bytes.
    Equivocation,
    /// The same id as a command that was refused.
    Spent,
    Expired(Box<Ended>),
    Refused(Faults),
}

impl Arrival {
    pub(crate) fn id(&self) -> RemediationId {
        self.command.command_id.into()
    }

    pub(crate) fn verdict(&self, policy: &Policy, now: Timestamp) -> Verdict {
        match &self.earlier {
            Some(Earlier::Accepted(digest)) if *digest != self.digest => return Verdict::Equivocation,
            Some(Earlier::Accepted(_)) => return Verdict::Repeated,
            Some(Earlier::Refused) => return Verdict::Spent,
            None => {}
        }
        if let Some(ended) = self.too_old(now) {
            return Verdict::Expired(Box::new(ended));
        }
        let forbidden = forbidden(&self.command, &self.hosts, policy);
        if !forbidden.is_empty() {
            return Verdict::Refused(Faults(forbidden));
        }
        let missing: Vec<&str> = questions(&self.command)
            .iter()
            .map(|question| question.agent)
            .filter(|agent| !self.hosts.contains_key(agent))
            .map(AgentKind::as_str)
            .collect();
        if missing.is_empty() {
            return Verdict::Proceed;
        }
        let rule = format!("must be served by a running {}; see `instance hosts`", missing.join(" and a "));
        Verdict::Refused(Faults::one("instance", &self.command.instance, rule))
    }

    /// The end of a command that lay too long.
    pub(crate) fn too_old(&self, now: Timestamp) -> Option<Ended> {
        let issued_at = self.command.issued_at;
        (issued_at + TOO_OLD < now).then(|| {
            let reason = format!("issued at {issued_at}, and commands older than 24 hours are not done");
            let fault = Fault::new("issued_at", issued_at, reason.clone());
            self.ended(now, OverallStatus::Expired, reason, vec![fault])
        })
    }

    /// `policy` with its text.
    pub(crate) fn accepted(
        &self,
        now: Timestamp,
        (policy, text): (&Policy, &str),
        plan: Option<(Plan, Facts)>,
    ) -> Accepted {
        let (plan, facts) = plan.unzip();
        let patience = SignedDuration::from_secs(i64::from(policy.remediation_seconds));
        Accepted {
            schema: Accepted::SCHEMA.to_owned(),
            trace_id: self.command.trace_id.clone(),
            remediation_id: self.id(),
            command: self.command.clone(),
            command_digest: self.digest.clone(),
            accepted_at: now,
            deadline: now + patience,
            policy: text.to_owned(),
            plan,
            facts,
            traceparent: self.traceparent.clone(),
        }
    }

    /// A command that is not begun ends where it arrived.
    pub(crate) fn ended(
        &self,
        now: Timestamp,
        status: OverallStatus,
        reason: String,
        faults: Vec<Fault>,
    ) -> Ended {
        let trace = WorkflowTrace {
            schema: WorkflowTrace::SCHEMA.to_owned(),
            trace_id: self.command.trace_id.clone(),
            remediation_id: self.id(),
            command_received: Some(self.command.clone()),
            initiated_at: now,
            steps_executed: Vec::new(),
            overall_status: status,
            failed_at_step: None,
            verification: None,
            completion_time_ms: 0,
            plan_digest: None,
            planned: Vec::new(),
            warnings: Vec::new(),
            totals: Totals::default(),
            reason: Some(reason),
            faults,
        };
        Ended {
            trace,
            because: Because { now, event: "command".to_owned(), delay_ms: 0, epoch: 0, halted: false },
            facts: None,
        }
    }

    pub(crate) fn answer(
        &self,
        status: AnswerStatus,
        place: Option<u32>,
        faults: Vec<Fault>,
    ) -> CommandAnswer {
        CommandAnswer {
            schema: CommandAnswer::SCHEMA.to_owned(),
            status,
            command_id: Some(self.command.command_id),
            remediation_id: Some(self.id()),
            trace_id: Some(self.command.trace_id.clone()),
            place,
            faults,
        }
    }
}
