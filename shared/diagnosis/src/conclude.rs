//! From facts to a decision.

use instance_contract::{
    CloseReason, CommandId, ConditionId, Decision, DiagnosisPhase, Digest, Finding, IncidentId, RemediationId,
};
use instance_knowledge::{Facts, condition};
use jiff::{SignedDuration, Timestamp};

use crate::{
    answer::{self, Answer, Verdict},
    event::{Action, DryRun, Gathered},
    incident::{Incident, Stage},
    incidents::Incidents,
    severity,
};

impl Incidents {
    /// Asks the agents what must be known.
    pub(crate) fn gather(&mut self, id: IncidentId, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(incident) = self.all.get_mut(&id) else { return };
        let since = match incident.stage {
            Stage::Gathering { since, .. } | Stage::Trying { since, .. } => since,
            _ => now,
        };
        incident.stage = Stage::Gathering { since, answered_at: None };
        let row = incident.condition.as_ref().and_then(|id| condition(id.as_str()));
        let needs = row.map_or_else(answer::all_agents, answer::needs);
        actions.push(Action::Gather { incident: id, instance: incident.instance.clone(), needs });
    }

    pub(crate) fn gathered(
        &mut self,
        id: IncidentId,
        gathered: &Gathered,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let analysis = self.limits.analysis;
        let told = self.told_beside(id);
        let Some(incident) = self.all.get_mut(&id) else { return };
        let Stage::Gathering { since, ref mut answered_at } = incident.stage else { return };
        *answered_at = Some(now);
        let Some(row) = incident.condition.as_ref().and_then(|id| condition(id.as_str())) else {
            return self.inquired(id, gathered, since, now, actions);
        };
        let mut not_served = None;
        match gathered {
            Gathered::NotServed(agent) => not_served = Some(agent),
            // They are asked again.
            Gathered::Silent { .. } if now < since + analysis => return,
            Gathered::Silent { why, required: true, .. } => {
                let why = format!("the facts could not be taken: {why}");
                return self.call_a_person(id, DiagnosisPhase::Analysis, why, now, actions);
            }
            Gathered::Answers(answers) | Gathered::Silent { answers, .. } => {
                answer::learn(&mut incident.facts, answers);
            }
        }
        incident.facts.learn_from_entries_of(&told);
        let age = now.duration_since(incident.opened_at).as_secs();
        let phase = DiagnosisPhase::Analysis;
        match (answer::verdict(row, &incident.facts, age), not_served) {
            (Verdict::NotBefore(_), _) => {}
            (Verdict::Nothing(why), _) => {
                self.conclude(id, phase, Decision::Nothing { why }, now, actions);
            }
            (Verdict::Person(why), nobody) => {
                let why =
                    nobody.map_or(why.clone(), |agent| format!("no {agent} serves the instance; {why}"));
                self.call_a_person(id, phase, why, now, actions);
            }
            (Verdict::Runbook(_), Some(agent)) => {
                let why = format!("no {agent} serves the instance");
                self.call_a_person(id, phase, why, now, actions);
            }
            (Verdict::Runbook(runbook), None) => self.weigh(id, runbook, since, now, actions),
        }
    }

    /// What IRIS said of other trouble of the instance that is being looked into: its figures are exact, and hold for
    /// this one too, however far the other has come. What was said too long ago to act on may hold no more.
    fn told_beside(&self, id: IncidentId) -> Facts {
        let instance = self.all.get(&id).map(|it| &it.instance);
        let at_work = |stage: &Stage| {
            matches!(stage, Stage::Gathering { .. } | Stage::Company { .. } | Stage::Consulting { .. })
        };
        let others = self.all.values().filter(|it| it.id != id && Some(&it.instance) == instance);
        let mut told = Facts::default();
        others
            .filter(|it| !it.stale && at_work(&it.stage))
            .for_each(|it| told.learn_from_entries_of(&it.facts));
        told
    }

