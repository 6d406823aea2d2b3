//! The state, and what each event makes of it.

use std::collections::BTreeMap;

use instance_contract::{
    CloseReason, Decision, DiagnosisPhase, IncidentId, InstanceName, IrisMessage, MessageId, RemediationId,
    Severity,
};
use instance_knowledge::{Condition, condition};
use jiff::{SignedDuration, Timestamp};

use crate::{
    answer,
    entry::Sighting,
    event::{Action, Event},
    fold,
    incident::{Incident, Stage},
    learning::Learning,
    limits::Limits,
    permitted::Policies,
    remediations::Remediations,
    repeats::{Counters, Meanings, Rates, Seen},
};

/// Every incident of every instance, and what is needed to judge the next entry.
pub struct Incidents {
    pub(crate) limits: Limits,
    pub(crate) all: BTreeMap<IncidentId, Incident>,
    /// The newest incident of each matter.
    pub(crate) by_matter: BTreeMap<(InstanceName, String), IncidentId>,
    pub(crate) seen: Seen,
    pub(crate) learning: Learning,
    pub(crate) remediations: Remediations,
    pub(crate) policies: Policies,
    /// Findings read back whose command may not have been published.
    pub(crate) in_doubt: BTreeMap<IncidentId, instance_contract::Finding>,
    /// Outcomes read back of which nothing more was written.
    pub(crate) unresolved: BTreeMap<IncidentId, instance_contract::OverallStatus>,
    meanings: Meanings,
    counters: Counters,
    rates: Rates,
}

/// What an instance's flood of unknown texts is about.
const STORM: &str = "storm of unknown texts";
/// Unknown incidents that a text is compared with, the newest ones.
const COMPARED: usize = 32;
/// Why a person is told once more.
const GRAVER: &str = "it has become graver since a person was told";
/// Why a person is told of what nothing is done about by itself. An incident is read back by it.
pub(crate) const TOO_OLD: &str =
    "its entries were too old to act on when they were read: look whether it still is so";
/// The log after a restart of ours says these by itself.
const ECHOES: &[&str] =
    &["shutdown-was-abnormal", "sign-on-inhibited", "alerts-suspended", "shutdown-timeout-reached"];

