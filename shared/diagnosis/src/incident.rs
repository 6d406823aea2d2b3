//! One incident as it is kept in memory.

use std::collections::BTreeSet;

use instance_contract::{
    CloseReason, CommandId, ConditionId, Decision, DiagnosisPhase, Digest, ErrorType, Evidence, Finding,
    HostName, IncidentId, InstanceName, MessageId, RaisedBy, RemediationId, Severity, TraceId,
};
use instance_knowledge::{Facts, condition};
use jiff::Timestamp;

use crate::{answer::Answer, entry::Sighting, event::DryRun, severity};

#[derive(Clone)]
pub(crate) struct Incident {
    pub(crate) id: IncidentId,
    pub(crate) trace_id: TraceId,
    pub(crate) instance: InstanceName,
    pub(crate) host: HostName,
    /// What it is about; see [`Sighting::matter`].
    pub(crate) matter: String,
    pub(crate) condition: Option<ConditionId>,
    pub(crate) error_type: ErrorType,
    pub(crate) severity: Severity,
    /// The highest digit that IRIS wrote.
    pub(crate) written: Severity,
    pub(crate) raised_by: BTreeSet<RaisedBy>,
    /// How sure one can be of what it is, in percent: as sure as of its surest entry.
    pub(crate) confidence: u8,
    pub(crate) folded: String,
    pub(crate) fingerprint: Digest,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) entries: u64,
    /// Entries whose meaning is not settled yet, for the shell: see [`crate::Incidents::awaits`].
    pub(crate) held: BTreeSet<MessageId>,
    pub(crate) opened_at: Timestamp,
    pub(crate) last_seen: Timestamp,
    pub(crate) facts: Facts,
    /// Does the log tell of it?
    pub(crate) is_opened: bool,
    /// The runbooks of the last command.
    pub(crate) runbook: Option<String>,
    /// Who has chosen its answer, when it was not the rules.
    pub(crate) advice: Option<String>,
    /// How many were written.
    pub(crate) findings: u32,
    /// Commands that were decided on.
    pub(crate) attempts: u32,
    /// Does a person have it in hand, while something of it still goes on?
    pub(crate) in_hand: bool,
    /// What a person was asked last: number of the finding, phase, why.
    pub(crate) asked: Option<(u32, DiagnosisPhase, String)>,
    /// The finding up to which a person has seen it, once it was acknowledged.
    pub(crate) seen_up_to: Option<u32>,
    /// Is it made of entries that were too old to act on? What is said now is another matter.
    pub(crate) stale: bool,
    /// The remediation whose echo its entries may be: nobody knows the text, and it was written while that one worked.
    pub(crate) echo_of: Option<RemediationId>,
    /// The newest remediation that was to cure it.
    pub(crate) tried: Option<RemediationId>,
    pub(crate) stage: Stage,
}

/// How far it has come.
#[derive(Clone)]
pub(crate) enum Stage {
    /// Nobody knows the text: does its cause show?
    Triage {
        until: Timestamp,
    },
    /// The agents are asked.
    Gathering {
        since: Timestamp,
        /// When they have answered without a decision following; `None` while they answer, and are not asked the same again.
        answered_at: Option<Timestamp>,
    },
    /// An answer is known; other trouble of the instance may come within that time, and share its restart.
    Company {
        since: Timestamp,
        until: Timestamp,
        runbook: &'static str,
    },
    /// The answer of another incident serves this one too, and is on its way.
    Carried {
        since: Timestamp,
        runbook: &'static str,
    },
    /// The rules are unsure, and a model is asked.
    Consulting {
        since: Timestamp,
        asked_at: Timestamp,
        offers: Vec<Answer>,
        company: Vec<IncidentId>,
        why: String,
        /// Was a person told meanwhile?
        told: bool,
    },
    /// A dry run is under way.
    Trying {
        since: Timestamp,
        dry: DryRun,
        answer: Box<Answer>,
        company: Vec<IncidentId>,
    },
    /// A command was published.
    UnderWay {
        since: Timestamp,
        command: CommandId,
        runbook: String,
        targets: Vec<String>,
        cures: bool,
    },
    /// A person was told.
    Person,
    /// The same answer is under way or too fresh; until when a later entry changes nothing.
    Waiting {
        since: Timestamp,
        until: Timestamp,
    },
    Nothing,
    Closed {
        at: Timestamp,
        why: CloseReason,
    },
}

