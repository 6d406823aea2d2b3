//! From facts to a decision.

use instance_contract::{CloseReason, Decision, DiagnosisPhase, IncidentId};
use jiff::Timestamp;

use crate::{
    answer::{self, Answer},
    event::{Action, DryRun, Gathered},
    incident::Stage,
    incidents::Incidents,
    severity,
};

impl Incidents {
    /// Asks the agents what must be known.
    pub(crate) fn gather(&mut self, id: IncidentId, now: Timestamp, actions: &mut Vec<Action>) {
        let rules = self.limits.rules;
        let Some(incident) = self.all.get_mut(&id) else { return };
        if !rules {
            let why = "the rules are switched off".to_owned();
            return self.call_a_person(id, DiagnosisPhase::Triage, why, now, actions);
        }
        let since = match incident.stage {
            Stage::Gathering { since, .. } | Stage::Trying { since, .. } => since,
            _ => now,
        };
        incident.stage = Stage::Gathering { since, asked_at: now };
        let condition = incident.condition.as_ref().map_or("", |id| id.as_str());
        let needs = answer::needs(condition);
        actions.push(Action::Gather { incident: id, instance: incident.instance.clone(), needs });
    }

    pub(crate) fn gathered(
        &mut self,
        id: IncidentId,
        gathered: &Gathered,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(incident) = self.all.get_mut(&id) else { return };
        let (Stage::Gathering { since, .. }, Some(condition)) = (&incident.stage, incident.condition.clone())
        else {
            return;
        };
        let since = *since;
        match gathered {
            Gathered::Answers(answers) => {
                incident.facts = answer::learn(condition.as_str(), answers);
                let text = incident.evidence.first().map_or("", |entry| entry.excerpt.as_str());
                match answer::answer(condition.as_str(), text, &incident.facts) {
                    Ok(answer) => self.weigh(id, answer, since, now, actions),
                    Err(why) => self.call_a_person(id, DiagnosisPhase::Analysis, why, now, actions),
                }
            }
            Gathered::NotServed(agent) => {
                let why = format!("no {agent} serves the instance");
                self.call_a_person(id, DiagnosisPhase::Analysis, why, now, actions);
            }
            Gathered::Silent(why) if now >= since + self.limits.analysis => {
                let why = format!("the facts could not be taken: {why}");
                self.call_a_person(id, DiagnosisPhase::Analysis, why, now, actions);
            }
            // The next tick asks again.
            Gathered::Silent(_) => {}
        }
    }

    /// May this answer be given now, without a person?
    fn weigh(
        &mut self,
        id: IncidentId,
        answer: Answer,
        since: Timestamp,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if let Some(why) = self.reason_for_a_person(id, &answer, now) {
            return self.call_a_person(id, DiagnosisPhase::Analysis, why, now, actions);
        }
        if let Some((why, until)) = self.reason_to_wait(id, &answer, now) {
            self.conclude(id, DiagnosisPhase::Analysis, Decision::Wait { why }, now, actions);
            if let Some(incident) = self.all.get_mut(&id) {
                incident.stage = Stage::Waiting { until };
            }
            return;
        }
        let dry_run_first = self.limits.dry_run_first;
        let Some(incident) = self.all.get_mut(&id) else { return };
        if !dry_run_first {
            return self.decide(id, answer, None, now, actions);
        }
        // Named by its time: facts may be other ones when it is made again, and an id stands for the same bytes only.
        let name = format!("dry run of {} at {now}", answer.runbook);
        let command = id.command(&name, incident.attempts + 1);
        let unwritten = incident.finding(
            DiagnosisPhase::Analysis,
            Decision::Wait { why: "a dry run is under way".to_owned() },
            Vec::new(),
            now,
        );
        actions.push(Action::Publish {
            incident: id,
            command: Box::new(answer.command(&unwritten, command, true)),
        });
        let dry = DryRun { command, needs_approval: false };
        incident.stage = Stage::Trying { since, dry, answer: Box::new(answer) };
    }

    fn reason_for_a_person(&self, id: IncidentId, answer: &Answer, now: Timestamp) -> Option<String> {
        let incident = self.all.get(&id)?;
        let condition = incident.condition.as_ref()?.as_str();
        let (least, sure) = (severity::least_confidence(incident.severity), incident.confidence());
        if answer.cures && sure < least {
            return Some(format!("the catalogue is {sure} % sure, and {least} % are needed to act"));
        }
        let limits = &self.limits;
        self.learning.reason_not_to_try(condition, &answer.runbook, &incident.instance, now, limits.flapping)
    }

