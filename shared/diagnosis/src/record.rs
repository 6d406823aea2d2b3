//! How the records of an incident are made.

use std::collections::BTreeSet;

use instance_contract::{
    CloseReason, CommandId, Decision, DiagnosisPhase, Finding, FindingSource, IncidentClosed, IncidentOpened,
    IncidentOutcome, RaisedBy, RemediationId, WorkflowTrace, subject::IncidentRecord,
};
use instance_knowledge::condition;
use jiff::Timestamp;

use crate::{
    answer::{self, told},
    event::{Action, Record},
    incident::Incident,
    next_steps,
    remediations::ended_at,
};

impl Incident {
    /// Tells the log of it.
    pub(crate) fn opened(&mut self) -> Action {
        self.is_opened = true;
        let opened = IncidentOpened {
            schema: IncidentOpened::SCHEMA.to_owned(),
            trace_id: self.trace_id.clone(),
            incident_id: self.id,
            instance: self.instance.clone(),
            host: self.host.clone(),
            opened_at: self.opened_at,
            condition: self.condition.clone(),
            error_type: self.error_type,
            severity: self.severity,
            fingerprint: self.fingerprint.clone(),
            entries: self.evidence.iter().map(|known| known.message_id).collect(),
        };
        Action::record(&self.instance, self.id, IncidentRecord::Opened, Record::Opened(opened))
    }

    /// The next finding, not yet written.
    pub(crate) fn finding(
        &self,
        phase: DiagnosisPhase,
        decision: Decision,
        reasons: Vec<String>,
        now: Timestamp,
    ) -> Finding {
        let id = self.condition.as_ref().map(instance_contract::ConditionId::as_str);
        let (cause, _) = told(id);
        let row = id.and_then(condition);
        let raised: &BTreeSet<RaisedBy> = &self.raised_by;
        Finding {
            schema: Finding::SCHEMA.to_owned(),
            finding_id: self.id.finding(self.findings + 1),
            incident_id: self.id,
            trace_id: self.trace_id.clone(),
            instance: self.instance.clone(),
            host: self.host.clone(),
            found_at: now,
            title: next_steps::title(row, self.severity, &self.instance),
            phase,
            condition: self.condition.clone(),
            error_type: self.error_type,
            severity: self.severity,
            severity_raised_by: raised.iter().copied().collect(),
            confidence: self.confidence,
            cause,
            evidence: self.evidence.clone(),
            evidence_total: self.entries,
            facts: answer::written(&self.facts),
            reasons: reasons.into_iter().chain(self.advice.clone()).collect(),
            success_signs: next_steps::signs(row, &decision),
            next_steps: next_steps::next_steps(self.id, row, &decision),
            source: if self.advice.is_some() { FindingSource::Model } else { FindingSource::Rules },
            decision,
        }
    }

    /// Writes a finding.
    pub(crate) fn found(&mut self, finding: Finding) -> Action {
        self.findings += 1;
        self.asks(&finding, self.findings);
        self.held.clear();
        let kind = IncidentRecord::Finding(self.findings);
        Action::record(&self.instance, self.id, kind, Record::Finding(finding))
    }

    pub(crate) fn outcome(
        &self,
        command: CommandId,
        runbook: &str,
        trace: &WorkflowTrace,
    ) -> IncidentOutcome {
        IncidentOutcome {
            schema: IncidentOutcome::SCHEMA.to_owned(),
            trace_id: self.trace_id.clone(),
            incident_id: self.id,
            instance: self.instance.clone(),
            command_id: command,
            remediation_id: RemediationId::from(command),
            runbook: runbook.to_owned(),
            condition: self.condition.clone(),
            overall_status: trace.overall_status,
            ended_at: ended_at(trace),
            reason: trace.reason.clone(),
        }
    }

    pub(crate) fn closed(&self, why: CloseReason, now: Timestamp) -> Action {
        let closed = IncidentClosed {
            schema: IncidentClosed::SCHEMA.to_owned(),
            trace_id: self.trace_id.clone(),
            incident_id: self.id,
            closed_at: now,
            why,
            entries: self.entries,
        };
        Action::record(&self.instance, self.id, IncidentRecord::Closed, Record::Closed(closed))
    }
}
