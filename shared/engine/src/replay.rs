//! Folds a remediation's log again and asks the core what it would write: the same inputs must give the same records,
//! byte for byte.

use instance_contract::{Because, Ended, Plan, Token, subject::RecordKind};
use instance_planner::{Rejection, plan};
use jiff::Timestamp;

use crate::{
    decide::{Decision, Situation, decide},
    remediation::{Record, Remediation},
    trace::Ending,
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
    /// The bytes that the core gives for the same inputs; `None` when it would write no such record.
    pub again: Option<Vec<u8>>,
    /// Two owners wrote at the same time, one of them followed by the other without knowing it: what each knew cannot
    /// be told from the log, so it is not compared. The agents' fence is what makes such records harmless.
    pub stale: bool,
}

impl Replayed {
    pub fn is_same(&self) -> bool {
        self.stale || self.again.as_ref() == Some(&self.written)
    }
}

/// Every record that a router wrote for one remediation, in the order of the log. Empty without `accepted`.
pub fn replay(records: &[Logged]) -> Vec<Replayed> {
    let Some((accepted, sequence)) = records.iter().find_map(|(_, _, sequence, record)| match record {
        Record::Accepted(accepted) => Some((accepted, *sequence)),
        _ => None,
    }) else {
        return Vec::new();
    };
    let beginning = Remediation::begin(accepted.clone(), sequence);
    // Nothing that follows the end counts: an owner that had not heard of it yet may have written one thing more.
    let end =
        records.iter().position(|(kind, ..)| *kind == RecordKind::Ended).map_or(records.len(), |end| end + 1);
    let records = &records[..end];
    records
        .iter()
        .filter_map(|logged| {
            let (kind, _, _, record) = logged;
            let (again, because) = match record {
                Record::Accepted(accepted) => {
                    // Without a plan there was nothing to decide.
                    let (facts, made) = (accepted.facts.as_ref()?, accepted.plan.as_ref()?);
                    let again = plan(&accepted.command, facts, &beginning.policy).ok();
                    return Some(planned(kind, made, again.as_ref(), None));
                }
                Record::Planned(record) => {
                    let again = plan(&accepted.command, &record.facts, &beginning.policy).ok();
                    return Some(planned(kind, &record.plan, again.as_ref(), Some(record.because.clone())));
                }
                record => {
                    let because = because_of(record)?.clone();
                    (decided(&beginning, records, logged, &because), because)
                }
            };
            let stale = is_stale(records, logged, &because);
            Some(Replayed {
                kind: kind.clone(),
                because: Some(because),
                written: record.encode(),
                again,
                stale,
            })
        })
        .collect()
}

fn planned(kind: &RecordKind, made: &Plan, again: Option<&Plan>, because: Option<Because>) -> Replayed {
    let bytes = |plan: &Plan| serde_json::to_vec(plan).expect("a plan holds only what JSON can say");
    Replayed { kind: kind.clone(), because, written: bytes(made), again: again.map(bytes), stale: false }
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
    written: &Logged,
    because: &Because,
) -> Option<Vec<u8>> {
    let (kind, _, place, record) = written;
    let known_to =
        records.iter().find(|(kind, ..)| kind.to_string() == because.event).map_or(0, |logged| logged.2);
    let mut remediation = beginning.clone();
    for (kind, at, sequence, record) in records {
        let known = match because_of(record) {
            // Of the same decision: written together, so not known to each other.
            Some(other) => sequence < place && other != because,
            None => *sequence <= known_to,
        };
        if known {
            remediation.fold(kind, *at, *sequence, record.clone());
        }
    }
    let token = match record {
        Record::Step(command) => command.token,
        _ => Token { epoch: because.epoch, counter: 0 },
    };
    let situation = Situation { now: because.now, token, halted: because.halted };
    if let (Record::Ended(ended), None) = (record, &remediation.plan) {
        return unplanned(&remediation, ended, &situation);
    }
    decide(&remediation, &situation).into_iter().find_map(|decision| match decision {
        Decision::Write(other, record) if other == *kind => Some(record.encode()),
        _ => None,
    })
}

/// The end of a command that never had a plan.
fn unplanned(remediation: &Remediation, ended: &Ended, situation: &Situation) -> Option<Vec<u8>> {
    let ending = match &ended.facts {
        Some(facts) => match plan(&remediation.accepted.command, facts, &remediation.policy) {
            Err(Rejection::Refused(faults)) => Ending::unplanned(Some((facts.clone(), faults.to_string()))),
            _ => return None,
        },
        None if situation.now > remediation.accepted.deadline => Ending::unplanned(None),
        None => return None,
    };
    match ending.decision(remediation, situation) {
        Decision::Write(_, record) => Some(record.encode()),
        Decision::WakeAt(_) => None,
    }
}

/// `None` for what agents and people write, and for `accepted`.
fn because_of(record: &Record) -> Option<&Because> {
    match record {
        Record::Planned(record) => Some(&record.because),
        Record::Step(record) => Some(&record.because),
        Record::ApprovalAsked(record) => Some(&record.because),
        Record::Ended(record) => Some(&record.because),
        Record::Accepted(_) | Record::Result(_) | Record::ApprovalAnswered(_) | Record::Illegible(_) => None,
    }
}
