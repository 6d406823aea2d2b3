//! The table of faults, and whether it is a proof.

use std::{collections::BTreeMap, fmt, time::Duration};

use anyhow::Result;

use crate::{
    options::{Dose, Part},
    verdict::Verdict,
};

/// What was done in a part, and what came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Faults that were injected, by their kind; a kind that was never injected stands there with none.
    pub injected: BTreeMap<&'static str, usize>,
    /// Acknowledgements that the broker was given more than once.
    pub replayed: usize,
    /// Sendings of a command that the broker did not acknowledge.
    pub unacknowledged: usize,
    /// Services that ended without being killed.
    pub own_exits: usize,
    /// What was measured besides, in words.
    pub notes: Vec<String>,
    pub verdict: Verdict,
    /// Everything that is wrong.
    pub faults: Vec<String>,
}

impl Outcome {
    pub fn count(&mut self, kind: &'static str, times: usize) {
        *self.injected.entry(kind).or_default() += times;
    }
}

#[derive(Default)]
pub struct Report {
    lines: Vec<String>,
    parts: usize,
    faults: usize,
}

impl Report {
    /// Keeps what came of a part; everything that was wrong with it.
    pub fn add(&mut self, part: Part, dose: Dose, took: Duration, outcome: Result<Outcome>) -> Vec<String> {
        self.parts += 1;
        let faults = match outcome {
            Ok(mut outcome) => {
                let none = outcome.injected.iter().filter(|(_, count)| **count == 0);
                let none: Vec<String> = none.map(|(kind, _)| format!("never injected: {kind}")).collect();
                outcome.faults.extend(none);
                outcome.faults.append(&mut outcome.verdict.faults);
                self.tell(part, took, &outcome);
                outcome.faults
            }
            Err(error) => {
                self.lines.push(format!("{part:10} {dose}: broke off"));
                vec![format!("{error:#}")]
            }
        };
        self.faults += faults.len();
        faults
    }

    fn tell(&mut self, part: Part, took: Duration, outcome: &Outcome) {
        let verdict = &outcome.verdict;
        for (kind, count) in &outcome.injected {
            self.lines.push(format!("{part:10} {count:5}  {kind}"));
        }
        let ends: Vec<String> = verdict.ends.iter().map(|(end, count)| format!("{count} {end}")).collect();
        self.lines.push(format!(
            "{part:10} {:5}  plans ({}); lost {}, double {}; acks replayed {}, sendings not acknowledged {}, services \
             that ended by themselves {}",
            verdict.plans,
            ends.join(", "),
            verdict.lost,
            verdict.double,
            outcome.replayed,
            outcome.unacknowledged,
            outcome.own_exits,
        ));
        let (longest, whose) = verdict.longest;
        let (longest, last) = (longest.as_secs_f64(), verdict.since_last_fault.as_secs_f64());
        let whose = whose.map(|id| id.to_string()).unwrap_or_default();
        self.lines.push(format!(
            "{part:10}        longest plan {longest:.1} s ({whose}); last end {last:.1} s after the last fault; {:.0} s in all",
            took.as_secs_f64()
        ));
        self.lines.extend(outcome.notes.iter().map(|note| format!("{part:10}        {note}")));
    }

    pub const fn is_proven(&self) -> bool {
        self.parts > 0 && self.faults == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "part       count  what")?;
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        write!(f, "{} parts, {} failures", self.parts, self.faults)
    }
}
