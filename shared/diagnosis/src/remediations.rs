//! What is done to instances, whoever asked for it: from the remediation log.

use std::collections::BTreeMap;

use instance_contract::{
    Accepted, Action, InstanceName, OverallStatus, RemediationCommand, RemediationId, StepStatus, Tool,
    ToolResult, WorkflowTrace,
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    answer::{REQUESTED_BY, targets},
    incident::Incident,
};

/// Remediations that are kept; the oldest ended ones make room.
const KEPT: usize = 4096;
const DAY: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Default)]
pub(crate) struct Remediations(BTreeMap<RemediationId, Known>);

#[derive(Debug)]
struct Known {
    instance: InstanceName,
    targets: Vec<String>,
    /// Did the analyst ask for it?
    is_ours: bool,
    effect: Effect,
    /// Was a step of it sent to its agent? One that waits for a person or its turn does nothing yet.
    has_begun: bool,
    ended: Option<(Timestamp, OverallStatus)>,
    /// Was the instance restarted in it?
    restarted: bool,
}

/// What a remediation does to its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    /// It only looks.
    Nothing,
    /// It changes something that the log of the instance says nothing of.
    Quiet,
    /// The log tells of it.
    Loud,
}

impl Remediations {
    pub(crate) fn accepted(&mut self, accepted: &Accepted) {
        if !accepted.command.dry_run {
            self.0.entry(accepted.remediation_id).or_insert_with(|| Known::of(&accepted.command));
        }
        self.make_room();
    }

    pub(crate) fn ended(&mut self, trace: &WorkflowTrace) {
        let Some(command) = trace.command_received.as_ref().filter(|command| !command.dry_run) else {
            return;
        };
        let known = self.0.entry(trace.remediation_id).or_insert_with(|| Known::of(command));
        known.ended = Some((ended_at(trace), trace.overall_status));
        // The trace knows better what was done than who saw it being sent.
        known.has_begun = trace.steps_executed.iter().any(|step| is_executed(step.status));
        // As the router counts them: one that failed has changed nothing.
        let restarts = |step: &ToolResult| {
            step.tool_name == Tool::IrisRestart.as_str()
                && matches!(step.status, StepStatus::Success | StepStatus::Undone | StepStatus::Partial)
        };
        known.restarted = trace.steps_executed.iter().any(restarts);
        self.make_room();
    }

    /// When the instance was restarted by one of them, within a day.
    pub(crate) fn restarts(&self, instance: &InstanceName, now: Timestamp) -> Vec<Timestamp> {
        let of_it = self.0.values().filter(|known| known.restarted && &known.instance == instance);
        let at = of_it.filter_map(|known| known.ended.map(|(at, _)| at));
        at.filter(|at| now.duration_since(*at) < DAY).collect()
    }

    /// A step of it was sent.
    pub(crate) fn stepped(&mut self, id: RemediationId) {
        if let Some(known) = self.0.get_mut(&id).filter(|known| known.ended.is_none()) {
            known.has_begun = true;
        }
    }

    /// Was a step of it sent? What only waits for a person or its turn has done nothing that a log could tell of.
    pub(crate) fn has_begun(&self, id: RemediationId) -> bool {
        self.0.get(&id).is_some_and(|known| known.has_begun)
    }

    /// Was it accepted, and has not ended?
    pub(crate) fn is_open(&self, id: RemediationId) -> bool {
        self.0.get(&id).is_some_and(|known| known.ended.is_none())
    }

    /// Was it accepted, or has it ended?
    pub(crate) fn knows(&self, id: RemediationId) -> bool {
        self.0.contains_key(&id)
    }