    /// May this answer be given now, without a person, and alone?
    fn weigh(
        &mut self,
        id: IncidentId,
        runbook: &'static str,
        since: Timestamp,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(incident) = self.all.get_mut(&id) else { return };
        let company = SignedDuration::from_secs(answer::company_seconds(runbook).into());
        let until = incident.opened_at + company;
        incident.stage = Stage::Company { since, until, runbook };
        // Who is urgent waits for nobody, and takes along who waits.
        if now >= until {
            self.together(id, now, actions);
        }
    }

    /// The time for company is over: what has come is answered as one, as far as it goes together.
    pub(crate) fn together(&mut self, id: IncidentId, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(Stage::Company { since, runbook, .. }) = self.all.get(&id).map(|it| &it.stage) else {
            return;
        };
        let (since, mut name) = (*since, (*runbook).to_owned());
        let Some(incident) = self.all.get(&id) else { return };
        let mut facts = incident.facts.clone();
        let mut answer = answer::answer(&name, &facts);
        let mut company = Vec::new();
        let others = self.all.values().filter(|other| other.id != id && other.instance == incident.instance);
        for other in others {
            let Stage::Company { runbook, .. } = other.stage else { continue };
            let mut more = facts.clone();
            for (fact, value) in other.facts.iter() {
                // A value of the same row fits.
                let _ = more.set(fact, value.clone());
            }
            let both = if name.split('+').any(|known| known == runbook) {
                name.clone()
            } else {
                format!("{name}+{runbook}")
            };
            if let Ok(one) = answer::answer(&both, &more) {
                (answer, facts, name) = (Ok(one), more, both);
                company.push(other.id);
            }
        }
        if let Some(incident) = self.all.get_mut(&id) {
            incident.facts = facts;
        }
        match answer {
            Ok(answer) => self.attempt(id, answer, company, since, now, actions),
            Err(why) => self.call_a_person(id, DiagnosisPhase::Analysis, why, now, actions),
        }
    }

    pub(crate) fn attempt(
        &mut self,
        id: IncidentId,
        answer: Answer,
        company: Vec<IncidentId>,
        since: Timestamp,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if let Some(why) = self.reason_for_a_person(id, &answer, now) {
            return self.call_a_person(id, DiagnosisPhase::Analysis, why, now, actions);
        }
        if let Some(why) = self.reason_to_doubt(id, &answer) {
            if !self.limits.model {
                return self.call_a_person(id, DiagnosisPhase::Analysis, why, now, actions);
            }
            return self.consult(id, vec![answer], company, why, (since, now), actions);
        }
        if let Some(why) = self.reason_to_distrust(id, &answer, now) {
            return self.call_a_person(id, DiagnosisPhase::Analysis, why, now, actions);
        }
        if let Some((why, until)) = self.reason_to_wait(id, &answer, now) {
            // Whoever looks has a person to tell, whether the look is taken or not.
            if !answer.cures {
                let why = format!("{why}; the rules only look, and a person has to do the rest");
                return self.call_a_person(id, DiagnosisPhase::Analysis, why, now, actions);
            }
            self.conclude(id, DiagnosisPhase::Analysis, Decision::Wait { why }, now, actions);
            if let Some(incident) = self.all.get_mut(&id) {
                incident.stage = Stage::Waiting { since: now, until };
            }
            return;
        }
        for other in &company {
            if let Some(other) = self.all.get_mut(other)
                && let Stage::Company { since, runbook, .. } = other.stage
            {
                other.stage = Stage::Carried { since, runbook };
            }
        }
        let dry_run_first = self.limits.dry_run_first;
        let Some(incident) = self.all.get_mut(&id) else { return };
        // Named by its time: facts may be other ones when it is made again, and an id stands for the same bytes only.
        let name = format!("dry run of {} at {now}", answer.name());
        let command = id.command(&name, incident.attempts + 1);
        let dry = DryRun { command, asked_at: now, needs_approval: false };
        if !dry_run_first {
            return self.decide(id, &answer, company, None, now, actions);
        }
        let decision = Decision::Wait { why: "a dry run is under way".to_owned() };
        let unwritten = incident.finding(DiagnosisPhase::Analysis, decision, Vec::new(), now);
        let command = Box::new(answer.command(&unwritten, dry.command, true));
        actions.push(Action::Publish { incident: id, command });
        incident.stage = Stage::Trying { since, dry, answer: Box::new(answer), company };
    }

