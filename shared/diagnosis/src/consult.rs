//! Where the rules are unsure: a model may choose among what they allow. It adds nothing, and they go on without it.
//!
//! Allowed is fixed before anybody is asked. Where the catalogue knows the text and is only too little sure: its runbook. For a
//! text that nobody knows, of the same kind of trouble: what merely looks, and a runbook of whose trouble the facts
//! themselves show a sign (`shows_trouble` of its preconditions): what is so on a healthy instance too is none. What a text says supports nothing. And of all that, what policy would refuse is taken out.

use instance_contract::{CloseReason, DiagnosisPhase, Evidence, IncidentId};
use instance_knowledge::{
    condition,
    runbook::{Runbook, runbooks},
};
use jiff::Timestamp;

use crate::{
    answer::{self, Answer},
    event::{Action, Gathered},
    incident::{Incident, Stage},
    incidents::Incidents,
};

/// Of so many other incidents of the instance a model is told.
const OTHERS: usize = 5;

/// A question to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Consultation {
    /// What is known, each under a name of ours: texts of the catalogue, codes and facts.
    pub facts: Vec<(&'static str, String)>,
    /// The beginnings of the entries. Whoever asks keeps them back unless its settings let them out.
    pub excerpts: Vec<String>,
    /// What is allowed, in the catalogue's words; the answer is a place in it.
    pub offers: Vec<String>,
    /// Names that nobody outside needs to know, each with what it is.
    pub names: Vec<(String, &'static str)>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// The offer at this place; who said so, and how sure.
    Chosen { offer: usize, by: String },
    /// A person must look, says whoever was asked; or there was no answer. Why.
    None(String),
}

impl Incidents {
    /// Asks a model which of these it is, as far as policy leaves any. `why` is what a person is told when it is none.
    pub(crate) fn consult(
        &mut self,
        id: IncidentId,
        offers: Vec<Answer>,
        company: Vec<IncidentId>,
        why: String,
        (since, now): (Timestamp, Timestamp),
        actions: &mut Vec<Action>,
    ) {
        let (offers, refused) = self.permitted(id, offers, now);
        if offers.is_empty() {
            let why = refused.map_or_else(|| why.clone(), |refused| format!("{why}; {refused}"));
            return self.call_a_person(id, phase_of(self.all.get(&id)), why, now, actions);
        }
        let context = self.context(id, &offers, now);
        let Some(incident) = self.all.get_mut(&id) else { return };
        let row = incident.condition.as_ref().and_then(|id| condition(id.as_str()));
        let mut facts = vec![
            ("kind of trouble", incident.error_type.to_string()),
            ("severity, 0 to 3", incident.severity.as_u8().to_string()),
            ("why the rules are unsure", why.clone()),
        ];
        facts.extend(context);
        facts.extend(row.map(|row| ("condition", row.id.clone())));
        facts.extend(row.map(|row| ("its cause", row.cause.clone())));
        facts.extend(incident.facts.iter().map(|(name, value)| ("fact", format!("{name} = {value}"))));
        let offer = |answer: &Answer| format!("{} ({})", answer.action, answer.name());
        let consultation = Consultation {
            facts,
            excerpts: incident.evidence.iter().map(|entry| whole_words(&entry.excerpt).to_owned()).collect(),
            offers: offers.iter().map(offer).collect(),
            names: vec![(incident.host.to_string(), "host"), (incident.instance.to_string(), "instance")],
        };
        incident.stage = Stage::Consulting { since, asked_at: now, offers, company, why, told: false };
        actions.push(Action::Consult { incident: id, consultation: Box::new(consultation) });
    }

    /// How often it came, what else ails the instance, what was done lately, and how the offers have fared here.
    fn context(&self, id: IncidentId, offers: &[Answer], now: Timestamp) -> Vec<(&'static str, String)> {
        let Some(incident) = self.all.get(&id) else { return Vec::new() };
        let condition = incident.condition.as_ref().map_or("", |id| id.as_str());
        let restarts = self.remediations.restarts(&incident.instance, now).len();
        let mut told = vec![
            ("entries so far", often(incident.entries).to_owned()),
            ("restarts of the instance that are known of lately", restarts.to_string()),
        ];
        let open = self.all.values().filter(|other| other.id != id && !other.is_closed());
        let others = open.filter(|other| other.instance == incident.instance).take(OTHERS);
        told.extend(others.map(|other| ("other open trouble of the instance", other.matter.clone())));
        for runbook in offers.iter().flat_map(|offer| &offer.runbooks) {
            let known = self.learning.of(condition, runbook, &incident.instance);
            let (helped, failed) = known.map_or((0, 0), |known| (known.successes, known.failures));
            told.push((
                "tried before on this instance",
                format!("{runbook} helped {helped} times, failed {failed} times"),
            ));
        }
        told
    }

    /// The facts about a text that nobody knows are there: is there anything to choose from?
    pub(crate) fn inquired(
        &mut self,
        id: IncidentId,
        gathered: &Gathered,
        since: Timestamp,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let (analysis, why) = (self.limits.analysis, "nobody knows this text, and it is grave".to_owned());
        let Some(incident) = self.all.get_mut(&id) else { return };
        match gathered {
            // The next tick asks again.
            Gathered::Silent { .. } if now < since + analysis => return,
            Gathered::Answers(answers) | Gathered::Silent { answers, .. } => {
                answer::learn(&mut incident.facts, answers);
            }
            Gathered::NotServed(_) => {}
        }
        let offers = supported(incident);
        self.consult(id, offers, Vec::new(), why, (since, now), actions);
    }

    pub(crate) fn advised(
        &mut self,
        id: IncidentId,
        advice: &Advice,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(incident) = self.all.get_mut(&id) else { return };
        let Stage::Consulting { since, offers, company, why, .. } = &incident.stage else { return };
        let (since, why, company) = (*since, why.clone(), company.clone());
        if incident.in_hand {
            // Nothing is done under the hands of a person.
            return self.close(id, CloseReason::Acknowledged, now, actions);
        }
        match advice {
            Advice::Chosen { offer, by } if *offer < offers.len() => {
                let answer = offers[*offer].clone();
                incident.advice = Some(by.clone());
                self.attempt(id, answer, company, since, now, actions);
            }
            Advice::Chosen { .. } => {
                self.without_advice(id, &why, "what it chose was not offered", now, actions);
            }
            Advice::None(reason) => self.without_advice(id, &why, reason, now, actions),
        }
    }

    /// It takes its time: a person need not wait for it.
    pub(crate) fn first_word(&mut self, id: IncidentId, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(incident) = self.all.get_mut(&id) else { return };
        let Stage::Consulting { why, told, .. } = &mut incident.stage else { return };
        *told = true;
        let why = format!("{why}; a model is asked, and has not answered yet");
        self.tell_meanwhile(id, why, now, actions);
    }

    /// What the rules say stands.
    pub(crate) fn without_advice(
        &mut self,
        id: IncidentId,
        why: &str,
        reason: &str,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        match self.all.get_mut(&id) {
            Some(incident) if incident.in_hand => {
                return self.close(id, CloseReason::Acknowledged, now, actions);
            }
            // A person has heard the first word already, and there is no other.
            Some(incident) if matches!(incident.stage, Stage::Consulting { told: true, .. }) => {
                incident.stage = Stage::Person;
                return;
            }
            _ => {}
        }
        let phase = phase_of(self.all.get(&id));
        self.call_a_person(id, phase, format!("{why}; and a model was of no help: {reason}"), now, actions);
    }
}

/// In rough words: the same trouble is the same question, however many entries of it came by chance.
const fn often(entries: u64) -> &'static str {
    match entries {
        0..=1 => "one",
        2..=9 => "a few",
        10..=99 => "dozens",
        _ => "hundreds or more",
    }
}

/// A text that nobody knows is not past triage.
fn phase_of(incident: Option<&Incident>) -> DiagnosisPhase {
    match incident.and_then(|incident| incident.condition.as_ref()) {
        Some(_) => DiagnosisPhase::Analysis,
        None => DiagnosisPhase::Triage,
    }
}

/// An excerpt without the word that its end may have cut: half a secret does not look like one.
fn whole_words(excerpt: &str) -> &str {
    if excerpt.chars().count() < Evidence::MAX_EXCERPT {
        return excerpt;
    }
    excerpt.rsplit_once(' ').map_or("", |(whole, _)| whole)
}

/// What the kind of trouble and the facts support, without a word of the text.
fn supported(incident: &Incident) -> Vec<Answer> {
    let kind = incident.error_type.as_str();
    let shown = |row: &&Runbook| {
        !row.cures || row.precondition.iter().any(|given| given.shows_trouble(&incident.facts))
    };
    let of_kind = runbooks().iter().filter(|row| row.error_type.as_str() == kind).filter(shown);
    of_kind.filter_map(|row| answer::answer(&row.id, &incident.facts).ok()).collect()
}
