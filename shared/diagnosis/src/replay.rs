//! The state from the log of incidents, after a start.

use std::collections::BTreeSet;

use instance_contract::{
    CloseReason, Decision, DiagnosisPhase, Finding, IncidentId, IncidentOpened, OverallStatus, RemediationId,
    Severity, subject::IncidentRecord,
};
use jiff::Timestamp;

use crate::{
    answer::{self, command_of},
    event::{Action, Record},
    fold,
    incident::{Incident, Stage},
    incidents::{Incidents, TOO_OLD},
};

impl Incidents {
    /// Takes a record of the log, in the order in which they stand there. `written_at` is the time of the server.
    pub fn replay(&mut self, id: IncidentId, kind: IncidentRecord, record: Record, written_at: Timestamp) {
        match record {
            Record::Opened(opened) => self.replay_opened(&opened, written_at),
            Record::Finding(finding) => {
                if let IncidentRecord::Finding(number) = kind {
                    self.replay_finding(finding, number, written_at);
                }
            }
            Record::Outcome(outcome) => {
                self.learning.learn(&outcome);
                self.in_doubt.remove(&id);
                if answer::cures(&outcome.runbook) {
                    self.unresolved.insert(id, outcome.overall_status);
                } else if let Some(incident) = self.all.get_mut(&id).filter(|it| !it.is_closed()) {
                    // Closed by its acknowledgement, which stands in the log beside it.
                    let why = CloseReason::Acknowledged;
                    incident.stage =
                        if incident.in_hand { Stage::Closed { at: written_at, why } } else { Stage::Person };
                }
            }
            Record::Acknowledged(acknowledged) => {
                self.heard_of(&acknowledged);
                let open = self.all.get_mut(&id).filter(|incident| !incident.is_closed());
                match open {
                    // Told anew at the end, unless that stands in the log.
                    Some(it) if it.unseen().is_some() => it.in_hand = true,
                    Some(it)
                        if matches!(it.stage, Stage::Person | Stage::Nothing | Stage::Waiting { .. }) =>
                    {
                        it.stage = Stage::Closed { at: written_at, why: CloseReason::Acknowledged };
                    }
                    Some(it) => it.in_hand = true,
                    None => {}
                }
            }
            Record::Closed(closed) => {
                self.unresolved.remove(&id);
                if let Some(incident) = self.all.get_mut(&id) {
                    incident.stage = Stage::Closed { at: closed.closed_at, why: closed.why };
                    incident.entries = closed.entries;
                }
            }
        }
        while self.all.len() > self.limits.incidents {
            let rank = |incident: &&Incident| (!incident.is_closed(), incident.last_seen, incident.id);
            let Some(oldest) = self.all.values().min_by_key(rank).map(|incident| incident.id) else { break };
            self.all.remove(&oldest);
            self.by_matter.retain(|_, id| *id != oldest);
        }
    }

    /// What a death has left undone, once everything was read back.
    pub fn resume(&mut self, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        for (id, finding) in std::mem::take(&mut self.in_doubt) {
            let Decision::Remediation { command_id, .. } = &finding.decision else { continue };
            // What another incident carries is asked for by that one. Asking again is asking once; a router that has it
            // already is spared.
            if is_own(&finding)
                && !self.remediations.knows(RemediationId::from(*command_id))
                && let Some(command) = command_of(&finding)
            {
                actions.push(Action::Publish { incident: id, command: Box::new(command) });
            }
            let looks = self.all.get(&id).is_some_and(|incident| {
                incident.findings == 1 && matches!(incident.stage, Stage::UnderWay { cures: false, .. })
            });
            if looks {
                self.only_looked(id, now, &mut actions);
            }
        }
        for (id, status) in std::mem::take(&mut self.unresolved) {
            if status == OverallStatus::Success {
                self.close(id, CloseReason::Verified, now, &mut actions);
            } else {
                let why = format!("the remediation ended with {}", status.as_str());
                self.call_a_person(id, DiagnosisPhase::Resolution, why, now, &mut actions);
            }
        }
        let is_told = |it: &Incident| {
            it.next_id().and_then(|next| self.all.get(&next)).is_some_and(|next| next.findings > 0)
        };
        let unseen = self.all.values().filter(|it| !it.is_closed() && !is_told(it));
        let unseen: Vec<_> = unseen.filter_map(|it| Some((it.id, it.unseen()?))).collect();
        for (id, (phase, why)) in unseen {
            self.tell_unseen(id, phase, why, now, &mut actions);
        }
        self.tell_followers(now, &mut actions);
        // What makes one that waits try again was not settled either, and must find it open.
        for incident in self.all.values_mut().filter(|it| matches!(it.stage, Stage::Waiting { .. })) {
            incident.last_seen = now;
        }
        // Their entries come again, for they were not settled; from now on there is time for that.
        for incident in self.all.values_mut().filter(|it| it.findings == 0 && !it.is_closed()) {
            incident.stage = Stage::Triage { until: now + self.limits.analysis };
        }
        actions
    }