impl Incident {
    pub(crate) fn open(id: IncidentId, sighting: &Sighting<'_>, now: Timestamp, stage: Stage) -> Self {
        let message = sighting.message;
        let mut incident = Self {
            id,
            trace_id: message.trace_id.clone(),
            instance: message.instance.clone(),
            host: message.host.clone(),
            matter: sighting.matter(),
            condition: sighting.condition_id(),
            error_type: message.error_type,
            severity: sighting.severity,
            written: message.severity,
            raised_by: BTreeSet::new(),
            confidence: 0,
            folded: sighting.folded.clone(),
            fingerprint: sighting.fingerprint.clone(),
            evidence: Vec::new(),
            entries: 0,
            held: BTreeSet::new(),
            opened_at: now,
            last_seen: now,
            facts: Facts::default(),
            is_opened: false,
            runbook: None,
            advice: None,
            findings: 0,
            attempts: 0,
            in_hand: false,
            asked: None,
            seen_up_to: None,
            stale: false,
            echo_of: None,
            tried: None,
            stage,
        };
        incident.take(sighting, now);
        incident
    }

    /// One more entry of the same trouble.
    pub(crate) fn take(&mut self, sighting: &Sighting<'_>, now: Timestamp) {
        self.entries += sighting.times();
        self.last_seen = self.last_seen.max(now);
        self.raised_by.extend(sighting.raised_by.iter().copied());
        // An entry that only belongs here by time or likeness says nothing of what the others mean.
        if sighting.condition_id() == self.condition {
            self.confidence = self.confidence.max(sighting.confidence());
        }
        if let Some(row) = sighting.condition {
            self.facts.learn_from_entry(&row.id, sighting.message.message_text.as_str());
        }
        self.severity = self.severity.max(sighting.severity);
        self.written = self.written.max(sighting.message.severity);
        if self.evidence.len() < Finding::MAX_EVIDENCE
            && !self.evidence.iter().any(|known| known.message_id == sighting.message.message_id)
        {
            self.evidence.push(sighting.evidence());
            if self.findings == 0 {
                self.held.insert(sighting.message.message_id);
            }
        }
    }

    /// May that entry be a part of it? Not of what is too old to act on, when it is said now: that may be acted on.
    pub(crate) fn takes(&self, sighting: &Sighting<'_>) -> bool {
        !self.stale || sighting.stale
    }

    /// Remembers what a finding asks of a person.
    pub(crate) fn asks(&mut self, finding: &Finding, number: u32) {
        if let Decision::Person { why, .. } = &finding.decision {
            self.asked = Some((number, finding.phase, why.clone()));
        }
    }

    /// What a person was asked and had not seen when it was acknowledged.
    pub(crate) fn unseen(&self) -> Option<(DiagnosisPhase, String)> {
        let (number, phase, why) = self.asked.as_ref()?;
        (*number > self.seen_up_to?).then(|| (*phase, why.clone()))
    }

    /// Is one too little sure of it to act without a person?
    pub(crate) fn is_unsure(&self) -> bool {
        self.confidence < severity::least_to_act(self.severity)
    }

    /// Was its text never seen with the severity that is written here? Other programs write into the log too.
    pub(crate) fn is_oddly_written(&self) -> bool {
        let row = self.condition.as_ref().and_then(|id| condition(id.as_str()));
        row.is_some_and(|row| !row.is_written_as(self.written.as_u8()))
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closed { .. })
    }

    /// Did that process write one of its entries?
    pub(crate) fn is_of_process(&self, process: Option<u32>) -> bool {
        process.is_some() && self.evidence.iter().any(|known| known.process_id == process)
    }
}
