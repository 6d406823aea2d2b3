//! Every NATS subject, built from typed ids. No string with a dot in it appears anywhere else.

use std::fmt;

use crate::{
    ask::AskKind,
    ids::{Attempt, CommandId, HostName, IncidentId, InstanceName, RemediationId, Shard, StepId},
    notice::NoticeSource,
    words::{AgentKind, Severity},
};

/// A subject, or a filter over subjects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(String);

impl Subject {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A subject that somebody else chose (`Instance-Reply`). `None` when it could not be published to.
    pub fn foreign(raw: &str) -> Option<Self> {
        let token = |token: &str| !token.is_empty() && !token.contains(['*', '>']);
        let legal = raw.len() <= 255
            && raw.bytes().all(|byte| byte.is_ascii_graphic())
            && raw.split('.').all(token)
            // A reply must not be a way to write into our own streams or the server's.
            && !raw.starts_with("instance.") && !raw.starts_with('$');
        legal.then(|| Self(raw.to_owned()))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> String {
        subject.0
    }
}

fn subject(parts: &[&dyn fmt::Display]) -> Subject {
    let mut text = String::from("instance.v1");
    for part in parts {
        text.push('.');
        text.push_str(&part.to_string());
    }
    Subject(text)
}

/// An entry of messages.log.
pub fn error(host: &HostName, instance: &InstanceName, severity: Severity) -> Subject {
    subject(&[&"error", &host.token(), &instance.token(), &severity.as_str()])
}

pub fn errors() -> Subject {
    subject(&[&"error", &">"])
}

/// All messages of one severity.
pub fn errors_as_grave_as(severity: Severity) -> Subject {
    subject(&[&"error", &"*", &"*", &severity.as_str()])
}

/// All messages of one instance on one host.
pub fn errors_of(host: &HostName, instance: &InstanceName) -> Subject {
    subject(&[&"error", &host.token(), &instance.token(), &"*"])
}

/// All messages of one instance, on whichever host.
pub fn errors_about(instance: &InstanceName) -> Subject {
    subject(&[&"error", &"*", &instance.token(), &"*"])
}

/// Where anybody publishes a RemediationCommand. The server stores it under its shard.
pub fn command(instance: &InstanceName) -> Subject {
    subject(&[&"command", &instance.token()])
}

/// Commands of every instance, as published.
pub fn commands() -> Subject {
    subject(&[&"command", &"*"])
}

/// Commands as stored, of one shard.
pub fn commands_of(shard: Shard) -> Subject {
    subject(&[&"command", &shard, &"*"])
}

/// The transform that assigns an instance to one of `shards` shards.
pub fn command_transform(shards: u16) -> (String, String) {
    let destination = format!("instance.v1.command.{{{{partition({shards},1)}}}}.{{{{wildcard(1)}}}}");
    (commands().0, destination)
}

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

/// A question to an agent.
pub fn ask(agent: AgentKind, host: &HostName, kind: AskKind) -> Subject {
    subject(&[&"ask", &agent, &host.token(), &kind.as_str()])
}

/// A question of an operator to a process that asks language models; `process` is drawn at its start, `question` one token.
pub fn model(process: uuid::Uuid, question: &str) -> Subject {
    subject(&[&"ask", &"model", &process.simple(), &question])
}

/// As [`model`], from what a service says about itself. `None` for any other subject.
pub fn model_found(raw: &str) -> Option<Subject> {
    let (process, question) = raw.strip_prefix("instance.v1.ask.model.")?.split_once('.')?;
    let word = question.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let legal = word && !question.is_empty();
    legal.then(|| process.parse().ok().map(|process| model(process, question))).flatten()
}

/// Where the generator takes requests.
pub fn generate() -> Subject {
    subject(&[&"generate"])
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

/// The audit trail of a shard's remediation log: one subject, one chain of records.
pub fn audit(shard: Shard) -> Subject {
    subject(&[&"audit", &shard])
}

pub fn audits() -> Subject {
    subject(&[&"audit", &">"])
}

/// One record of an incident.
pub fn incident(instance: &InstanceName, id: IncidentId, kind: IncidentRecord) -> Subject {
    subject(&[&"incident", &instance.token(), &id, &kind])
}

/// Everything about every incident.
pub fn incidents() -> Subject {
    subject(&[&"incident", &">"])
}

/// Everything about every incident of one instance.
pub fn incidents_of(instance: &InstanceName) -> Subject {
    subject(&[&"incident", &instance.token(), &">"])
}

/// Everything about one incident, of whichever instance.
pub fn incident_records(id: IncidentId) -> Subject {
    subject(&[&"incident", &"*", &id, &">"])
}

/// The findings of every incident.
pub fn findings() -> Subject {
    subject(&[&"incident", &"*", &"*", &"finding", &"*"])
}

/// What people have acknowledged.
pub fn acknowledgements() -> Subject {
    subject(&[&"incident", &"*", &"*", &"acknowledged"])
}

/// The ends of every incident.
pub fn closures() -> Subject {
    subject(&[&"incident", &"*", &"*", &"closed"])
}

/// The outcomes of every incident's commands.
pub fn outcomes() -> Subject {
    subject(&[&"incident", &"*", &"*", &"outcome", &"*"])
}

/// Dead letters that came from a stream.
pub fn dead(stream: &str) -> Subject {
    subject(&[&"dead", &stream])
}

pub fn dead_letters() -> Subject {
    subject(&[&"dead", &">"])
}

/// The epoch that a takeover's subject names. `None` for anything else.
pub fn parse_owner(subject: &str) -> Option<u64> {
    let (shard, epoch) = subject.strip_prefix("instance.v1.remediation.")?.split_once(".owner.")?;
    shard.parse::<u16>().ok()?;
    epoch.parse().ok()
}

/// What kind of record of an incident a subject names: the part after the incident id. Each is written at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IncidentRecord {
    Opened,
    /// Counted from 1.
    Finding(u32),
    Outcome(CommandId),
    Acknowledged,
    Closed,
}

impl fmt::Display for IncidentRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened => f.write_str("opened"),
            Self::Finding(number) => write!(f, "finding.{number}"),
            Self::Outcome(command) => write!(f, "outcome.{command}"),
            Self::Acknowledged => f.write_str("acknowledged"),
            Self::Closed => f.write_str("closed"),
        }
    }
}

