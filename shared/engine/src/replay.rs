//! Folds a remediation's log again and asks the core what it would write: the same inputs must give the same records,
//! byte for byte.

use std::collections::BTreeMap;

use instance_contract::{
    Accepted, ApprovalAnswered, Because, Digest, Ended, OverallStatus, Token, Verdict, subject::RecordKind,
};
use instance_planner::{Rejection, plan};
use jiff::Timestamp;

use crate::{
    core::planned_on,
    decide::{Decision, Situation, decide, too_soon},
    intake::Arrival,
    remediation::{Record, Remediation},
    trace::{Ending, Unplanned},
};

/// A record of the log, with its time and its place.
pub type Logged = (RecordKind, Timestamp, u64, Record);

/// One record that a router wrote, and what the core writes today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    pub kind: RecordKind,
    pub because: Option<Because>,
    /// The bytes of the log.
    pub written: Vec<u8>,
    pub again: Again,
}

/// What the core gives for the same inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// The same bytes.
    Same,
    /// Other bytes; `None` when it would write no such record.
    Different(Option<Vec<u8>>),
    /// Nobody can tell, because the log does not hold what the router knew.
    NotCompared(&'static str),
}

/// Two owners wrote at the same time. The agents' fence is what makes such records harmless.
const FOLLOWED: &str = "its writer had been followed by another owner, and what each knew is not in the log";
/// A refusal at intake comes before anything is accepted, so neither policy nor facts stand beside it.
const AT_INTAKE: &str = "refused at intake, and the policy and the facts of that moment are not in the log";

impl Replayed {
    pub fn is_same(&self) -> bool {
        self.again == Again::Same
    }

    pub const fn is_compared(&self) -> bool {
        !matches!(self.again, Again::NotCompared(_))
    }

    pub const fn differs(&self) -> bool {
        matches!(self.again, Again::Different(_))
    }

    fn compared(
        kind: &RecordKind,
        because: Option<&Because>,
        written: &Record,
        again: Option<&Record>,
    ) -> Self {
        let (written, again) = (written.encode(), again.map(Record::encode));
        let again = if again.as_ref() == Some(&written) { Again::Same } else { Again::Different(again) };
        Self { kind: kind.clone(), because: because.cloned(), written, again }
    }

    fn not_compared(kind: &RecordKind, because: &Because, written: &Record, why: &'static str) -> Self {
        let again = Again::NotCompared(why);
        Self { kind: kind.clone(), because: Some(because.clone()), written: written.encode(), again }
    }
}

/// Every record that a router wrote for one remediation, in the order of the log.
pub fn replay(records: &[Logged]) -> Vec<Replayed> {
    let Some((accepted, sequence)) = records.iter().find_map(|(_, _, sequence, record)| match record {
        Record::Accepted(accepted) => Some((accepted, *sequence)),
        _ => None,
    }) else {
        return records.iter().filter_map(not_accepted).collect();
    };
    let beginning = Remediation::begin(accepted.clone(), sequence);
    // Nothing that follows the end counts: an owner that had not heard of it yet may have written one thing more.
    let end =
        records.iter().position(|(kind, ..)| *kind == RecordKind::Ended).map_or(records.len(), |end| end + 1);
    let records = &records[..end];
    records
        .iter()
        .filter_map(|logged| {
            let (kind, _, _, written) = logged;
            match written {
                Record::Accepted(_) => {
                    let again = accepted_again(&beginning).map(Record::Accepted);
                    Some(Replayed::compared(kind, None, written, again.as_ref()))
                }
                Record::ApprovalAnswered(says) if is_expiry(says) => {
                    let again = expired_again(&beginning, records, logged, says.at);
                    Some(Replayed::compared(kind, None, written, again.as_ref()))
                }
                _ => {
                    let because = because_of(written)?;
                    if is_stale(records, logged, because) && *kind != RecordKind::Planned {
                        return Some(Replayed::not_compared(kind, because, written, FOLLOWED));
                    }
                    let again = decided(&beginning, records, logged, because);
                    Some(Replayed::compared(kind, Some(because), written, again.as_ref()))
                }
            }
        })
        .collect()
}

/// The end of a command that was never accepted. That it was too old follows from the command alone.
fn not_accepted((kind, _, _, written): &Logged) -> Option<Replayed> {
    let Record::Ended(ended) = written else { return None };
    let because = &ended.because;
    let command = ended.trace.command_received.clone();
    let Some(command) = command.filter(|_| ended.trace.overall_status == OverallStatus::Expired) else {
        return Some(Replayed::not_compared(kind, because, written, AT_INTAKE));
    };
    let digest = Digest::of(b"not asked for");
    let arrival = Arrival { command, digest, traceparent: None, hosts: BTreeMap::new(), earlier: None };
    let again = arrival.too_old(because.now).map(Record::Ended);
    Some(Replayed::compared(kind, Some(because), written, again.as_ref()))
}