    /// Why these targets need no other command now; `None`: they do.
    pub(crate) fn reason_not_to_ask(
        &self,
        incident: &Incident,
        targets: &[String],
        now: Timestamp,
        quiet: SignedDuration,
    ) -> Option<(String, Timestamp)> {
        let same = |known: &&Known| {
            known.instance == incident.instance && known.targets.iter().any(|target| targets.contains(target))
        };
        let mut newest = None;
        for (id, known) in self.0.iter().filter(|(_, known)| same(known)) {
            match known.ended {
                None => {
                    return Some((format!("remediation {id} is under way for the same target"), now + quiet));
                }
                Some((_, status)) if status != OverallStatus::Success && !self.still_warns(*id, incident) => {
                }
                Some((at, _)) => newest = newest.max(Some((at, *id))),
            }
        }
        let (at, id) = newest.filter(|(at, _)| now < *at + quiet)?;
        let ago = now.duration_since(at).as_secs().max(0);
        let why = format!(
            "remediation {id} ended {ago} s ago for the same target; another may follow {} s after it",
            quiet.as_secs()
        );
        Some((why, at + quiet))
    }

    /// Has the one, on the same instance, changed something and ended well since the other ended?
    pub(crate) fn has_helped(&self, one: RemediationId, other: RemediationId) -> bool {
        let (Some(one), Some(other)) = (self.0.get(&one), self.0.get(&other)) else { return false };
        let (Some((at, OverallStatus::Success)), Some((before, _))) = (one.ended, other.ended) else {
            return false;
        };
        one.effect > Effect::Nothing && one.instance == other.instance && at > before
    }

    /// Does it hold back another try for the same target, though it came to nothing? Not where it was to cure another
    /// incident, or something has helped since.
    fn still_warns(&self, id: RemediationId, incident: &Incident) -> bool {
        let of_another = incident.tried != Some(id) && self.0.get(&id).is_some_and(|known| known.is_ours);
        !of_another && !self.0.keys().any(|other| self.has_helped(*other, id))
    }

    /// A remediation of this instance whose restart or change is heard in the log now.
    pub(crate) fn heard(
        &self,
        instance: &InstanceName,
        now: Timestamp,
        echo: SignedDuration,
    ) -> Option<RemediationId> {
        let heard = |known: &Known| {
            let acts = known.effect == Effect::Loud && known.has_begun;
            acts && known.ended.is_none_or(|(at, _)| now < at + echo)
        };
        let mut all = self.0.iter();
        all.find(|(_, known)| &known.instance == instance && heard(known)).map(|(id, _)| *id)
    }

    /// Whether it has ended, and well; `None`: it goes on, or nobody knows it any more.
    pub(crate) fn ended_well(&self, id: RemediationId) -> Option<bool> {
        self.0.get(&id)?.ended.map(|(_, status)| status == OverallStatus::Success)
    }

    fn make_room(&mut self) {
        while self.0.len() > KEPT {
            let ended = self.0.iter().filter_map(|(id, known)| known.ended.map(|(at, _)| (at, *id)));
            let Some((_, oldest)) = ended.min() else { break };
            self.0.remove(&oldest);
        }
    }
}

impl Known {
    fn of(command: &RemediationCommand) -> Self {
        Self {
            instance: command.instance.clone(),
            targets: targets(command),
            is_ours: command.requested_by == REQUESTED_BY,
            effect: command.steps().iter().map(|step| effect(&step.action)).max().unwrap_or(Effect::Nothing),
            has_begun: false,
            ended: None,
            restarted: false,
        }
    }
}

fn effect(action: &Action) -> Effect {
    match action {
        Action::Restart(_) | Action::SetCpf(_) | Action::ChangeCpf(_) => Effect::Loud,
        other if other.has_effect() => Effect::Quiet,
        _ => Effect::Nothing,
    }
}

/// Did its agent begin with it?
fn is_executed(status: StepStatus) -> bool {
    !matches!(status, StepStatus::Skipped | StepStatus::Refused | StepStatus::DryRun)
}

/// When a remediation ended, by the clock of its router.
pub(crate) fn ended_at(trace: &WorkflowTrace) -> Timestamp {
    let took = i64::try_from(trace.completion_time_ms).unwrap_or(i64::MAX);
    trace.initiated_at.checked_add(SignedDuration::from_millis(took)).unwrap_or(trace.initiated_at)
}