/// A subject of the incident log, taken apart. `None` for anything else.
pub fn parse_incident(subject: &str) -> Option<(IncidentId, IncidentRecord)> {
    let mut tokens = subject.strip_prefix("instance.v1.incident.")?.split('.').skip(1);
    let id = tokens.next()?.parse().ok()?;
    let rest: Vec<&str> = tokens.collect();
    let kind = match rest.as_slice() {
        ["opened"] => IncidentRecord::Opened,
        ["finding", number] => IncidentRecord::Finding(number.parse().ok()?),
        ["outcome", command] => IncidentRecord::Outcome(command.parse().ok()?),
        ["acknowledged"] => IncidentRecord::Acknowledged,
        ["closed"] => IncidentRecord::Closed,
        _ => return None,
    };
    Some((id, kind))
}

/// The instance that a subject of the incident log names. `None` for anything else.
pub fn parse_incident_instance(subject: &str) -> Option<InstanceName> {
    let (token, _) = subject.strip_prefix("instance.v1.incident.")?.split_once('.')?;
    InstanceName::from_token(token)
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

    #[test]
    fn a_subject_of_an_incident_comes_apart_as_it_was_put_together() {
        let id: IncidentId = "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8".parse().unwrap();
        let command: CommandId = "7e1f2a30-0000-5000-8000-0000000000aa".parse().unwrap();
        for kind in [
            IncidentRecord::Opened,
            IncidentRecord::Finding(3),
            IncidentRecord::Outcome(command),
            IncidentRecord::Acknowledged,
            IncidentRecord::Closed,
        ] {
            let subject = incident(&"PROD.1".parse().unwrap(), id, kind);
            assert_eq!(parse_incident(subject.as_str()), Some((id, kind)), "{subject}");
            let named = parse_incident_instance(subject.as_str());
            assert_eq!(named, Some("PROD.1".parse().unwrap()), "{subject}");
        }
        for strange in ["PROD.1", "PROD=2", "PROD=2e1", "PROD=41", "=FF", ""] {
            let subject = format!("instance.v1.incident.{strange}.{id}.opened");
            let named = parse_incident_instance(&subject);
            // A dot ends a token.
            assert_eq!(named, (strange == "PROD.1").then(|| "PROD".parse().unwrap()), "{strange}");
        }
        let nobody = incident(&InstanceName::none(), id, IncidentRecord::Opened);
        assert_eq!(parse_incident_instance(nobody.as_str()), Some(InstanceName::none()));
        assert_eq!(parse_incident(errors().as_str()), None);
    }

    #[test]
    fn a_foreign_reply_cannot_write_into_our_streams() {
        assert!(Subject::foreign("_INBOX.abc.1").is_some());
        for raw in ["instance.v1.command.PROD", "$JS.API.INFO", "a..b", "a b", "a.*", "", ">"] {
            assert_eq!(Subject::foreign(raw), None, "{raw}");
        }
    }
}