    /// A death between the end of an incident that a person has in hand and what its follower was to tell them: its entries
    /// were settled long ago, so nobody else would.
    fn tell_followers(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let is_untold = |next: &IncidentId| {
            self.all.get(next).is_some_and(|next| next.findings == 0 && !next.is_closed())
        };
        let in_hand =
            |it: &&Incident| matches!(it.stage, Stage::Closed { why: CloseReason::Acknowledged, .. });
        let untold: Vec<(IncidentId, Incident)> = self
            .all
            .values()
            .filter(in_hand)
            .cloned()
            .filter_map(|it| Some((it.next_id().filter(is_untold)?, it)))
            .collect();
        for (id, known) in untold {
            let Some(next) = self.all.get_mut(&id) else { continue };
            let asked = known.asked.as_ref().map(|(_, phase, why)| (*phase, why.clone()));
            let (phase, why) = asked.unwrap_or_else(|| {
                (DiagnosisPhase::Resolution, "it was not over when it was acknowledged".to_owned())
            });
            (next.evidence, next.entries, next.facts) = (known.evidence, known.entries, known.facts);
            self.call_a_person(id, phase, why, now, actions);
        }
    }

    fn replay_opened(&mut self, opened: &IncidentOpened, at: Timestamp) {
        let matter = match &opened.condition {
            Some(id) => id.as_str().to_owned(),
            None => format!("text {}", opened.fingerprint),
        };
        let incident = Incident {
            id: opened.incident_id,
            trace_id: opened.trace_id.clone(),
            instance: opened.instance.clone(),
            host: opened.host.clone(),
            matter: matter.clone(),
            condition: opened.condition.clone(),
            error_type: opened.error_type,
            severity: opened.severity,
            written: Severity::Info,
            raised_by: BTreeSet::new(),
            // As its entries say, which come again, or its finding.
            confidence: 0,
            folded: String::new(),
            fingerprint: opened.fingerprint.clone(),
            evidence: Vec::new(),
            entries: 0,
            held: BTreeSet::new(),
            opened_at: opened.opened_at,
            last_seen: at,
            facts: instance_knowledge::Facts::default(),
            is_opened: true,
            runbook: None,
            findings: 0,
            advice: None,
            attempts: 0,
            in_hand: false,
            asked: None,
            seen_up_to: None,
            stale: false,
            echo_of: None,
            tried: None,
            stage: Stage::Triage { until: at },
        };
        self.by_matter.insert((opened.instance.clone(), matter), opened.incident_id);
        self.all.insert(opened.incident_id, incident);
    }

    fn replay_finding(&mut self, finding: Finding, number: u32, at: Timestamp) {
        for known in &finding.evidence {
            self.seen.is_new(known.message_id, self.limits.message_ids);
        }
        if finding.phase == DiagnosisPhase::Resolution {
            self.unresolved.remove(&finding.incident_id);
        }
        let again_after = self.limits.again_after;
        let Some(incident) = self.all.get_mut(&finding.incident_id) else { return };
        incident.findings = incident.findings.max(number);
        incident.asks(&finding, number);
        incident.folded =
            finding.evidence.first().map_or_else(String::new, |entry| fold::folded(&entry.excerpt));
        incident.written = finding.evidence.iter().map(|entry| entry.severity).max().unwrap_or_default();
        incident.severity = finding.severity;
        incident.confidence = finding.confidence;
        incident.raised_by.extend(finding.severity_raised_by.iter().copied());
        incident.evidence.clone_from(&finding.evidence);
        incident.entries = finding.evidence_total;
        incident.facts = answer::read(&finding.facts);
        incident.last_seen = at;
        match &finding.decision {
            Decision::Remediation { command_id, runbook, .. } => {
                incident.attempts += 1;
                incident.runbook = Some(runbook.clone());
                incident.tried = Some(RemediationId::from(*command_id));
                incident.stage = Stage::UnderWay {
                    since: finding.found_at,
                    command: *command_id,
                    runbook: runbook.clone(),
                    targets: command_of(&finding).map(|it| answer::targets(&it)).unwrap_or_default(),
                    cures: answer::cures(runbook),
                };
                self.in_doubt.insert(finding.incident_id, finding);
            }
            Decision::Person { why, .. } => {
                incident.stale |= why == TOO_OLD;
                // One who was told that the rules only look is told while they look.
                let looking = matches!(incident.stage, Stage::UnderWay { cures: false, .. });
                if !looking || finding.phase == DiagnosisPhase::Resolution {
                    incident.stage = Stage::Person;
                }
            }
            Decision::Nothing { .. } => incident.stage = Stage::Nothing,
            Decision::Wait { .. } => {
                incident.stage = Stage::Waiting { since: finding.found_at, until: at + again_after };
            }
        }
    }
}

/// Is its command its incident's own?
fn is_own(finding: &Finding) -> bool {
    let Decision::Remediation { command_id, runbook, .. } = &finding.decision else { return false };
    // More tries than these are never made.
    (1..=64).any(|attempt| finding.incident_id.command(runbook, attempt) == *command_id)
}
