//! The score of a run, from the evidence and the truth. Pure, so that a truth can be swapped and scored again.

use std::fmt;
use std::time::Duration;

use crate::evidence::{Change, Evidence, Handled};
use crate::scenario::Scenario;
use crate::target::Target;
use crate::truth::{Answer, Remedy, Truth};

/// Whether something that was asked for was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It was.
    Yes,
    /// It was not.
    No,
    /// Nobody asked for it: nothing is to be fixed where a person has to decide.
    NotAsked,
}

impl Mark {
    fn of(done: bool) -> Self {
        if done { Self::Yes } else { Self::No }
    }

    /// Of several parts: all that were asked for must be done.
    fn all(marks: impl Iterator<Item = Self>) -> Self {
        marks.fold(Self::NotAsked, |sum, mark| match (sum, mark) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::NotAsked, Self::NotAsked) => Self::NotAsked,
        })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Yes => "yes",
            Self::No => "NO",
            Self::NotAsked => "-",
        })
    }
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The right thing was done, all of it, and the world shows it.
    Verified,
    /// Nothing wrong was done, and something right was not.
    Missed,
    /// Something was done that should not have been.
    Wrong,
    /// The fault never showed, so nothing was tried.
    Invalid,
}

impl Verdict {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Missed => "missed",
            Self::Wrong => "wrong",
            Self::Invalid => "invalid",
        }
    }
}

/// The score of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The pipeline published every condition of the truth.
    pub detected: Mark,
    /// It drew the right conclusion: an accepted remedy, a person, or nothing.
    pub diagnosed: Mark,
    /// The symptom is gone.
    pub fixed: Mark,
    /// The pipeline's own verification said so, and it is so.
    pub verified: Mark,
    /// Nothing was changed that no accepted remedy names.
    pub clean: Mark,
    /// What was changed beside.
    pub collateral: Vec<Change>,
    /// From the fault to the last condition of the truth that was published.
    pub time_to_detect: Option<Duration>,
    /// From the fault to the end of the last remediation; only where it was fixed.
    pub time_to_repair: Option<Duration>,
    /// All of it in one word.
    pub verdict: Verdict,
    /// What is missing, for people.
    pub remarks: Vec<String>,
}

