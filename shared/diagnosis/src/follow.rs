//! What becomes of what was decided: dry runs, remediations, people, time.

use instance_contract::{
    Accepted, CloseReason, CommandId, Decision, DiagnosisPhase, IncidentAcknowledged, IncidentId,
    OverallStatus, Plan, Planned, RemediationId, WorkflowTrace, subject::IncidentRecord,
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    answer,
    event::{Action, Record},
    incident::{Incident, Stage},
    incidents::Incidents,
    remediations::ended_at,
};

/// Agents that were silent are asked again after this time.
const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(2);

impl Incidents {
    pub(crate) fn accepted(&mut self, accepted: &Accepted) {
        self.remediations.accepted(accepted);
        self.policies.heard(&accepted.policy, accepted.accepted_at);
        if let Some(plan) = &accepted.plan {
            self.forecast(accepted.command.command_id, plan);
        }
    }

    pub(crate) fn planned(&mut self, planned: &Planned) {
        let tried = self.all.values().find_map(|incident| match &incident.stage {
            Stage::Trying { dry, .. } if RemediationId::from(dry.command) == planned.remediation_id => {
                Some(dry.command)
            }
            _ => None,
        });
        if let Some(command) = tried {
            self.forecast(command, &planned.plan);
        }
    }

    /// Does policy ask a person? The plan of a dry run says so.
    fn forecast(&mut self, command: CommandId, plan: &Plan) {
        for incident in self.all.values_mut() {
            if let Stage::Trying { dry, .. } = &mut incident.stage
                && dry.command == command
            {
                dry.needs_approval = !plan.approvals.is_empty();
            }
        }
    }

    pub(crate) fn ended(&mut self, trace: &WorkflowTrace, now: Timestamp, actions: &mut Vec<Action>) {
        self.remediations.ended(trace);
        if let Some(command) = trace.command_received.as_ref().filter(|command| !command.dry_run)
            && trace.overall_status == OverallStatus::Success
            && command.requested_by != answer::REQUESTED_BY
        {
            let targets = answer::targets(command);
            self.learning.learn_from_others(&command.instance, &targets, ended_at(trace));
        }
        // A command that could not be read stands in no trace; its remediation's id follows from its own.
        let is_it = |command: CommandId| RemediationId::from(command) == trace.remediation_id;
        let concerned = |stage: &Stage| match stage {
            Stage::Trying { dry, .. } => is_it(dry.command),
            Stage::UnderWay { command, .. } => is_it(*command),
            _ => false,
        };
        let concerned = self.all.values().filter(|incident| concerned(&incident.stage));
        let ids: Vec<IncidentId> = concerned.map(|incident| incident.id).collect();
        for id in ids {
            let Some(incident) = self.all.get_mut(&id) else { continue };
            if let Stage::UnderWay { command, runbook, cures, .. } = &incident.stage {
                let (command, runbook, cures) = (*command, runbook.clone(), *cures);
                let outcome = incident.outcome(command, &runbook, trace);
                self.learning.learn(&outcome);
                let kind = IncidentRecord::Outcome(command);
                actions.push(Action::record(&incident.instance, id, kind, Record::Outcome(outcome)));
                self.in_doubt.remove(&id);
                self.resolve(id, trace, cures, now, actions);
            } else {
                self.tried(id, trace, now, actions);
            }
        }
        self.take_up(trace, now, actions);
    }

    /// Who waits is looked at again when the reason may be gone. One that was never tried waits for a remediation with its
    /// target, and that has come to nothing. One whose own try failed may have failed for a cause that is cured now: the
    /// proof of two troubles at once is one proof.
    fn take_up(&mut self, trace: &WorkflowTrace, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(command) = &trace.command_received else { return };
        let (ended, at) = (trace.remediation_id, ended_at(trace));
        let in_vain = !matches!(trace.overall_status, OverallStatus::Success | OverallStatus::DryRun);
        let is_due = |incident: &&Incident| match (&incident.stage, incident.tried) {
            (Stage::Waiting { since, .. }, None) => in_vain && at >= *since,
            (Stage::Waiting { .. }, Some(tried)) => self.remediations.has_helped(ended, tried),
            _ => false,
        };
        let of_it = self.all.values().filter(|incident| incident.instance == command.instance);
        let ids: Vec<IncidentId> = of_it.filter(is_due).map(|incident| incident.id).collect();
        for id in ids {
            self.gather(id, now, actions);
        }
    }

