//! What was learnt: how often an answer helped, by condition, runbook and instance.

use std::collections::BTreeMap;

use instance_contract::{IncidentOutcome, InstanceName, OverallStatus};
use jiff::{SignedDuration, Timestamp};

use crate::answer;

/// The fold of outcomes. Kept over restarts because the outcomes are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learning(BTreeMap<(String, String, InstanceName), Learned>);

/// How it went with one runbook for one condition on one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learned {
    pub successes: u32,
    pub failures: u32,
    /// Failures since the last success, since somebody else had the same done, and well, and since a person allowed more.
    pub failures_in_a_row: u32,
    /// When those were, the newest last; as many as matter.
    pub failed_at: Vec<Timestamp>,
    /// When it helped, the newest last; as many as matter for flapping.
    pub helped_at: Vec<Timestamp>,
    pub last_failure: Option<String>,
}

/// More than this many times of success are never asked for.
const KEPT: usize = 16;
const A_DAY: SignedDuration = SignedDuration::from_hours(24);

impl Learning {
    /// From this many failures in a row on, only a person may try again.
    pub const PATIENCE: u32 = 2;

    /// Takes one outcome. What was refused or expired was never tried, so it tells nothing. Of runbooks that acted together
    /// (`a+b`) each has helped or failed.
    pub fn learn(&mut self, outcome: &IncidentOutcome) {
        let condition = outcome.condition.as_ref().map_or_else(String::new, |id| id.as_str().to_owned());
        for runbook in outcome.runbook.split('+') {
            let key = (condition.clone(), runbook.to_owned(), outcome.instance.clone());
            match outcome.overall_status {
                OverallStatus::Success => self.0.entry(key).or_default().helped(outcome),
                OverallStatus::Undone | OverallStatus::Failure | OverallStatus::Partial => {
                    self.0.entry(key).or_default().failed(outcome);
                }
                OverallStatus::DryRun | OverallStatus::Refused | OverallStatus::Expired => {}
            }
        }
    }

    /// Somebody else had the same done on that instance, and it ended well: what failed before may be tried again. What an
    /// answer has to act on must be among these targets. May be told more than once, and late.
    pub(crate) fn learn_from_others(&mut self, instance: &InstanceName, targets: &[String], at: Timestamp) {
        for ((_, runbook, of), learned) in &mut self.0 {
            let acts_on = answer::acts_on(runbook);
            let same = !acts_on.is_empty() && acts_on.iter().all(|target| targets.contains(target));
            if of == instance && same {
                learned.failed_until(at);
            }
        }
    }

    /// A person lets what failed (or helped too often) for that condition be tried again, from that time on. May be told more than
    /// once, and late.
    pub fn allow(&mut self, condition: &str, instance: &InstanceName, at: Timestamp) {
        for ((of, _, on), learned) in &mut self.0 {
            if of == condition && on == instance {
                learned.forget_until(at);
            }
        }
    }

    /// What is known of one answer.
    pub fn of(&self, condition: &str, runbook: &str, instance: &InstanceName) -> Option<&Learned> {
        self.0.get(&(condition.to_owned(), runbook.to_owned(), instance.clone()))
    }

    /// All that is known: condition, runbook, instance, and how it went.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &InstanceName, &Learned)> {
        self.0.iter().map(|((condition, runbook, instance), learned)| {
            (condition.as_str(), runbook.as_str(), instance, learned)
        })
    }

    /// Why this answer is not for us to try again; `None`: it is.
    pub(crate) fn reason_not_to_try(
        &self,
        condition: &str,
        runbook: &str,
        instance: &InstanceName,
        now: Timestamp,
        flapping: usize,
    ) -> Option<String> {
        let learned = self.of(condition, runbook, instance)?;
        if learned.failures_in_a_row >= Self::PATIENCE {
            let why = learned.last_failure.as_deref().unwrap_or("no reason was told");
            return Some(format!(
                "\"{runbook}\" failed {} times in a row on this instance, last: {why}",
                learned.failures_in_a_row
            ));
        }
        let lately = learned.helped_at.iter().filter(|at| **at + A_DAY > now).count();
        (lately >= flapping).then(|| {
            format!(
                "\"{runbook}\" helped {lately} times within a day and it came back: the cause is another one"
            )
        })
    }
}

impl Learned {
    /// The failures up to that time count no more.
    fn failed_until(&mut self, at: Timestamp) {
        self.failed_at.retain(|failed_at| *failed_at > at);
        self.failures_in_a_row = u32::try_from(self.failed_at.len()).unwrap_or(u32::MAX);
    }

    /// Neither failures nor how often it helped up to that time keep it from being tried.
    fn forget_until(&mut self, at: Timestamp) {
        self.failed_until(at);
        self.helped_at.retain(|helped_at| *helped_at > at);
    }

    fn helped(&mut self, outcome: &IncidentOutcome) {
        self.successes += 1;
        self.failures_in_a_row = 0;
        self.failed_at.clear();
        self.helped_at.push(outcome.ended_at);
        if self.helped_at.len() > KEPT {
            self.helped_at.remove(0);
        }
    }

    fn failed(&mut self, outcome: &IncidentOutcome) {
        self.failures += 1;
        self.failures_in_a_row += 1;
        self.failed_at.push(outcome.ended_at);
        if self.failed_at.len() > KEPT {
            self.failed_at.remove(0);
        }
        self.last_failure.clone_from(&outcome.reason);
    }
}