impl Incidents {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            all: BTreeMap::new(),
            by_matter: BTreeMap::new(),
            seen: Seen::default(),
            learning: Learning::default(),
            remediations: Remediations::default(),
            policies: Policies::default(),
            in_doubt: BTreeMap::new(),
            unresolved: BTreeMap::new(),
            meanings: Meanings::default(),
            counters: Counters::default(),
            rates: Rates::default(),
        }
    }

    /// What is to be done after an event.
    pub fn handle(&mut self, event: &Event<'_>, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Entry(message) => self.entry(message, now, &mut actions),
            Event::Stale(message) => self.stale(message, now, &mut actions),
            Event::Gathered { incident, gathered } => self.gathered(*incident, gathered, now, &mut actions),
            Event::Advised { incident, advice } => self.advised(*incident, advice, now, &mut actions),
            Event::Accepted(accepted) => self.accepted(accepted),
            Event::Planned(planned) => self.planned(planned),
            Event::Stepped(id) => self.remediations.stepped(*id),
            Event::Ended(trace) => self.ended(trace, now, &mut actions),
            Event::Acknowledged(acknowledged) => {
                self.acknowledged(acknowledged, now, &mut actions);
            }
            Event::Tick => self.tick(now, &mut actions),
        }
        self.make_room(now, &mut actions);
        actions
    }

    /// Is that entry needed again, should this process die now? What is not may be settled.
    pub fn awaits(&self, message: MessageId) -> bool {
        self.all.values().any(|incident| incident.held.contains(&message))
    }

    /// Was that remediation accepted, and has not ended? Whether a step of it was sent is worth reading then.
    pub fn is_open(&self, remediation: RemediationId) -> bool {
        self.remediations.is_open(remediation)
    }

    /// What was learnt so far.
    pub fn learning(&self) -> &Learning {
        &self.learning
    }

    /// How many incidents are kept in memory, and how many of them are open.
    pub fn counts(&self) -> (usize, usize) {
        (self.all.len(), self.all.values().filter(|incident| !incident.is_closed()).count())
    }

    fn entry(&mut self, message: &IrisMessage, now: Timestamp, actions: &mut Vec<Action>) {
        if !self.seen.is_new(message.message_id, self.limits.message_ids) {
            return;
        }
        let mut sighting = Sighting::of(message, &mut self.meanings, self.limits.texts);
        if !self.is_of_interest(&mut sighting, now) || self.is_echo(&sighting, now) {
            return;
        }
        match self.where_it_belongs(&sighting, now) {
            Some(id) => self.join(id, &sighting, now, actions),
            None => self.open(&sighting, now, actions),
        }
    }

    /// What is grave is told to a person, however old it is. Nothing is counted, and nothing taken for an echo: it did not
    /// happen now.
    fn stale(&mut self, message: &IrisMessage, now: Timestamp, actions: &mut Vec<Action>) {
        if !self.seen.is_new(message.message_id, self.limits.message_ids) {
            return;
        }
        let mut sighting = Sighting::of(message, &mut self.meanings, self.limits.texts);
        sighting.stale = true;
        if sighting.severity < Severity::Severe || !sighting.matters() {
            return;
        }
        match self.where_it_belongs(&sighting, now) {
            Some(id) => self.join(id, &sighting, now, actions),
            None => self.open(&sighting, now, actions),
        }
    }

    /// Grave enough, or often enough?
    fn is_of_interest(&mut self, sighting: &mut Sighting<'_>, now: Timestamp) -> bool {
        // Information is never raised, however often it comes.
        if sighting.severity > Severity::Info {
            let frequency = sighting.condition.map(|row| row.frequency).unwrap_or_default();
            let over = SignedDuration::from_secs(frequency.within_seconds.into());
            let texts = self.limits.texts;
            let (matter, times) = (sighting.matter(), sighting.times());
            let times = self.counters.count(sighting.instance(), &matter, times, now, over, texts);
            sighting.came(times);
        }
        sighting.matters()
    }

    /// Does the log only say what we did to the instance?
    fn is_echo(&self, sighting: &Sighting<'_>, now: Timestamp) -> bool {
        let instance = sighting.instance();
        // What nobody knows is kept until it is known how that remediation ends; see `Incident::echo_of`.
        let Some(row) = sighting.condition else { return false };
        let caused = |incident: &Incident| match &incident.stage {
            Stage::UnderWay { runbook, command, .. } => {
                answer::may_cause(runbook, &row.id) && self.remediations.has_begun((*command).into())
            }
            Stage::Closed { at, why: CloseReason::Verified } => {
                let runbook = incident.runbook.as_deref();
                now < *at + self.limits.echo && runbook.is_some_and(|it| answer::may_cause(it, &row.id))
            }
            _ => false,
        };
        let mut all = self.all.values().filter(|incident| &incident.instance == instance);
        all.any(caused)
            || ECHOES.contains(&row.id.as_str())
                && self.remediations.heard(instance, now, self.limits.echo).is_some()
    }

    /// The incident that an entry belongs to, cheapest question first; `None`: it is a new one.
    fn where_it_belongs(&mut self, sighting: &Sighting<'_>, now: Timestamp) -> Option<IncidentId> {
        let instance = sighting.instance();
        let newest = self.by_matter.get(&(instance.clone(), sighting.matter())).copied();
        if let Some(incident) = newest.and_then(|id| self.all.get(&id)) {
            return self.still_about(incident, sighting, now).then_some(incident.id);
        }
        if let Some(row) = sighting.condition {
            // A part of trouble that is told of by another condition belongs to that one, while it goes on.
            let whole = whole_of(row)?;
            let whole = self.all.get(self.by_matter.get(&(instance.clone(), whole.to_owned()))?)?;
            let near = now < whole.last_seen + self.limits.together;
            return (near && !whole.is_closed() && whole.takes(sighting)).then_some(whole.id);
        }
        let rate = self.rates.count(instance, now, self.limits.texts);
        let storm = self.by_matter.get(&(instance.clone(), STORM.to_owned())).and_then(|id| self.all.get(id));
        let near_storm = |storm: &&Incident| {
            now < storm.last_seen + self.limits.together && self.still_about(storm, sighting, now)
        };
        if let Some(storm) = storm.filter(near_storm) {
            return Some(storm.id);
        }
        let near = |incident: &&Incident| {
            let near = now < incident.last_seen + self.limits.together;
            &incident.instance == instance && near && incident.takes(sighting)
        };
        let mut open = self.all.values().filter(|incident| !incident.is_closed()).filter(near);
        if let Some(cause) = open.find(|incident| incident.is_of_process(sighting.message.process_id)) {
            return Some(cause.id);
        }
        (rate < self.limits.storm).then(|| self.similar(sighting, now)).flatten()
    }

    fn similar(&self, sighting: &Sighting<'_>, now: Timestamp) -> Option<IncidentId> {
        let unknown = |incident: &&Incident| {
            incident.condition.is_none()
                && incident.instance == *sighting.instance()
                && self.still_about(incident, sighting, now)
        };
        let mut known: Vec<&Incident> = self.all.values().filter(unknown).collect();
        known.sort_by_key(|incident| std::cmp::Reverse(incident.last_seen));
        let least = self.limits.similar;
        let alike = |incident: &&Incident| {
            fold::may_be_similar(&incident.folded, &sighting.folded, least)
                && fold::similarity(&incident.folded, &sighting.folded) >= least
        };
        known.into_iter().take(COMPARED).find(alike).map(|incident| incident.id)
    }

    /// Does more of the same still belong to it?
    fn still_about(&self, incident: &Incident, sighting: &Sighting<'_>, now: Timestamp) -> bool {
        if !incident.takes(sighting) {
            return false;
        }
        match incident.stage {
            Stage::Closed { at, why: CloseReason::Verified } => now < at + self.limits.again_after,
            // A person has it; until it has been quiet, more of it is no news. What is graver is.
            Stage::Closed { why: CloseReason::Acknowledged, .. } => {
                let graver = sighting.message.severity > incident.written;
                !graver && now < incident.last_seen + self.limits.again_after
            }
            Stage::Closed { .. } => false,
            _ => true,
        }
    }

    fn join(&mut self, id: IncidentId, sighting: &Sighting<'_>, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(incident) = self.all.get_mut(&id) else { return };
        let (told, was_empty) = (incident.written, incident.evidence.is_empty());
        let was_unsure = incident.is_unsure();
        incident.take(sighting, now);
        if sighting.severity >= Severity::Fatal {
            incident.echo_of = None;
        }
        if was_empty {
            incident.stale = sighting.stale;
        }
        match incident.stage {
            // Read back from the log without its entries, and here they are again.
            Stage::Triage { .. } if was_empty && incident.condition.is_some() => {
                self.triage(id, now, actions);
            }
            Stage::Triage { .. } if was_empty => {
                incident.stage = Stage::Triage { until: now + self.limits.triage }
            }
            // A person was called because nobody could be sure; now one can.
            Stage::Person if was_unsure && !incident.is_unsure() && !sighting.stale => {
                self.gather(id, now, actions);
            }
            Stage::Person if incident.written > told => {
                let why = GRAVER.to_owned();
                self.call_a_person(id, DiagnosisPhase::Analysis, why, now, actions);
            }
            // A person was told already, while the rules look.
            Stage::UnderWay { cures: false, .. } | Stage::Consulting { told: true, .. }
                if incident.written > told =>
            {
                self.tell_meanwhile(id, GRAVER.to_owned(), now, actions);
            }
            Stage::Waiting { until, .. } if now >= until && !sighting.stale => {
                // Nothing else brings the next try back after a death.
                incident.held.insert(sighting.message.message_id);
                self.gather(id, now, actions);
            }
            _ => {}
        }
    }

    fn open(&mut self, sighting: &Sighting<'_>, now: Timestamp, actions: &mut Vec<Action>) {
        let unknown = sighting.condition.is_none();
        // Its cause, or the whole that it is a part of, may show within a moment.
        let waits = sighting.condition.is_none_or(|row| whole_of(row).is_some());
        let in_storm = unknown && self.rates.now(sighting.instance(), now) > self.limits.storm;
        let matter = if in_storm { STORM.to_owned() } else { sighting.matter() };
        let id = IncidentId::of(sighting.instance(), &matter, sighting.message.message_id);
        let stage = Stage::Triage { until: now + self.limits.triage };
        let mut incident = Incident::open(id, sighting, now, stage);
        incident.matter.clone_from(&matter);
        incident.stale = sighting.stale;
        if unknown && !sighting.stale && sighting.severity < Severity::Fatal {
            incident.echo_of = self.remediations.heard(sighting.instance(), now, self.limits.echo);
        }
        if !waits {
            self.take_over_consequences(&mut incident, now);
            actions.push(incident.opened());
        }
        self.by_matter.insert((incident.instance.clone(), matter), id);
        self.all.insert(id, incident);
        if !waits {
            self.triage(id, now, actions);
        }
    }

    /// What the same process wrote just before and nobody knows, and what is known as a part of it, is explained by it.
    fn take_over_consequences(&mut self, cause: &mut Incident, now: Timestamp) {
        let process = cause.evidence.first().and_then(|entry| entry.process_id);
        let explained = |other: &Incident| {
            other.instance == cause.instance
                && matches!(other.stage, Stage::Triage { .. })
                && other.stale == cause.stale
                && match &other.condition {
                    None => other.is_of_process(process),
                    Some(part) => {
                        let row = instance_knowledge::condition(part.as_str());
                        row.and_then(whole_of) == Some(cause.matter.as_str())
                    }
                }
                && now < other.last_seen + self.limits.together
        };
        let ids: Vec<IncidentId> =
            self.all.values().filter(|other| explained(other)).map(|other| other.id).collect();
        for id in ids {
            // It was never told of, so nothing has to be closed.
            let Some(other) = self.all.remove(&id) else { continue };
            self.by_matter.remove(&(other.instance, other.matter));
            cause.entries += other.entries;
            let room = instance_contract::Finding::MAX_EVIDENCE.saturating_sub(cause.evidence.len());
            cause.evidence.extend(other.evidence.into_iter().take(room));
            cause.held.extend(other.held);
        }
    }

    /// From the entries alone: is there an answer to ask about, or is all known that will be?
    pub(crate) fn triage(&mut self, id: IncidentId, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(incident) = self.all.get(&id) else { return };
        let row = incident.condition.as_ref().and_then(|id| instance_knowledge::condition(id.as_str()));
        match row {
            Some(row) if incident.stale && row.answer == instance_knowledge::Answer::None => {
                let why = format!("the catalogue says that nothing has to be done: {}", row.remedy);
                self.conclude(id, DiagnosisPhase::Triage, Decision::Nothing { why }, now, actions);
            }
            _ if incident.stale => {
                let why = TOO_OLD.to_owned();
                self.call_a_person(id, DiagnosisPhase::Triage, why, now, actions);
            }
            _ if !self.limits.rules => {
                let why = "the rules are switched off".to_owned();
                self.call_a_person(id, DiagnosisPhase::Triage, why, now, actions);
            }
            Some(row) if answer::is_answered_by_facts(row) => self.gather(id, now, actions),
            Some(row) if row.answer == instance_knowledge::Answer::None => {
                let why = format!("the catalogue says that nothing has to be done: {}", row.remedy);
                self.conclude(id, DiagnosisPhase::Triage, Decision::Nothing { why }, now, actions);
            }
            Some(_) => {
                let why = "the catalogue leaves it to a person".to_owned();
                self.call_a_person(id, DiagnosisPhase::Triage, why, now, actions);
            }
            None => {
                let why = "nobody knows this text, and it is grave".to_owned();
                if self.limits.model {
                    // What the facts support may be chosen by a model.
                    return self.gather(id, now, actions);
                }
                self.call_a_person(id, DiagnosisPhase::Triage, why, now, actions);
            }
        }
    }

    fn make_room(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        while self.all.len() > self.limits.incidents {
            let rank = |incident: &&Incident| (!incident.is_closed(), incident.last_seen, incident.id);
            let Some(oldest) = self.all.values().min_by_key(rank).map(|incident| incident.id) else { break };
            let Some(incident) = self.all.remove(&oldest) else { break };
            if !incident.is_closed() && incident.is_opened {
                actions.push(incident.closed(CloseReason::Superseded, now));
            }
            let key = (incident.instance, incident.matter);
            if self.by_matter.get(&key) == Some(&oldest) {
                self.by_matter.remove(&key);
            }
        }
    }
}

/// The condition that tells the whole of what this one is a part of. One that needs nothing by itself tells nothing: its
/// parts are judged one by one.
fn whole_of(row: &Condition) -> Option<&str> {
    let whole = row.part_of.as_deref()?;
    condition(whole).filter(|whole| whole.answer != instance_knowledge::Answer::None).map(|_| whole)
}
