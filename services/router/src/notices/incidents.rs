//! What was decided about incidents, in the words of a notice: by the analyst, by the gateway, by people.

use instance_bus::LogMessage;
use instance_contract::{
    CloseReason, Decision, Digest, Finding, FindingSource, IncidentAcknowledged, IncidentClosed, IncidentId,
    InstanceName, Notice, NoticeKind,
    subject::{self, IncidentRecord, Subject},
};

/// The records that say what was decided. What opened an incident and what came of a command is told elsewhere.
pub(super) fn filters() -> [Subject; 3] {
    [subject::findings(), subject::acknowledgements(), subject::closures()]
}

/// What such a record says. Whoever may write there may have written anything.
pub(super) fn notice(message: &LogMessage) -> Notice {
    let read = match subject::parse_incident(&message.subject) {
        Some((id, IncidentRecord::Finding(number))) => message.json().map(|it| found(id, number, &it)),
        Some((id, IncidentRecord::Acknowledged)) => message.json().map(|it| acknowledged(id, it)),
        Some((id, IncidentRecord::Closed)) => message.json().map(|it| closed(id, &it)),
        _ => return unreadable(message, "its subject is not one of an incident".to_owned()),
    };
    let notice = match read {
        Ok(notice) => notice,
        Err(error) => return unreadable(message, instance_chassis::error_chain(&error)),
    };
    let digest = Some(Digest::of(&message.payload));
    let instance = subject::parse_incident_instance(&message.subject);
    Notice { digest, instance: instance.filter(|it| *it != InstanceName::none()), ..notice }
}

fn found(id: IncidentId, number: u32, finding: &Finding) -> Notice {
    let trouble = finding.condition.as_ref().map_or("unknown trouble", |id| id.as_str());
    let (decided, why) = match &finding.decision {
        Decision::Remediation { command_id, runbook, .. } => {
            (format!("command {command_id} by runbook {runbook}"), String::new())
        }
        Decision::Person { why, .. } => ("calls a person".to_owned(), why.clone()),
        Decision::Nothing { why } => ("nothing has to be done".to_owned(), why.clone()),
        Decision::Wait { why } => ("waits".to_owned(), why.clone()),
    };
    let reasons = [&why].into_iter().chain(&finding.reasons).filter(|reason| !reason.is_empty());
    let reasons: Vec<&str> = reasons.map(String::as_str).collect();
    let who = match finding.source {
        FindingSource::Rules => "analyst, by rules",
        FindingSource::Model => "analyst, by a model's choice",
        FindingSource::Alert => "gateway, by an alert",
    };
    let what = format!(
        "incident {id}, finding {number}, {trouble}, {} % sure, {} entries: {decided}",
        finding.confidence, finding.evidence_total
    );
    let notice = super::notice(NoticeKind::Found, finding.found_at, who.to_owned(), what, reasons.join("; "));
    Notice { trace_id: Some(finding.trace_id.clone()), ..notice }
}

fn acknowledged(id: IncidentId, record: IncidentAcknowledged) -> Notice {
    let why = record.note.unwrap_or_else(|| "no reason given".to_owned());
    let again = if record.try_again { ", and allows what failed to be tried again" } else { "" };
    let what = format!("incident {id}: has it in hand{again}");
    let notice = super::notice(NoticeKind::Acknowledged, record.at, record.by, what, why);
    Notice { trace_id: Some(record.trace_id), ..notice }
}

fn closed(id: IncidentId, record: &IncidentClosed) -> Notice {
    let why = match record.why {
        CloseReason::Verified => "its remediation ended with its verification held",
        CloseReason::Quiet => "nothing more was heard of it",
        CloseReason::Acknowledged => "a person has taken it over",
        CloseReason::Superseded => "another incident explains it, or had to make room",
    };
    let what = format!("incident {id}: closes it, after {} entries", record.entries);
    let who = "analyst".to_owned();
    let notice = super::notice(NoticeKind::Closed, record.closed_at, who, what, why.to_owned());
    Notice { trace_id: Some(record.trace_id.clone()), ..notice }
}

fn unreadable(message: &LogMessage, why: String) -> Notice {
    let what = format!("{} holds something else", message.subject);
    let who = "somebody on the bus".to_owned();
    let notice = super::notice(NoticeKind::Found, message.published_at, who, what, why);
    Notice { digest: Some(Digest::of(&message.payload)), ..notice }
}
