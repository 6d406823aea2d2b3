//! Subjects of the incident log: each record of an incident, written at most once.

use std::fmt;

use super::{Subject, subject};
use crate::ids::{CommandId, IncidentId, InstanceName};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::errors;

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
}