    /// Whom an answer was to carry goes on by itself.
    pub(crate) fn let_go(&mut self, company: &[IncidentId], now: Timestamp) {
        for id in company {
            if let Some(other) = self.all.get_mut(id)
                && let Stage::Carried { since, runbook } = other.stage
            {
                other.stage = Stage::Company { since, until: now, runbook };
            }
        }
    }

    fn reason_for_a_person(&self, id: IncidentId, answer: &Answer, now: Timestamp) -> Option<String> {
        let incident = self.all.get(&id)?;
        let condition = incident.condition.as_ref().map_or("", |id| id.as_str());
        let (learning, flapping) = (&self.learning, self.limits.flapping);
        let instance = &incident.instance;
        let mut whys = answer.runbooks.iter();
        whys.find_map(|runbook| learning.reason_not_to_try(condition, runbook, instance, now, flapping))
    }

    /// Is the catalogue too little sure to act by itself? Not asked where somebody has chosen the answer.
    fn reason_to_doubt(&self, id: IncidentId, answer: &Answer) -> Option<String> {
        let incident = self.all.get(&id).filter(|incident| incident.advice.is_none())?;
        let (least, sure) = (severity::least_to_act(incident.severity), incident.confidence);
        let doubted = answer.cures && incident.condition.is_some() && incident.is_unsure();
        let odd = if incident.is_oddly_written() { ", for IRIS was never seen to write it so" } else { "" };
        doubted.then(|| format!("the catalogue is {sure} % sure{odd}, and {least} % are needed to act"))
    }

    /// Does policy refuse by now what was chosen for us? What the rules themselves answer is told by its dry run.
    fn reason_to_distrust(&self, id: IncidentId, answer: &Answer, now: Timestamp) -> Option<String> {
        let advised = self.all.get(&id).is_some_and(|incident| incident.advice.is_some());
        advised.then(|| self.refusal(id, answer, now)).flatten()
    }

    fn reason_to_wait(&self, id: IncidentId, answer: &Answer, now: Timestamp) -> Option<(String, Timestamp)> {
        let (incident, targets, quiet) = (self.all.get(&id)?, answer.targets(), self.limits.again_after);
        let same = |stage: &Stage| match stage {
            Stage::UnderWay { targets: theirs, .. } => theirs.iter().any(|target| targets.contains(target)),
            Stage::Trying { answer: theirs, .. } => theirs.targets().iter().any(|it| targets.contains(it)),
            _ => false,
        };
        let other =
            |other: &&Incident| other.id != id && other.instance == incident.instance && same(&other.stage);
        if let Some(other) = self.all.values().find(other) {
            return Some((
                format!("incident {} is being answered with the same target", other.id),
                now + quiet,
            ));
        }
        self.remediations.reason_not_to_ask(incident, &targets, now, quiet)
    }

    /// Writes the finding, then publishes the command that follows from it; then tells of whom it carries.
    pub(crate) fn decide(
        &mut self,
        id: IncidentId,
        answer: &Answer,
        company: Vec<IncidentId>,
        dry: Option<(DryRun, Option<Digest>)>,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(incident) = self.all.get_mut(&id) else { return };
        incident.attempts += 1;
        let command_id = id.command(&answer.name(), incident.attempts);
        let needs_approval = dry.as_ref().is_some_and(|(dry, _)| dry.needs_approval);
        let dry_run_digest = dry.and_then(|(_, digest)| digest);
        let decision = |runbook| Decision::Remediation {
            command_id,
            runbook,
            dry_run_digest: dry_run_digest.clone(),
            needs_approval,
        };
        let finding = incident.remediation(answer, decision(answer.name()), now);
        let command = Box::new(answer.command(&finding, command_id, false));
        actions.push(incident.found(finding));
        actions.push(Action::Publish { incident: id, command });
        incident.is_under_way(answer, answer.name(), command_id, now);
        for other in company {
            let Some(other) = self.all.get_mut(&other) else { continue };
            let Stage::Carried { runbook, .. } = other.stage else { continue };
            let finding = other.remediation(answer, decision(runbook.to_owned()), now);
            actions.push(other.found(finding));
            other.is_under_way(answer, runbook.to_owned(), command_id, now);
        }
        if !answer.cures {
            self.only_looked(id, now, actions);
        }
    }