    /// A dry run is over.
    fn tried(&mut self, id: IncidentId, trace: &WorkflowTrace, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(incident) = self.all.get_mut(&id) else { return };
        let Stage::Trying { since, dry, answer, company } = &incident.stage else { return };
        let (since, dry, answer, company) = (*since, dry.clone(), (**answer).clone(), company.clone());
        let reason = trace.reason.clone().unwrap_or_else(|| trace.overall_status.as_str().to_owned());
        match trace.overall_status {
            OverallStatus::DryRun => {
                let digest = trace.plan_digest.clone();
                return self.decide(id, &answer, company, Some((dry, digest)), now, actions);
            }
            OverallStatus::Refused => {
                let why = format!("the dry run was refused: {reason}");
                self.call_a_person(id, DiagnosisPhase::Analysis, why, now, actions);
            }
            _ if now >= since + self.limits.analysis => {
                let why = format!("the dry run came to nothing: {reason}");
                self.call_a_person(id, DiagnosisPhase::Analysis, why, now, actions);
            }
            _ => incident.stage = Stage::Gathering { since, answered_at: Some(now) },
        }
        self.let_go(&company, now);
    }

    /// A remediation of ours is over.
    fn resolve(
        &mut self,
        id: IncidentId,
        trace: &WorkflowTrace,
        cures: bool,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let status = trace.overall_status;
        let reason = trace.reason.clone().unwrap_or_else(|| status.as_str().to_owned());
        match status {
            OverallStatus::Success if cures => self.close(id, CloseReason::Verified, now, actions),
            // A person was told already, and may have it in hand by now.
            _ if !cures => match self.all.get_mut(&id) {
                Some(incident) if incident.in_hand => {
                    self.close(id, CloseReason::Acknowledged, now, actions);
                }
                Some(incident) => incident.stage = Stage::Person,
                None => {}
            },
            OverallStatus::Undone | OverallStatus::Failure if self.may_try_again(id) => {
                let why = format!(
                    "the remediation ended with {}: {reason}; it is tried once more",
                    status.as_str()
                );
                self.conclude(id, DiagnosisPhase::Resolution, Decision::Wait { why }, now, actions);
            }
            _ => {
                let why = format!("the remediation ended with {}: {reason}", status.as_str());
                self.call_a_person(id, DiagnosisPhase::Resolution, why, now, actions);
            }
        }
    }

    fn may_try_again(&self, id: IncidentId) -> bool {
        let Some(incident) = self.all.get(&id) else { return false };
        let condition = incident.condition.as_ref().map_or("", |id| id.as_str());
        let runbooks = self
            .learning
            .iter()
            .filter(|(of, _, instance, _)| *of == condition && *instance == &incident.instance);
        let mut failures = runbooks.map(|(_, _, _, learned)| learned.failures_in_a_row);
        failures.all(|in_a_row| in_a_row < crate::Learning::PATIENCE)
    }

    pub(crate) fn acknowledged(
        &mut self,
        acknowledged: &IncidentAcknowledged,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let id = acknowledged.incident_id;
        self.heard_of(acknowledged);
        if let Some((phase, why)) = self.all.get(&id).filter(|it| !it.is_closed()).and_then(Incident::unseen)
        {
            // It was found while the person wrote: theirs is what they have seen, and the rest is told anew.
            return self.tell_unseen(id, phase, why, now, actions);
        }
        // What is being decided or done goes on; a person has only taken note of it, and what else comes of it is told anew.
        let told = |stage: &Stage| matches!(stage, Stage::Person | Stage::Nothing | Stage::Waiting { .. });
        if self.all.get(&id).is_some_and(|incident| told(&incident.stage)) {
            self.close(id, CloseReason::Acknowledged, now, actions);
        } else if let Some(incident) = self.all.get_mut(&id) {
            incident.in_hand = true;
        }
    }

    /// What an acknowledgement says of what was seen, and of what may be tried again.
    pub(crate) fn heard_of(&mut self, acknowledged: &IncidentAcknowledged) {
        let Some(incident) = self.all.get_mut(&acknowledged.incident_id) else { return };
        incident.seen_up_to = acknowledged.seen_finding;
        if acknowledged.try_again
            && let Some(condition) = &incident.condition
        {
            self.learning.allow(condition.as_str(), &incident.instance, acknowledged.at);
        }
    }