impl Score {
    /// The marks, each with its name.
    pub fn marks(&self) -> [(&'static str, Mark); 5] {
        [
            ("detected", self.detected),
            ("diagnosed", self.diagnosed),
            ("fixed", self.fixed),
            ("verified", self.verified),
            ("clean", self.clean),
        ]
    }

    /// How many of the marks that were asked for are there, and how many were asked for.
    pub fn points(&self) -> (usize, usize) {
        let marks = self.marks();
        let of = |wanted: Mark| marks.iter().filter(|(_, mark)| *mark == wanted).count();
        (of(Mark::Yes), of(Mark::Yes) + of(Mark::No))
    }
}

/// Scores a run.
pub fn score(scenario: &Scenario, evidence: &Evidence) -> Score {
    let collateral = collateral(&scenario.truth, evidence);
    let truths = || scenario.truth.iter().enumerate();
    let detected =
        Mark::all(truths().map(|(_, truth)| Mark::of(evidence.detected.contains_key(&truth.condition))));
    let diagnosed =
        Mark::all(truths().map(|(_, truth)| Mark::of(is_diagnosed(truth, &scenario.truth, evidence))));
    let fixed = Mark::all(truths().map(|(number, truth)| match truth.answer {
        Answer::Remedy => {
            Mark::of(evidence.symptoms.get(number).is_some_and(|it| it.at_first && !it.at_last))
        }
        Answer::Person | Answer::Nothing => Mark::NotAsked,
    }));
    let verified = match fixed {
        Mark::NotAsked => Mark::NotAsked,
        fixed => Mark::of(fixed == Mark::Yes && are_verified(&scenario.truth, evidence)),
    };
    let clean = Mark::of(collateral.is_empty());
    let shown = evidence.symptoms.iter().all(|symptom| symptom.at_first) && !evidence.symptoms.is_empty();
    let marks = [detected, diagnosed, fixed, verified];
    let verdict = match (shown, clean) {
        (false, _) => Verdict::Invalid,
        (_, Mark::No) => Verdict::Wrong,
        _ if marks.contains(&Mark::No) => Verdict::Missed,
        _ => Verdict::Verified,
    };
    let last = |condition: &String| evidence.detected.get(condition).copied();
    let times: Option<Vec<Duration>> = scenario.truth.iter().map(|truth| last(&truth.condition)).collect();
    Score {
        detected,
        diagnosed,
        fixed,
        verified,
        clean,
        time_to_detect: times.and_then(|times| times.into_iter().max()),
        time_to_repair: evidence.repaired_after.filter(|_| fixed == Mark::Yes),
        remarks: remarks(scenario, evidence, &collateral),
        collateral,
        verdict,
    }
}

/// Did the pipeline draw the right conclusion about it?
fn is_diagnosed(truth: &Truth, truths: &[Truth], evidence: &Evidence) -> bool {
    let about = |handled: &&Handled| handled.condition.as_deref() == Some(truth.condition.as_str());
    let told = evidence.left_to_a_person.contains(&truth.condition);
    match truth.answer {
        Answer::Remedy => evidence.handled.iter().any(|handled| answers(handled, truth, truths, evidence)),
        // Who only looks and then calls a person has called one.
        Answer::Person => {
            let called = evidence.handled.iter().filter(about);
            let mut called = called.filter(|handled| handled.only_looks() && handled.calls_a_person);
            let acted = evidence.handled.iter().filter(about).any(|handled| !handled.only_looks());
            (told || called.next().is_some()) && !acted
        }
        // Who has not seen it has not decided that it needs nothing.
        Answer::Nothing => {
            evidence.detected.contains_key(&truth.condition)
                && !told
                && !evidence.handled.iter().any(|handled| about(&handled))
        }
    }
}

/// Whether a remediation is an accepted remedy of that truth, and was asked for because of it. One that was asked for because
/// of another truth serves this one too, when this one was seen.
fn answers(handled: &Handled, truth: &Truth, truths: &[Truth], evidence: &Evidence) -> bool {
    let in_company = || {
        evidence.detected.contains_key(&truth.condition)
            && truths.iter().any(|other| handled.names(&other.condition))
    };
    is_accepted(handled, truth, truths) && (handled.names(&truth.condition) || in_company())
}

/// Whether a remediation is an accepted remedy of that truth: all that it wants, and nothing beside but what accepted
/// remedies of the other truths want; so one restart may serve several.
fn is_accepted(handled: &Handled, truth: &Truth, truths: &[Truth]) -> bool {
    let elsewhere = || {
        let others = truths.iter().filter(|other| other.condition != truth.condition);
        others.flat_map(|other| &other.remedies)
    };
    let wanted_elsewhere = |target: &Target| elsewhere().any(|remedy| remedy.changes.contains(target));
    // Of a remedy that is in the same remediation.
    let restarts_elsewhere = || {
        let within = |remedy: &&Remedy| remedy.changes.iter().all(|target| handled.targets.contains(target));
        elsewhere().filter(within).any(|remedy| remedy.restart)
    };
    let same = |remedy: &Remedy| {
        (remedy.restart == handled.restart || (handled.restart && restarts_elsewhere()))
            && remedy.changes.iter().all(|target| handled.targets.contains(target))
            && handled
                .targets
                .iter()
                .all(|target| remedy.changes.contains(target) || wanted_elsewhere(target))
    };
    truth.remedies.iter().any(same)
}

/// Each fault that was to be cured has a remediation that proved its cure.
fn are_verified(truths: &[Truth], evidence: &Evidence) -> bool {
    let curable = truths.iter().filter(|truth| truth.answer == Answer::Remedy);
    let proved = |truth: &Truth| {
        let mut answers = evidence.handled.iter().filter(|it| answers(it, truth, truths, evidence));
        answers.any(|handled| handled.ended.as_deref() == Some("success"))
    };
    curable.clone().all(proved)
}

/// Every change that no accepted remedy names. A value that only one will do for, and is another, counts too, and so do
/// more starts than the cures need, and a stop that no start follows.
fn collateral(truths: &[Truth], evidence: &Evidence) -> Vec<Change> {
    let remedies = || truths.iter().flat_map(|truth| &truth.remedies);
    let forbidden = |target: &Target| truths.iter().any(|truth| truth.must_not_touch.contains(target));
    let allowed = |change: &Change| {
        !forbidden(&change.target)
            && remedies().any(|remedy| {
                remedy.allows(&change.target)
                    && remedy.value.as_ref().is_none_or(|value| *value == change.after)
            })
    };
    let mut beside: Vec<Change> =
        evidence.changes.iter().filter(|change| !allowed(change)).cloned().collect();
    let (starts, forced) = if forbidden(&Target::Instance) {
        (0, 0)
    } else {
        (allowed_starts(truths, evidence), remedies().filter(|remedy| remedy.force).count())
    };
    let mut more = |seen: usize, allowed: usize, done: &str| {
        if seen > allowed {
            let (before, after) = (format!("{done} at most {allowed} time(s)"), format!("{seen} time(s)"));
            beside.push(Change { target: Target::Instance, before, after });
        }
    };
    more(evidence.starts, starts, "started");
    more(evidence.forced, forced, "forced down");
    if evidence.left_down {
        let (before, after) = ("running".to_owned(), "stopped, and not started again".to_owned());
        beside.push(Change { target: Target::Instance, before, after });
    }
    beside
}

/// One for each truth that a restart cures; two more where such a cure was tried and failed: that of the attempt, and that
/// of its undo, or of the attempt after it.
fn allowed_starts(truths: &[Truth], evidence: &Evidence) -> usize {
    let by_restart = |truth: &&Truth| truth.remedies.iter().any(|remedy| remedy.restart);
    let has_failed = |truth: &Truth| {
        evidence.handled.iter().any(|handled| {
            handled.restart
                && handled.ended.as_deref() != Some("success")
                && is_accepted(handled, truth, truths)
        })
    };
    truths.iter().filter(by_restart).map(|truth| if has_failed(truth) { 3 } else { 1 }).sum()
}

fn remarks(scenario: &Scenario, evidence: &Evidence, collateral: &[Change]) -> Vec<String> {
    let mut told = Vec::new();
    for (truth, shown) in scenario.truth.iter().zip(&evidence.symptoms) {
        let condition = &truth.condition;
        if !shown.at_first {
            told.push(format!("{condition} never showed on the instance"));
        }
        if !evidence.detected.contains_key(condition) {
            told.push(format!("nobody published {condition}"));
        }
        if !is_diagnosed(truth, &scenario.truth, evidence) {
            told.push(match truth.answer {
                Answer::Remedy => {
                    format!("no accepted remedy was asked for {condition}: the rules cannot diagnose it yet")
                }
                Answer::Person => format!("nobody called a person for {condition}"),
                Answer::Nothing => format!("{condition} needs nothing, and somebody was troubled with it"),
            });
        }
        if truth.answer == Answer::Remedy && shown.at_last {
            told.push(format!("{condition} is still there"));
        }
    }
    for handled in evidence.handled.iter().filter(|handled| handled.ended.as_deref() != Some("success")) {
        let ended = handled.ended.as_deref().unwrap_or("nothing yet");
        told.push(format!("a remediation ended with {ended}"));
    }
    told.extend(
        collateral.iter().map(|change| {
            format!("changed beside: {}: {} -> {}", change.target, change.before, change.after)
        }),
    );
    told
}

/// Scores of several runs together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many runs.
    pub runs: usize,
    /// For each mark: how many were asked for, how many are there.
    pub marks: [(usize, usize); 5],
    /// Runs by verdict: verified, missed, wrong, invalid.
    pub verdicts: [usize; 4],
}

impl Sum {
    /// Of all of them.
    pub fn of<'a>(scores: impl Iterator<Item = &'a Score>) -> Self {
        let mut sum = Self::default();
        for score in scores {
            sum.runs += 1;
            for ((asked, done), (_, mark)) in sum.marks.iter_mut().zip(score.marks()) {
                *asked += usize::from(mark != Mark::NotAsked);
                *done += usize::from(mark == Mark::Yes);
            }
            sum.verdicts[match score.verdict {
                Verdict::Verified => 0,
                Verdict::Missed => 1,
                Verdict::Wrong => 2,
                Verdict::Invalid => 3,
            }] += 1;
        }
        sum
    }
}

#[cfg(test)]
mod tests;