    /// The answer only looks, so a person has to do the rest; the look goes on meanwhile.
    pub(crate) fn only_looked(&mut self, id: IncidentId, now: Timestamp, actions: &mut Vec<Action>) {
        let why = "the rules only look; a person has to do the rest".to_owned();
        self.tell_meanwhile(id, why, now, actions);
    }

    /// A person is told, and what is under way goes on.
    pub(crate) fn tell_meanwhile(
        &mut self,
        id: IncidentId,
        why: String,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if self.all.get(&id).is_some_and(|incident| incident.in_hand) {
            return self.call_a_person(id, DiagnosisPhase::Analysis, why, now, actions);
        }
        let Some(incident) = self.all.get_mut(&id) else { return };
        let (_, what_to_do) = answer::told(incident.condition.as_ref().map(ConditionId::as_str));
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
        let (_, what_to_do) = answer::told(incident.condition.as_ref().map(ConditionId::as_str));
        self.conclude(id, phase, Decision::Person { why, what_to_do }, now, actions);
    }

    /// A person has that incident in hand, and it can be acknowledged once only: what they have not seen gets an incident of its
    /// own, which is in nobody's hand yet. A look that is under way goes on where it was asked for.
    fn followed_by(&mut self, id: IncidentId, now: Timestamp, actions: &mut Vec<Action>) -> IncidentId {
        let Some(next_id) = self.all.get(&id).and_then(Incident::next_id) else { return id };
        // After a death it may stand there, with nothing told in it.
        let opened_at = self.all.get(&next_id).map(|next| next.opened_at);
        let Some(known) = self.all.get_mut(&id) else { return id };
        let mut next = known.clone();
        next.id = next_id;
        (next.opened_at, next.findings, next.in_hand) = (opened_at.unwrap_or(now), 0, false);
        (next.asked, next.seen_up_to) = (None, None);
        known.held.clear();
        let looks = matches!(known.stage, Stage::UnderWay { cures: false, .. });
        if opened_at.is_none() {
            actions.push(next.opened());
        }
        self.by_matter.insert((next.instance.clone(), next.matter.clone()), next_id);
        self.all.insert(next_id, next);
        if !looks {
            self.close(id, CloseReason::Acknowledged, now, actions);
        }
        next_id
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
        let asks = matches!(decision, Decision::Person { .. });
        let in_hand = self.all.get(&id).is_some_and(|incident| incident.in_hand && !incident.is_closed());
        let id = if asks && in_hand { self.followed_by(id, now, actions) } else { id };
        let Some(incident) = self.all.get_mut(&id) else { return };
        let (reason, stage) = match &decision {
            Decision::Person { why, .. } => (why, Stage::Person),
            Decision::Nothing { why } => (why, Stage::Nothing),
            Decision::Wait { why } | Decision::Remediation { runbook: why, .. } => {
                (why, Stage::Waiting { since: now, until: now + self.limits.again_after })
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

impl Incident {
    /// The incident that follows it, while a person has this one in hand.
    pub(crate) fn next_id(&self) -> Option<IncidentId> {
        let first = self.evidence.first()?.message_id;
        Some(IncidentId::of(&self.instance, &format!("{} after {}", self.matter, self.id), first))
    }

    fn remediation(&self, answer: &Answer, decision: Decision, now: Timestamp) -> Finding {
        let reasons = vec![
            format!("the catalogue knows the text as \"{}\"", self.matter),
            format!("its answer is: {}", answer.action),
        ];
        let mut finding = self.finding(DiagnosisPhase::Analysis, decision, reasons, now);
        finding.success_signs.clone_from(&answer.success_signs);
        finding
    }

    fn is_under_way(&mut self, answer: &Answer, runbook: String, command: CommandId, now: Timestamp) {
        self.runbook = Some(runbook.clone());
        self.tried = Some(RemediationId::from(command));
        let (targets, cures) = (answer.targets(), answer.cures);
        self.stage = Stage::UnderWay { since: now, command, runbook, targets, cures };
    }
}