    /// A person has the incident in hand, and has not seen that finding: it gets an incident of its own.
    pub(crate) fn tell_unseen(
        &mut self,
        id: IncidentId,
        phase: DiagnosisPhase,
        why: String,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if let Some(incident) = self.all.get_mut(&id) {
            (incident.in_hand, incident.seen_up_to) = (true, None);
        }
        self.call_a_person(id, phase, why, now, actions);
    }

    pub(crate) fn tick(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let ids: Vec<IncidentId> = self.all.keys().copied().collect();
        for id in ids {
            self.time_box(id, now, actions);
        }
    }

    /// It was written while a remediation worked that has ended well: the proof of that one is the answer. More of it is news.
    fn was_an_echo(&mut self, id: IncidentId, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(remediation) = self.all.get(&id).and_then(|incident| incident.echo_of) else { return };
        let why = format!("it was written while remediation {remediation} was heard, which has ended well");
        self.conclude(id, DiagnosisPhase::Triage, Decision::Nothing { why }, now, actions);
        self.close(id, CloseReason::Quiet, now, actions);
    }

    /// Was it to be carried by an incident that is no more?
    fn is_left_behind(&self, id: IncidentId) -> bool {
        let leads =
            |other: &Incident| matches!(&other.stage, Stage::Trying { company, .. } if company.contains(&id));
        let carried = self.all.get(&id).is_some_and(|it| matches!(it.stage, Stage::Carried { .. }));
        carried && !self.all.values().any(leads)
    }

    /// Each phase has its time.
    fn time_box(&mut self, id: IncidentId, now: Timestamp, actions: &mut Vec<Action>) {
        let (limits, is_left) = (self.limits.clone(), self.is_left_behind(id));
        let Some(incident) = self.all.get_mut(&id) else { return };
        let quiet_since = incident.last_seen;
        match &incident.stage {
            Stage::Triage { until } if now >= *until => {
                if incident.evidence.is_empty() {
                    // Read back without its entries, and they did not come again.
                    return self.close(id, CloseReason::Quiet, now, actions);
                }
                let ended_well = match incident.echo_of {
                    Some(remediation) => self.remediations.ended_well(remediation),
                    None => Some(false),
                };
                // How it ends says what this was; but nobody waits for that longer than for the remediation.
                if ended_well.is_none() && now < incident.opened_at + limits.resolution {
                    return;
                }
                if !incident.is_opened {
                    actions.push(incident.opened());
                }
                if ended_well == Some(true) {
                    return self.was_an_echo(id, now, actions);
                }
                self.triage(id, now, actions);
            }
            Stage::Gathering { answered_at: Some(at), .. } if now >= *at + ASK_AGAIN => {
                self.gather(id, now, actions);
            }
            Stage::Consulting { asked_at, why, .. } if now >= *asked_at + limits.consulting => {
                let why = why.clone();
                self.without_advice(id, &why, "it has not answered in its time", now, actions);
            }
            Stage::Consulting { asked_at, told: false, .. } if now >= *asked_at + limits.first_word => {
                self.first_word(id, now, actions);
            }
            Stage::Company { until, .. } if now >= *until => self.together(id, now, actions),
            // Its leader made room, and took what it carried along.
            Stage::Carried { .. } if is_left => self.let_go(&[id], now),
            Stage::Trying { dry, company, .. } if now >= dry.asked_at + limits.dry_run => {
                let company = company.clone();
                self.let_go(&company, now);
                let why = format!("no router has made the dry run within {} s", limits.dry_run.as_secs());
                self.call_a_person(id, DiagnosisPhase::Analysis, why, now, actions);
            }
            Stage::UnderWay { since, cures: false, .. }
                if incident.in_hand && now >= *since + limits.resolution =>
            {
                self.close(id, CloseReason::Acknowledged, now, actions);
            }
            Stage::UnderWay { since, .. } if now >= *since + limits.resolution => {
                let why = "the remediation has not ended in its time".to_owned();
                self.call_a_person(id, DiagnosisPhase::Resolution, why, now, actions);
            }
            Stage::Person if now >= quiet_since + limits.remembered => {
                self.close(id, CloseReason::Quiet, now, actions);
            }
            Stage::Nothing if now >= quiet_since + limits.again_after => {
                self.close(id, CloseReason::Quiet, now, actions);
            }
            Stage::Waiting { until, .. } if now >= *until && now >= quiet_since + limits.again_after => {
                self.close(id, CloseReason::Quiet, now, actions);
            }
            _ => {}
        }
    }
}
