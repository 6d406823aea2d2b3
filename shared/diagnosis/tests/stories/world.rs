//! A core with a clock, an instance whose agents answer, and a router that says what it is told to say.

use std::collections::BTreeMap;

use instance_contract::{
    Accepted, AgentKind, Decision, Digest, Finding, IncidentAcknowledged, IncidentId, IrisMessage,
    OverallStatus, RemediationCommand, RemediationId, Severity, StepStatus, ToolResult, Totals,
    WorkflowTrace, subject,
};
use instance_diagnosis::{Action, Advice, Consultation, Event, Gathered, Incidents, Limits, Record};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub const PANIC: &str = "Insufficient global buffers - WRTDMN in panic mode";
pub const DIED: &str = "Daemon WRTDMN (pid 4411) died. Freezing system";

pub struct World {
    pub core: Incidents,
    pub now: Timestamp,
    pub records: Vec<(String, Record)>,
    pub published: Vec<RemediationCommand>,
    pub asked: Vec<IncidentId>,
    /// What `iris qlist` says of the instance.
    pub health: &'static str,
    /// What a model was asked.
    pub consulted: Vec<(IncidentId, Consultation)>,
    drawn: u128,
}

impl World {
    pub fn new() -> Self {
        Self::with(Limits { dry_run_first: false, ..Limits::default() })
    }

    pub fn with(limits: Limits) -> Self {
        let now = "2026-11-21T08:00:00Z".parse().unwrap();
        let core = Incidents::new(limits);
        Self {
            core,
            now,
            records: Vec::new(),
            published: Vec::new(),
            asked: Vec::new(),
            health: "hung",
            consulted: Vec::new(),
            drawn: 0,
        }
    }

    /// An entry that nobody has seen before.
    pub fn message(&mut self, text: &str, severity: u8, process: u32) -> IrisMessage {
        self.drawn += 1;
        let id = uuid::Uuid::from_u128(self.drawn).to_string();
        let document = json!({
            "schema": "instance.v1.iris_message", "message_id": id,
            "trace_id": "0af7651916cd43dd8448eb211c80319c", "host": "db1", "instance": "PROD",
            "origin": "observed", "timestamp": null, "occurred_at": null,
            "generated_at": "2026-11-21T08:00:00Z", "process_id": process, "severity": severity,
            "category": "Generic.Event", "message_text": text, "raw": text, "error_type": "other",
            "condition": null,
        });
        IrisMessage::decode(document.to_string().as_bytes()).unwrap()
    }

    pub fn says(&mut self, text: &str, severity: u8, process: u32) -> IrisMessage {
        let message = self.message(text, severity, process);
        self.take(&message);
        message
    }

    pub fn take(&mut self, message: &IrisMessage) {
        let actions = self.core.handle(&Event::Entry(message), self.now);
        self.perform(actions);
    }

    /// An entry that was published long ago.
    pub fn said_long_ago(&mut self, text: &str, severity: u8, process: u32) -> IrisMessage {
        let message = self.message(text, severity, process);
        let actions = self.core.handle(&Event::Stale(&message), self.now);
        self.perform(actions);
        message
    }

    /// A person says that an incident is in hand, in the log first.
    pub fn acknowledges(&mut self, incident: IncidentId) {
        self.acknowledges_as(incident, None, false);
    }

    /// As [`World::acknowledges`], having seen that finding, and maybe allowing another try.
    pub fn acknowledges_as(&mut self, incident: IncidentId, seen_finding: Option<u32>, try_again: bool) {
        let record = self.writes_acknowledgement(incident, seen_finding, try_again);
        let actions = self.core.handle(&Event::Acknowledged(&record), self.now);
        self.perform(actions);
    }

    /// It stands in the log, and the core has not heard of it.
    pub fn writes_acknowledgement(
        &mut self,
        incident: IncidentId,
        seen_finding: Option<u32>,
        try_again: bool,
    ) -> IncidentAcknowledged {
        let finding = self.findings().into_iter().find(|it| it.incident_id == incident).unwrap();
        let record = IncidentAcknowledged {
            schema: IncidentAcknowledged::SCHEMA.to_owned(),
            trace_id: finding.trace_id.clone(),
            incident_id: incident,
            by: "ada".to_owned(),
            at: self.now,
            note: None,
            seen_finding,
            try_again,
        };
        let subject = subject::incident(&finding.instance, incident, subject::IncidentRecord::Acknowledged);
        self.records.push((subject.to_string(), Record::Acknowledged(record.clone())));
        record
    }