    fn reason_to_wait(&self, id: IncidentId, answer: &Answer, now: Timestamp) -> Option<(String, Timestamp)> {
        let (incident, targets, quiet) = (self.all.get(&id)?, answer.targets(), self.limits.again_after);
        let same = |stage: &Stage| match stage {
            Stage::UnderWay { targets: theirs, .. } => theirs.iter().any(|target| targets.contains(target)),
            Stage::Trying { answer: theirs, .. } => theirs.targets().iter().any(|it| targets.contains(it)),
            _ => false,
        };
        let other = |other: &&crate::incident::Incident| {
            other.id != id && other.instance == incident.instance && same(&other.stage)
        };
        if let Some(other) = self.all.values().find(other) {
            return Some((
                format!("incident {} is being answered with the same target", other.id),
                now + quiet,
            ));
        }
        self.remediations.reason_not_to_ask(&incident.instance, &targets, now, quiet)
    }

    /// Writes the finding, then publishes the command that follows from it.
    pub(crate) fn decide(
        &mut self,
        id: IncidentId,
        answer: Answer,
        dry: Option<(DryRun, Option<instance_contract::Digest>)>,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(incident) = self.all.get_mut(&id) else { return };
        incident.attempts += 1;
        let command_id = id.command(&answer.runbook, incident.attempts);
        let needs_approval = dry.as_ref().is_some_and(|(dry, _)| dry.needs_approval);
        let decision = Decision::Remediation {
            command_id,
            runbook: answer.runbook.clone(),
            dry_run_digest: dry.and_then(|(_, digest)| digest),
            needs_approval,
        };
        let reasons = vec![
            format!("the catalogue knows the text as \"{}\"", incident.matter),
            format!("its answer is: {}", answer.action),
        ];
        let mut finding = incident.finding(DiagnosisPhase::Analysis, decision, reasons, now);
        finding.success_signs.clone_from(&answer.success_signs);
        let command = answer.command(&finding, command_id, false);
        actions.push(incident.found(finding));
        actions.push(Action::Publish { incident: id, command: Box::new(command) });
        incident.stage = Stage::UnderWay {
            since: now,
            command: command_id,
            targets: answer.targets(),
            runbook: answer.runbook,
            cures: answer.cures,
        };
        if !answer.cures {
            self.only_looked(id, now, actions);
        }
    }

    /// The answer only looks, so a person has to do the rest; the look goes on meanwhile.
    pub(crate) fn only_looked(&mut self, id: IncidentId, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(incident) = self.all.get_mut(&id) else { return };
        let (_, what_to_do) = answer::told(incident.condition.as_ref().map(|id| id.as_str()));
        let why = "the rules only look; a person has to do the rest".to_owned();
        let decision = Decision::Person { why: why.clone(), what_to_do };
        let finding = incident.finding(DiagnosisPhase::Analysis, decision, vec![why], now);
        actions.push(incident.found(finding));
    }

    pub(crate) fn call_a_person(
        &mut self,
        id: IncidentId,
        phase: DiagnosisPhase,
        why: String,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(incident) = self.all.get(&id) else { return };
        let (_, what_to_do) = answer::told(incident.condition.as_ref().map(|id| id.as_str()));
        self.conclude(id, phase, Decision::Person { why, what_to_do }, now, actions);
    }

    /// Writes a finding without a command.
    pub(crate) fn conclude(
        &mut self,
        id: IncidentId,
        phase: DiagnosisPhase,
        decision: Decision,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(incident) = self.all.get_mut(&id) else { return };
        let (reason, stage) = match &decision {
            Decision::Person { why, .. } => (why, Stage::Person),
            Decision::Nothing { why } => (why, Stage::Nothing),
            Decision::Wait { why } | Decision::Remediation { runbook: why, .. } => {
                (why, Stage::Waiting { until: now + self.limits.again_after })
            }
        };
        let reasons = vec![reason.clone()];
        let finding = incident.finding(phase, decision, reasons, now);
        actions.push(incident.found(finding));
        incident.stage = stage;
    }

    pub(crate) fn close(
        &mut self,
        id: IncidentId,
        why: CloseReason,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(incident) = self.all.get_mut(&id).filter(|incident| !incident.is_closed()) else { return };
        actions.push(incident.closed(why, now));
        incident.stage = Stage::Closed { at: now, why };
    }
}
