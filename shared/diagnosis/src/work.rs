//! The work of a runbook as the work of a command.

use instance_contract::{
    Action, LicenseAction, LicenseCheck, RestartInstance, SetCpf, SetKernel, SimpleWork, StepGraph, StepId,
    StepRequest, Tool, Work,
};
use instance_knowledge::{
    ErrorType,
    runbook::{Change, Step, Work as Planned},
};

/// In the simple form where one change and maybe a restart are all, and the kind of trouble is the one that the simple
/// form knows it by; as a graph otherwise.
pub(crate) fn of(planned: &Planned) -> Result<Work, String> {
    let actions: Vec<Action> =
        planned.steps.iter().map(|step| action(&step.change)).collect::<Result<_, _>>()?;
    let simple = match actions.as_slice() {
        [Action::SetCpf(set)] => Some(SimpleWork::Config { set: set.clone(), restart: false }),
        [Action::SetCpf(set), Action::Restart(_)] => {
            Some(SimpleWork::Config { set: set.clone(), restart: true })
        }
        [Action::SetKernel(set)] => Some(SimpleWork::Kernel { set: set.clone(), restart: false }),
        [Action::SetKernel(set), Action::Restart(_)] => {
            Some(SimpleWork::Kernel { set: set.clone(), restart: true })
        }
        [Action::CheckLicense(check)] => Some(SimpleWork::License(check.clone())),
        [Action::Restart(restart)] => Some(SimpleWork::Restart(*restart)),
        _ => None,
    };
    let kind = planned.error_type;
    let fits = |simple: &SimpleWork| match simple {
        SimpleWork::Config { .. } | SimpleWork::Change { .. } => kind == ErrorType::Config,
        SimpleWork::Kernel { .. } => kind == ErrorType::Resource,
        SimpleWork::License(_) => kind == ErrorType::License,
        SimpleWork::Restart(_) => true,
    };
    match simple.filter(fits) {
        Some(simple) => Ok(Work::Simple(simple)),
        None => graph(&planned.steps, actions).map(Work::Graph),
    }
}

fn graph(steps: &[Step], actions: Vec<Action>) -> Result<StepGraph, String> {
    let id = |name: &str| name.parse::<StepId>().map_err(|error| error.to_string());
    let mut requests = Vec::new();
    for (step, action) in steps.iter().zip(actions) {
        let tool: Tool =
            step.change.tool().parse().map_err(|error: instance_contract::InvalidName| error.to_string())?;
        requests.push(StepRequest {
            id: id(&step.id)?,
            tool,
            action,
            depends_on: step.depends_on.iter().map(|name| id(name)).collect::<Result<_, _>>()?,
            timeout_seconds: None,
            retry: true,
        });
    }
    StepGraph::new(requests).map_err(|faults| {
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        format!("the steps are no legal command: {}", told.join("; "))
    })
}

fn action(change: &Change) -> Result<Action, String> {
    Ok(match change.clone() {
        Change::SetCpf { section, parameter, new_value, current_value } => {
            // Whoever else changes it meanwhile is not overwritten.
            Action::SetCpf(SetCpf { cpf_section: section, parameter, new_value, current_value })
        }
        Change::SetKernel { name, new_value } => {
            Action::SetKernel(SetKernel { kernel_param: name, new_value, min_value: None, max_value: None })
        }
        Change::CheckLicense { action } => {
            let known = [LicenseAction::CheckExpiry, LicenseAction::ValidateKey, LicenseAction::ReportUsage];
            let found = known.into_iter().find(|known| known.as_str() == action);
            let action = found.ok_or_else(|| format!("no license action is called \"{action}\""))?;
            Action::CheckLicense(LicenseCheck { action })
        }
        Change::Restart => Action::Restart(RestartInstance::default()),
    })
}

#[cfg(test)]
mod tests {
    use instance_contract::{Older, RemediationCommand, TraceId};
    use instance_knowledge::{
        FactKind, FactValue, Facts, fact,
        runbook::{Runbook, runbooks},
    };
    use serde_json::json;

    use super::*;

    /// Facts under which each runbook has something to do.
    fn facts(runbook: &Runbook) -> Facts {
        let mut facts = Facts::default();
        let mut set = |name: &str, value: &str| {
            let value = match fact(name).unwrap().kind {
                FactKind::Number => FactValue::Number(value.parse().unwrap()),
                FactKind::Flag => FactValue::Flag(value == "true"),
                FactKind::Text => FactValue::Text(value.to_owned()),
            };
            facts.set(name, value).unwrap();
        };
        for (name, value) in [
            ("host.memory-mb", "8192"),
            ("host.huge-page-kb", "2048"),
            ("host.huge-pages", "1"),
            ("memory.needed-mb", "9000"),
            ("memory.refused-mb", "742"),
            ("memory.refused-standard-mb", "9000"),
            ("cpf.globals", "0,0,256,0,0,0"),
            ("cpf.journal-directory", "/a/"),
            ("cpf.alternate-journal-directory", "/a/"),
            ("journal.directory-usable", "true"),
            ("journal.alternate-usable", "false"),
            ("journal.spare-directory", "/b/"),
            ("cpf.web-server", "1"),
            ("cpf.web-server-port", "80"),
            ("web-server.port-in-use", "80"),
            ("web-server.free-port", "81"),
        ] {
            set(name, value);
        }
        if runbook.id == "shrink-database-cache" {
            set("cpf.globals", "0,0,7000,0,0,0");
        }
        facts
    }

    #[test]
    fn the_command_of_every_runbook_passes_the_door_of_the_router() {
        for runbook in runbooks() {
            let planned = runbook.plan(&facts(runbook)).unwrap();
            let trace_id = TraceId::from_bytes([1; 16]);
            let issued_at = "2026-01-01T00:00:00Z".parse().unwrap();
            let command = RemediationCommand {
                work: of(&planned).unwrap(),
                error_type: planned.error_type.as_str().parse().unwrap(),
                recommended_action: planned.action.clone(),
                ..serde_json::from_value(json!({
                    "schema": RemediationCommand::SCHEMA, "command_id": "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8",
                    "trace_id": trace_id, "instance": "PROD", "error_type": "resource", "severity": 2,
                    "recommended_action": "x", "requires_restart": true, "requested_by": "analyst",
                    "issued_at": "2026-01-01T00:00:00Z", "execution_order": ["iris_restart"], "parameters": {},
                }))
                .unwrap()
            };
            let bytes = serde_json::to_vec(&command).unwrap();
            let read = RemediationCommand::decode(&bytes, &Older::nothing(trace_id, issued_at));
            assert_eq!(read.as_ref(), Ok(&command), "{}", runbook.id);
        }
    }
}