    /// Incidents that ask for a person and were acknowledged by nobody, as the inbox sees them: their findings' severities.
    pub fn inbox(&self) -> Vec<(IncidentId, Severity)> {
        let acknowledged = |id: IncidentId| {
            self.records.iter().any(|(_, it)| matches!(it, Record::Acknowledged(it) if it.incident_id == id))
        };
        let mut waits = BTreeMap::new();
        for finding in self.findings() {
            if matches!(finding.decision, Decision::Person { .. }) && !acknowledged(finding.incident_id) {
                waits.insert(finding.incident_id, finding.severity);
            }
        }
        waits.into_iter().collect()
    }

    pub fn later(&mut self, milliseconds: i64) {
        self.now += SignedDuration::from_millis(milliseconds);
        let actions = self.core.handle(&Event::Tick, self.now);
        self.perform(actions);
    }

    /// The agents answer whatever was asked.
    pub fn agents_answer(&mut self, globals: &str) {
        self.agents_answer_with(globals, 0);
    }

    /// The same on a host with so many huge pages.
    pub fn agents_answer_with(&mut self, globals: &str, huge_pages: u32) {
        let os = json!({"memory": {"total_kb": 16_777_216, "huge_page_kb": 2048},
            "shared_memory_mb_by_cpf": 800, "parameters": {"vm.nr_hugepages": {"value": huge_pages.to_string()}}});
        let config = json!({"globals": globals, "values": {"config": {"globals": globals}}});
        let restart = json!({"state": "running", "health": self.health, "users": {"sessions": 0, "open_transactions": 0}});
        self.gathered(&Gathered::Answers(BTreeMap::from([
            (AgentKind::Os, os),
            (AgentKind::Config, config),
            (AgentKind::Restart, restart),
        ])));
    }

    pub fn gathered(&mut self, gathered: &Gathered) {
        for incident in std::mem::take(&mut self.asked) {
            let event = Event::Gathered { incident, gathered: gathered.clone() };
            let actions = self.core.handle(&event, self.now);
            self.perform(actions);
        }
    }

    /// A model answers what it was asked last.
    pub fn advised(&mut self, advice: Advice) {
        let (incident, _) = self.consulted.pop().unwrap();
        let actions = self.core.handle(&Event::Advised { incident, advice }, self.now);
        self.perform(actions);
    }

    /// A router takes a command.
    pub fn accepts(&mut self, command: &RemediationCommand) {
        self.accepts_under(command, "");
    }

    /// A router takes a command under that policy.
    pub fn accepts_under(&mut self, command: &RemediationCommand, policy: &str) {
        let accepted = Accepted {
            schema: Accepted::SCHEMA.to_owned(),
            trace_id: command.trace_id.clone(),
            remediation_id: RemediationId::from(command.command_id),
            command: command.clone(),
            command_digest: Digest::of(b"a command"),
            accepted_at: self.now,
            deadline: self.now,
            policy: policy.to_owned(),
            plan: None,
            facts: None,
            traceparent: None,
        };
        let actions = self.core.handle(&Event::Accepted(&accepted), self.now);
        self.perform(actions);
    }

    /// The router sends a step of it.
    pub fn steps(&mut self, command: &RemediationCommand) {
        let event = Event::Stepped(RemediationId::from(command.command_id));
        let actions = self.core.handle(&event, self.now);
        self.perform(actions);
    }

    /// A remediation ends; what was not refused has executed a step.
    pub fn ends(&mut self, command: &RemediationCommand, status: OverallStatus) {
        let step = match status {
            OverallStatus::Refused | OverallStatus::Expired => StepStatus::Skipped,
            OverallStatus::DryRun => StepStatus::DryRun,
            _ => StepStatus::Success,
        };
        self.ends_with(command, status, Some(step));
    }