/// The command, the digest of its bytes, the facts, the policy and the time are what it was made from.
fn accepted_again(beginning: &Remediation) -> Option<Accepted> {
    let written = &beginning.accepted;
    let made = match (&written.plan, &written.facts) {
        // There was nothing to decide: its turn had not come, or the agents were silent.
        (None, None) => None,
        (Some(_), Some(facts)) => {
            Some((plan(&written.command, facts, &beginning.policy).ok()?, facts.clone()))
        }
        _ => return None,
    };
    let arrival = Arrival {
        command: written.command.clone(),
        digest: written.command_digest.clone(),
        traceparent: written.traceparent.clone(),
        hosts: BTreeMap::new(),
        earlier: None,
    };
    Some(arrival.accepted(written.accepted_at, (&beginning.policy, &written.policy), made))
}

/// Not a person's answer, but the router's own: nobody answered in time.
fn is_expiry(says: &ApprovalAnswered) -> bool {
    says.verdict == Verdict::Expired && says.by == ApprovalAnswered::ROUTER
}

fn expired_again(
    beginning: &Remediation,
    records: &[Logged],
    (kind, _, place, _): &Logged,
    now: Timestamp,
) -> Option<Record> {
    let mut remediation = beginning.clone();
    for (kind, at, sequence, record) in records.iter().filter(|(_, _, sequence, _)| sequence < place) {
        remediation.fold(kind, *at, *sequence, record.clone());
    }
    let situation = Situation { now, token: Token { epoch: 0, counter: 0 }, halted: false };
    decision(&remediation, kind, &situation)
}

fn decision(remediation: &Remediation, kind: &RecordKind, situation: &Situation) -> Option<Record> {
    decide(remediation, situation).into_iter().find_map(|decision| match decision {
        Decision::Write(other, record) if other == *kind => Some(*record),
        _ => None,
    })
}

/// Did two owners write at the same time? Then a later owner wrote before this one did, or a former one wrote after
/// this one had taken over (epochs are Unix milliseconds of the takeover).
fn is_stale(records: &[Logged], written: &Logged, because: &Because) -> bool {
    records.iter().filter(|(_, _, sequence, _)| *sequence < written.2).any(|(_, at, _, record)| {
        let other = because_of(record).map(|other| other.epoch);
        let taken_over = i64::try_from(because.epoch).unwrap_or(i64::MAX);
        other.is_some_and(|other| {
            other > because.epoch || (other < because.epoch && at.as_millisecond() >= taken_over)
        })
    })
}

/// What a router knew when it wrote: its own records before, and the others' up to the one that it names.
fn decided(
    beginning: &Remediation,
    records: &[Logged],
    (kind, _, place, written): &Logged,
    because: &Because,
) -> Option<Record> {
    let known_to =
        records.iter().find(|(kind, ..)| kind.to_string() == because.event).map_or(0, |logged| logged.2);
    let mut remediation = beginning.clone();
    for (kind, at, sequence, record) in records {
        let known = match because_of(record) {
            // Steps of the same decision are written together, so they are not known to each other.
            Some(other) => sequence < place && (other != because || !matches!(kind, RecordKind::Step { .. })),
            None => *sequence <= known_to,
        };
        if known {
            remediation.fold(kind, *at, *sequence, record.clone());
        }
    }
    let token = match written {
        Record::Step(command) => command.token,
        _ => Token { epoch: because.epoch, counter: 0 },
    };
    let situation = Situation { now: because.now, token, halted: because.halted };
    match written {
        Record::Planned(planned) => {
            planned_on(&remediation, &planned.facts, &situation).ok().map(Record::Planned)
        }
        Record::Ended(ended) if remediation.plan.is_none() => unplanned(&remediation, ended, &situation),
        Record::Ended(Ended { facts: Some(facts), .. }) => {
            match too_soon(&remediation, facts.clone())?.decision(&remediation, &situation) {
                Decision::Write(_, record) => Some(*record),
                Decision::WakeAt(_) => None,
            }
        }
        _ => decision(&remediation, kind, &situation),
    }
}

/// The end of a command that never had a plan.
fn unplanned(remediation: &Remediation, written: &Ended, situation: &Situation) -> Option<Record> {
    let again = |why: Unplanned| match Ending::unplanned(why).decision(remediation, situation) {
        Decision::Write(_, record) => Some(*record),
        Decision::WakeAt(_) => None,
    };
    match &written.facts {
        Some(facts) => match plan(&remediation.accepted.command, facts, &remediation.policy) {
            Err(Rejection::Refused(faults)) => again(Unplanned::Refused(facts.clone(), faults.to_string())),
            _ => None,
        },
        None if situation.now > remediation.accepted.deadline => {
            // Questions leave no trace in the log: whether any was asked is taken from what is said.
            let silence = again(Unplanned::Silence);
            let is_said = silence == Some(Record::Ended(written.clone()));
            if is_said { silence } else { again(Unplanned::NoTurn) }
        }
        None => None,
    }
}

/// `None` for what agents and people write, for `accepted`, and for the router's own answer when nobody gave one.
fn because_of(record: &Record) -> Option<&Because> {
    match record {
        Record::Planned(record) => Some(&record.because),
        Record::Step(record) => Some(&record.because),
        Record::ApprovalAsked(record) => Some(&record.because),
        Record::Ended(record) => Some(&record.because),
        Record::Accepted(_) | Record::Result(_) | Record::ApprovalAnswered(_) | Record::Illegible(_) => None,
    }
}
