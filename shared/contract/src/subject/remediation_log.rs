//! Subjects of the remediation log: records, step commands, takeovers and notices of a shard.

use std::fmt;

use super::{Subject, subject};
use crate::{
    ids::{Attempt, HostName, RemediationId, Shard, StepId},
    notice::NoticeSource,
    words::AgentKind,
};

/// One record of a remediation.
pub fn record(shard: Shard, id: RemediationId, kind: &RecordKind) -> Subject {
    subject(&[&"remediation", &shard, &id, kind])
}

/// A step command also names the host that it is for.
pub fn step(
    shard: Shard,
    id: RemediationId,
    agent: AgentKind,
    host: &HostName,
    step: &StepId,
    attempt: Attempt,
) -> Subject {
    subject(&[&"remediation", &shard, &id, &"step", &agent, &host.token(), step, &attempt])
}

/// All step commands of a shard for one agent on one host.
pub fn steps_for(shard: Shard, agent: AgentKind, host: &HostName) -> Subject {
    subject(&[&"remediation", &shard, &"*", &"step", &agent, &host.token(), &">"])
}

/// All step commands of one remediation.
pub fn steps_of(shard: Shard, id: RemediationId) -> Subject {
    subject(&[&"remediation", &shard, &id, &"step", &">"])
}

/// Everything in a shard's remediation log.
pub fn shard_log(shard: Shard) -> Subject {
    subject(&[&"remediation", &shard, &">"])
}

/// Everything about one remediation, in whichever shard.
pub fn remediation(id: RemediationId) -> Subject {
    subject(&[&"remediation", &"*", &id, &">"])
}

/// Everything about one remediation of a shard.
pub fn remediation_of(shard: Shard, id: RemediationId) -> Subject {
    subject(&[&"remediation", &shard, &id, &">"])
}

/// One kind of record of every remediation of a shard: `accepted`, `ended`, `step.>`, `result.>`,
/// `approval.*.answered`.
pub fn records_of(shard: Shard, kind: &str) -> Subject {
    subject(&[&"remediation", &shard, &"*", &kind])
}

/// A takeover of a shard.
pub fn owner(shard: Shard, epoch: u64) -> Subject {
    subject(&[&"remediation", &shard, &"owner", &epoch])
}

pub fn owners(shard: Shard) -> Subject {
    subject(&[&"remediation", &shard, &"owner", &"*"])
}

/// What a shard's log tells beside the remediations, by where it comes from and its place there.
pub fn notice(shard: Shard, source: NoticeSource, sequence: u64) -> Subject {
    subject(&[&"remediation", &shard, &"notice", &source.as_str(), &sequence])
}

pub fn notices(shard: Shard, source: NoticeSource) -> Subject {
    subject(&[&"remediation", &shard, &"notice", &source.as_str(), &"*"])
}

/// The place that a notice's subject names. `None` for anything else.
pub fn parse_notice(subject: &str) -> Option<u64> {
    let (_, rest) = subject.strip_prefix("instance.v1.remediation.")?.split_once(".notice.")?;
    rest.split_once('.')?.1.parse().ok()
}

/// The epoch that a takeover's subject names. `None` for anything else.
pub fn parse_owner(subject: &str) -> Option<u64> {
    let (shard, epoch) = subject.strip_prefix("instance.v1.remediation.")?.split_once(".owner.")?;
    shard.parse::<u16>().ok()?;
    epoch.parse().ok()
}

/// What kind of record a subject of the remediation log names: the part after the remediation id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    Accepted,
    Planned,
    /// Subjects of steps also hold agent and host, see [`step`].
    Step {
        step: StepId,
        attempt: Attempt,
    },
    Result {
        step: StepId,
        attempt: Attempt,
    },
    ApprovalAsked(u32),
    ApprovalAnswered(u32),
    Ended,
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("accepted"),
            Self::Planned => f.write_str("planned"),
            Self::Step { step, attempt } => write!(f, "step.{step}.{attempt}"),
            Self::Result { step, attempt } => write!(f, "result.{step}.{attempt}"),
            Self::ApprovalAsked(k) => write!(f, "approval.{k}.asked"),
            Self::ApprovalAnswered(k) => write!(f, "approval.{k}.answered"),
            Self::Ended => f.write_str("ended"),
        }
    }
}

/// A subject of the remediation log, taken apart. `None` for anything else (owners, foreign subjects).
pub fn parse_record(subject: &str) -> Option<(Shard, RemediationId, RecordKind)> {
    let mut tokens = subject.strip_prefix("instance.v1.remediation.")?.split('.');
    let shard = Shard(tokens.next()?.parse().ok()?);
    let id = tokens.next()?.parse().ok()?;
    let rest: Vec<&str> = tokens.collect();
    let attempt = |raw: &str| raw.parse().ok().map(Attempt);
    let kind = match rest.as_slice() {
        ["accepted"] => RecordKind::Accepted,
        ["planned"] => RecordKind::Planned,
        ["ended"] => RecordKind::Ended,
        ["step", _agent, _host, step, tries] => {
            RecordKind::Step { step: step.parse().ok()?, attempt: attempt(tries)? }
        }
        ["result", step, tries] => RecordKind::Result { step: step.parse().ok()?, attempt: attempt(tries)? },
        ["approval", k, "asked"] => RecordKind::ApprovalAsked(k.parse().ok()?),
        ["approval", k, "answered"] => RecordKind::ApprovalAnswered(k.parse().ok()?),
        _ => return None,
    };
    Some((shard, id, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_subject_comes_apart_as_it_was_put_together() {
        let id: RemediationId = "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8".parse().unwrap();
        let step_id: StepId = "config".parse().unwrap();
        for kind in [
            RecordKind::Accepted,
            RecordKind::Planned,
            RecordKind::Result { step: step_id.clone(), attempt: Attempt(2) },
            RecordKind::ApprovalAsked(1),
            RecordKind::ApprovalAnswered(1),
            RecordKind::Ended,
        ] {
            let subject = record(Shard(3), id, &kind);
            assert_eq!(parse_record(subject.as_str()), Some((Shard(3), id, kind)));
        }
        let host: HostName = "db1.example.com".parse().unwrap();
        let subject = step(Shard(0), id, AgentKind::Config, &host, &step_id, Attempt::FIRST);
        assert_eq!(
            parse_record(subject.as_str()),
            Some((Shard(0), id, RecordKind::Step { step: step_id, attempt: Attempt::FIRST }))
        );
        let filter = steps_of(Shard(0), id);
        assert!(subject.as_str().starts_with(filter.as_str().trim_end_matches('>')), "{filter}");
        assert_eq!(parse_record(owner(Shard(0), 7).as_str()), None);
        assert_eq!(parse_owner(owner(Shard(3), 7).as_str()), Some(7));
        assert_eq!(parse_owner(subject.as_str()), None);
    }
}