    /// As [`World::ends`], with that step; a command that could not be read has none and stands in no trace.
    pub fn ends_with(
        &mut self,
        command: &RemediationCommand,
        status: OverallStatus,
        step: Option<StepStatus>,
    ) {
        let trace = WorkflowTrace {
            schema: WorkflowTrace::SCHEMA.to_owned(),
            trace_id: command.trace_id.clone(),
            remediation_id: RemediationId::from(command.command_id),
            command_received: step.map(|_| command.clone()),
            initiated_at: self.now,
            steps_executed: step.map(|step| result(command, step)).into_iter().collect(),
            overall_status: status,
            failed_at_step: None,
            verification: None,
            completion_time_ms: 0,
            totals: Totals::default(),
            plan_digest: None,
            planned: Vec::new(),
            warnings: Vec::new(),
            reason: (status != OverallStatus::Success).then(|| "because".to_owned()),
            faults: Vec::new(),
        };
        let actions = self.core.handle(&Event::Ended(&trace), self.now);
        self.perform(actions);
    }

    pub fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Gather { incident, .. } => self.asked.push(incident),
                Action::Consult { incident, consultation } => self.consulted.push((incident, *consultation)),
                Action::Record { subject, record, .. } => {
                    let subject = subject.to_string();
                    let known = self.records.iter().find(|(written, _)| *written == subject);
                    assert!(known.is_none(), "{subject} is written twice");
                    self.records.push((subject, *record));
                }
                Action::Publish { command, .. } => self.published.push(*command),
            }
        }
    }

    /// Another core that has read the first `count` records; nothing else of this one is left.
    pub fn dies_after(&mut self, count: usize) {
        self.reads(count, self.now);
    }

    /// As [`World::dies_after`], all records being as old as that.
    pub fn reads(&mut self, count: usize, written_at: Timestamp) {
        self.records.truncate(count);
        self.core = Incidents::new(Limits { dry_run_first: false, ..Limits::default() });
        for (subject, record) in self.records.clone() {
            let (id, kind) = subject::parse_incident(&subject).unwrap();
            let bytes = record.to_json().unwrap();
            self.core.replay(id, kind, Record::read(kind, &bytes).unwrap(), written_at);
        }
        let actions = self.core.resume(self.now);
        self.perform(actions);
    }

    pub fn findings(&self) -> Vec<&Finding> {
        let findings = self.records.iter().filter_map(|(_, record)| match record {
            Record::Finding(finding) => Some(finding),
            _ => None,
        });
        findings.collect()
    }

    /// The decisions so far, one word each.
    pub fn decisions(&self) -> Vec<&'static str> {
        let word = |finding: &&Finding| match finding.decision {
            Decision::Remediation { .. } => "remediation",
            Decision::Person { .. } => "person",
            Decision::Nothing { .. } => "nothing",
            Decision::Wait { .. } => "wait",
        };
        self.findings().iter().map(word).collect()
    }

    /// Kinds of all records, in order.
    pub fn kinds(&self) -> Vec<String> {
        let kind = |(subject, _): &(String, Record)| {
            let (_, kind) = subject::parse_incident(subject).unwrap();
            kind.to_string().split('.').next().unwrap().to_owned()
        };
        self.records.iter().map(kind).collect()
    }

    pub fn last_command(&self) -> RemediationCommand {
        self.published.last().unwrap().clone()
    }
}

fn result(command: &RemediationCommand, status: StepStatus) -> ToolResult {
    let document = json!({
        "schema": ToolResult::SCHEMA, "trace_id": command.trace_id, "tool_name": "iris_restart",
        "command_id": command.command_id, "remediation_id": RemediationId::from(command.command_id),
        "step_id": "restart", "attempt": 1, "status": status, "execution_time_ms": 0, "error_code": null,
        "error_message": null, "requires_user_action": false, "rollback_available": false,
        "agent": {"name": "restart-agent", "version": "0.1.0", "host": "db1"},
    });
    serde_json::from_value(document).unwrap()
}

/// For a fact that a test looks at.
pub fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}
