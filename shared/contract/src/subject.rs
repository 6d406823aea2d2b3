//! Every NATS subject, built from typed ids. No string with a dot in it appears anywhere else.

mod incident_log;
mod remediation_log;

use std::fmt;

use crate::{
    ask::AskKind,
    ids::{HostName, InstanceName, Shard},
    words::{AgentKind, Severity},
};

pub use self::{
    incident_log::{
        IncidentRecord, acknowledgements, closures, findings, incident, incident_records, incidents,
        incidents_of, outcomes, parse_incident, parse_incident_instance,
    },
    remediation_log::{
        RecordKind, notice, notices, owner, owners, parse_notice, parse_owner, parse_record, record,
        records_of, remediation, remediation_of, shard_log, step, steps_for, steps_of,
    },
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

/// The audit trail of a shard's remediation log: one subject, one chain of records.
pub fn audit(shard: Shard) -> Subject {
    subject(&[&"audit", &shard])
}

pub fn audits() -> Subject {
    subject(&[&"audit", &">"])
}

/// Dead letters that came from a stream.
pub fn dead(stream: &str) -> Subject {
    subject(&[&"dead", &stream])
}

pub fn dead_letters() -> Subject {
    subject(&[&"dead", &">"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_reply_cannot_write_into_our_streams() {
        assert!(Subject::foreign("_INBOX.abc.1").is_some());
        for raw in ["instance.v1.command.PROD", "$JS.API.INFO", "a..b", "a b", "a.*", "", ">"] {
            assert_eq!(Subject::foreign(raw), None, "{raw}");
        }
    }
}
