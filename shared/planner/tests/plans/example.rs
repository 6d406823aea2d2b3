//! A command, agents to whom every change is one from old to new, and a plan as a person would read it.

use std::fmt::Write as _;

use expect_test::Expect;
use instance_contract::{
    Action, AgentKind, ConditionId, Facts, Forecast, ForecastReply, Older, RemediationCommand, TraceId,
};
use instance_planner::{Policy, plan, questions};
use serde_json::{Value, json};

pub fn command(work: &Value) -> RemediationCommand {
    let mut value = json!({
        "schema": RemediationCommand::SCHEMA, "command_id": "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8",
        "trace_id": "0123456789abcdef0123456789abcdef", "instance": "PROD", "severity": 2,
        "recommended_action": "as the runbook says", "requested_by": "test", "issued_at": "2026-11-21T08:00:00Z",
    });
    value.as_object_mut().unwrap().extend(work.as_object().unwrap().clone());
    let older = Older::nothing(TraceId::from_bytes([1; 16]), "2026-11-21T08:00:00Z".parse().unwrap());
    RemediationCommand::decode(value.to_string().as_bytes(), &older).unwrap()
}

/// A restart and nothing else.
pub fn restart() -> RemediationCommand {
    command(&json!({"error_type": "other", "requires_restart": true,
        "execution_order": ["iris_restart"], "parameters": {}}))
}

/// A restart and nothing else, as a step with parameters of its own.
pub fn restart_with(parameters: &Value) -> RemediationCommand {
    command(&json!({"error_type": "other", "requires_restart": true,
        "steps": [{"id": "restart", "tool": "iris_restart", "parameters": parameters}]}))
}

/// Every agent says: old becomes new, and a restart is needed.
pub fn facts(command: &RemediationCommand) -> Facts {
    let mut facts = Facts::default();
    for agent in AgentKind::ALL {
        facts.hosts.insert(*agent, "db1".parse().unwrap());
    }
    for question in questions(command) {
        let reply = match question.action {
            Action::CheckLicense(_) => ForecastReply::ReadOnly { warnings: Vec::new() },
            Action::ChangeCpf(change) => ForecastReply::Would(Forecast {
                unknown_version: None,
                target: change.target(),
                before: change.state(|_, _| Some("old")),
                after: change.state(|section, _| (section == "config").then_some("new")),
                needs_restart: true,
                may_be_live: false,
                restart_reason: "read at start".to_owned(),
                dangerous: false,
                warnings: Vec::new(),
            }),
            _ => ForecastReply::Would(Forecast {
                unknown_version: None,
                target: format!("target of {}", question.step),
                before: "old".to_owned(),
                after: "new".to_owned(),
                needs_restart: true,
                may_be_live: false,
                restart_reason: "read at start".to_owned(),
                dangerous: false,
                warnings: Vec::new(),
            }),
        };
        facts.forecasts.insert(question.step, reply);
    }
    facts
}

/// As [`facts`], with every forecast changed.
pub fn facts_with(command: &RemediationCommand, change: impl Fn(&mut Forecast)) -> Facts {
    let mut facts = facts(command);
    for reply in facts.forecasts.values_mut() {
        let ForecastReply::Would(forecast) = reply else { panic!("a change is forecast: {reply:?}") };
        change(forecast);
    }
    facts
}

pub fn check(work: &Value, expected: Expect) {
    let command = command(work);
    let plan = plan(&command, &facts(&command), &Policy::default()).unwrap();
    let mut text = String::new();
    for step in &plan.steps {
        let what = match (&step.action, &step.change) {
            (Action::Verify(verify), _) => {
                let expect: Vec<String> = verify.expect.iter().map(|e| format!("{e:?}")).collect();
                let quiet: Vec<&str> = verify.quiet.iter().map(ConditionId::as_str).collect();
                format!("expects {}; quiet {}", expect.join(", "), quiet.join(", "))
            }
            (_, Some(change)) => format!("{}: {} -> {}", change.target, change.before, change.after),
            _ => String::new(),
        };
        writeln!(
            text,
            "{:8} {:13} {:7} {what}",
            step.id.as_str(),
            step.agent.as_str(),
            format!("{:?}", step.risk)
        )
        .unwrap();
    }
    for (step, reason) in &plan.approvals {
        writeln!(text, "approval {step}: {reason}").unwrap();
    }
    for warning in &plan.warnings {
        // Every step says the same; once is enough to see.
        if !text.contains(warning) {
            writeln!(text, "warning {warning}").unwrap();
        }
    }
    expected.assert_eq(&text);
}
