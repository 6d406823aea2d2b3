//! From JSON to a command: every field, then the rules between fields.

mod cpf;

use self::cpf::{change_cpf, set_cpf, value};
use super::{Older, RemediationCommand, SimpleWork, StepGraph, StepRequest, Work};
use crate::{
    action::{Action, LicenseAction, LicenseCheck, RestartInstance, SetKernel},
    decode::{self, Fault, Faults, Fields, Node},
    ids::{MessageId, StepId},
    words::{ErrorType, Priority, Severity, TimeoutSeconds, Tool},
};

pub(super) fn decode(bytes: &[u8], older: &Older) -> Result<RemediationCommand, Faults> {
    let node = decode::tree(bytes, decode::MAX_COMMAND_BYTES)?;
    let fields = Fields::root(&node)?;
    let present = present_contract(&fields);

    let command_id = fields.text("command_id", fields.required("command_id"));
    let trace_id = fields.text("trace_id", needed(&fields, "trace_id", present));
    let instance = fields.text("instance", needed(&fields, "instance", present));
    let error_type: Option<ErrorType> = fields.text("error_type", fields.required("error_type"));
    let severity = fields.integer::<Severity, u8>("severity", fields.required("severity"), Severity::RULE);
    let recommended_action =
        fields.string("recommended_action", fields.required("recommended_action"), 1, 200);
    let requires_restart = fields.boolean("requires_restart", fields.required("requires_restart"));
    let dry_run = fields.boolean("dry_run", fields.optional("dry_run"));
    let timeout = fields.integer::<TimeoutSeconds, u32>(
        "timeout_seconds",
        fields.optional("timeout_seconds"),
        TimeoutSeconds::RULE,
    );
    let priority: Option<Priority> = fields.text("priority", fields.optional("priority"));
    let requested_by = fields.string("requested_by", needed(&fields, "requested_by", present), 1, 128);
    let issued_at = fields.instant("issued_at", needed(&fields, "issued_at", present));
    let caused_by = caused_by(&fields);
    let work = work(&fields, error_type, requires_restart);
    fields.close();

    if !present && instance.is_none() && !fields.has("instance") && older.instance.is_none() {
        let rule = "is required: this router has no default instance for commands of older senders";
        fields.note(Fault::new("instance", "", rule));
    }
    fields.verdict()?;
    let complete = "every fault was noted above";
    Ok(RemediationCommand {
        command_id: command_id.expect(complete),
        trace_id: trace_id.unwrap_or_else(|| older.trace_id.clone()),
        instance: instance.or_else(|| older.instance.clone()).expect(complete),
        error_type: error_type.expect(complete),
        severity: severity.expect(complete),
        recommended_action: recommended_action.expect(complete),
        dry_run: dry_run.unwrap_or(false),
        timeout_seconds: timeout.unwrap_or(TimeoutSeconds::DEFAULT),
        priority: priority.unwrap_or_default(),
        requested_by: requested_by.unwrap_or_else(|| older.requested_by.clone()),
        issued_at: issued_at.unwrap_or(older.issued_at),
        caused_by,
        work: work.expect(complete),
    })
}

/// Is this the present contract (it names its schema), or that of an older sender?
fn present_contract(fields: &Fields<'_>) -> bool {
    let Some(schema) = fields.optional("schema") else {
        return fields.has("schema");
    };
    if schema.as_str() != Some(RemediationCommand::SCHEMA) {
        fields.note(Fault::new("schema", schema, format!("must be {}", RemediationCommand::SCHEMA)));
    }
    true
}

fn needed<'a>(fields: &Fields<'a>, name: &'static str, present: bool) -> Option<&'a Node> {
    if present { fields.required(name) } else { fields.optional(name) }
}

fn caused_by(fields: &Fields<'_>) -> Vec<MessageId> {
    let items = fields.array("caused_by", fields.optional("caused_by")).unwrap_or_default();
    if items.len() > 64 {
        fields.note(Fault::new("caused_by", items.len(), "must hold at most 64 message ids"));
        return Vec::new();
    }
    items.iter().filter_map(|item| fields.text("caused_by", Some(item))).collect()
}

/// The one form that is given, or `None` with the fault noted.
fn work(fields: &Fields<'_>, error_type: Option<ErrorType>, restart: Option<bool>) -> Option<Work> {
    let order = fields.optional("execution_order");
    let parameters = fields.optional("parameters");
    let steps = fields.optional("steps");
    let work = match (order, parameters, steps) {
        (None, None, Some(steps)) => graph(fields, steps).map(Work::Graph),
        (Some(order), Some(parameters), None) => {
            let order = tools(fields, order)?;
            simple(fields, &order, parameters, error_type).map(Work::Simple)
        }
        (None, Some(parameters), None) => routed(fields, parameters, error_type, restart?).map(Work::Routed),
        (Some(_), None, None) => {
            fields.note(Fault::new("parameters", "", "is required with execution_order"));
            None
        }
        (None, None, None) => {
            let rule = "is required: either execution_order with parameters, or steps";
            fields.note(Fault::new("execution_order", "", rule));
            None
        }
        (_, _, Some(steps)) => {
            fields.note(Fault::new("steps", steps, "must not stand beside execution_order or parameters"));
            None
        }
    }?;
    let holds_restart = match &work {
        Work::Simple(work) | Work::Routed(work) => work.execution_order().contains(&Tool::IrisRestart),
        Work::Graph(graph) => graph.steps().iter().any(|step| step.tool == Tool::IrisRestart),
    };
    if restart.is_some_and(|restart| restart != holds_restart) {
        let rule = "must be true exactly when the work holds iris_restart";
        fields.note(Fault::new("requires_restart", !holds_restart, rule));
    }
    Some(work)
}

fn tools(fields: &Fields<'_>, node: &Node) -> Option<Vec<Tool>> {
    let Node::Array(items) = node else {
        fields.note(Fault::new("execution_order", node, "must be an array of tools"));
        return None;
    };
    let tools: Vec<Tool> =
        items.iter().filter_map(|item| fields.text("execution_order", Some(item))).collect();
    if items.is_empty() {
        fields.note(Fault::new("execution_order", node, "must hold 1 to 3 tools"));
    }
    let repeated = tools.iter().enumerate().find(|(index, tool)| tools[..*index].contains(tool));
    if let Some((_, tool)) = repeated {
        fields.note(Fault::new("execution_order", tool, "must not repeat a tool"));
        return None;
    }
    (tools.len() == items.len() && !tools.is_empty()).then_some(tools)
}

fn simple(
    fields: &Fields<'_>,
    order: &[Tool],
    parameters: &Node,
    error_type: Option<ErrorType>,
) -> Option<SimpleWork> {
    let inner = fields.inner("parameters".to_owned(), parameters)?;
    let several = inner.has("changes");
    let work = match (error_type?, order) {
        (_, [Tool::IrisRestart]) => Some(SimpleWork::Restart(restart(&inner))),
        (ErrorType::Config, [Tool::IrisConfig]) if several => {
            change_cpf(&inner).map(|change| SimpleWork::Change { change, restart: false })
        }
        (ErrorType::Config, [Tool::IrisConfig, Tool::IrisRestart]) if several => {
            change_cpf(&inner).map(|change| SimpleWork::Change { change, restart: true })
        }
        (ErrorType::Config, [Tool::IrisConfig]) => {
            set_cpf(&inner).map(|set| SimpleWork::Config { set, restart: false })
        }
        (ErrorType::Config, [Tool::IrisConfig, Tool::IrisRestart]) => {
            set_cpf(&inner).map(|set| SimpleWork::Config { set, restart: true })
        }
        (ErrorType::Resource, [Tool::OsConfig]) => {
            set_kernel(&inner).map(|set| SimpleWork::Kernel { set, restart: false })
        }
        (ErrorType::Resource, [Tool::OsConfig, Tool::IrisRestart]) => {
            set_kernel(&inner).map(|set| SimpleWork::Kernel { set, restart: true })
        }
        (ErrorType::License, [Tool::IrisConfig]) => license(&inner).map(SimpleWork::License),
        (error_type, order) => {
            let order: Vec<&str> = order.iter().map(|tool| tool.as_str()).collect();
            let rule = format!(
                "does not fit error_type {error_type}: config takes iris_config, then maybe iris_restart; resource \
                 takes os_config, then maybe iris_restart; license takes iris_config alone; iris_restart alone fits \
                 any; for anything else use steps"
            );
            fields.note(Fault::new("execution_order", order.join(", "), rule));
            return None;
        }
    };
    inner.close();
    work
}

/// No order given: the shape of the parameters says which tools they are for.
fn routed(
    fields: &Fields<'_>,
    parameters: &Node,
    error_type: Option<ErrorType>,
    restart: bool,
) -> Option<SimpleWork> {
    let first = if parameters.get("kernel_param").is_some() {
        Some(Tool::OsConfig)
    } else if ["cpf_section", "changes", "action"].iter().any(|name| parameters.get(name).is_some()) {
        Some(Tool::IrisConfig)
    } else {
        None
    };
    let order: Vec<Tool> = first.into_iter().chain(restart.then_some(Tool::IrisRestart)).collect();
    if order.is_empty() {
        let rule = "fit no tool: give cpf_section, kernel_param or action, or ask for a restart";
        fields.note(Fault::new("parameters", parameters, rule));
        return None;
    }
    simple(fields, &order, parameters, error_type)
}

fn graph(fields: &Fields<'_>, node: &Node) -> Option<StepGraph> {
    let items = fields.array("steps", Some(node))?;
    let steps: Vec<StepRequest> = items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| step(&fields.inner(format!("steps[{index}]"), item)?))
        .collect();
    if steps.len() != items.len() && items.len() <= super::graph::MAX_STEPS {
        return None;
    }
    match StepGraph::new(steps) {
        Ok(graph) => Some(graph),
        Err(faults) => {
            for fault in faults {
                fields.note(fault);
            }
            None
        }
    }
}

fn step(fields: &Fields<'_>) -> Option<StepRequest> {
    let id: Option<StepId> = fields.text("id", fields.required("id"));
    let tool: Option<Tool> = fields.text("tool", fields.required("tool"));
    let parameters = fields.required("parameters");
    let dependencies = fields.array("depends_on", fields.optional("depends_on")).unwrap_or_default();
    let depends_on: Vec<StepId> =
        dependencies.iter().filter_map(|item| fields.text("depends_on", Some(item))).collect();
    let timeout_seconds = fields.integer::<TimeoutSeconds, u32>(
        "timeout_seconds",
        fields.optional("timeout_seconds"),
        TimeoutSeconds::RULE,
    );
    let retry = fields.boolean("retry", fields.optional("retry")).unwrap_or(true);
    fields.close();
    let tool = tool?;
    let inner = fields.inner(fields.at("parameters"), parameters?)?;
    let action = match tool {
        Tool::IrisConfig if parameters?.get("action").is_some() => license(&inner).map(Action::CheckLicense),
        Tool::IrisConfig if parameters?.get("changes").is_some() => change_cpf(&inner).map(Action::ChangeCpf),
        Tool::IrisConfig => set_cpf(&inner).map(Action::SetCpf),
        Tool::OsConfig => set_kernel(&inner).map(Action::SetKernel),
        Tool::IrisRestart => Some(Action::Restart(restart(&inner))),
    };
    inner.close();
    Some(StepRequest { id: id?, tool, action: action?, depends_on, timeout_seconds, retry })
}

fn restart(fields: &Fields<'_>) -> RestartInstance {
    let when_users_stay = fields.text("when_users_stay", fields.optional("when_users_stay"));
    RestartInstance {
        users_seconds: seconds(fields, "users_seconds", 0),
        stop_seconds: seconds(fields, "stop_seconds", 1),
        start_seconds: seconds(fields, "start_seconds", 1),
        when_users_stay,
        force: fields.boolean("force", fields.optional("force")).unwrap_or_default(),
        failover: fields.boolean("failover", fields.optional("failover")).unwrap_or_default(),
    }
}

fn seconds(fields: &Fields<'_>, name: &'static str, least: u32) -> Option<u32> {
    let most = RestartInstance::LONGEST_SECONDS;
    let rule = format!("an integer from {least} to {most}");
    let node = fields.optional(name)?;
    let value: u32 = fields.integer::<u32, u32>(name, Some(node), &rule)?;
    if (least..=most).contains(&value) {
        return Some(value);
    }
    fields.note(Fault::new(fields.at(name), node, format!("must be {rule}")));
    None
}

fn set_kernel(fields: &Fields<'_>) -> Option<SetKernel> {
    let kernel_param = fields.string("kernel_param", fields.required("kernel_param"), 1, 128);
    let new_value = value(fields, "new_value", fields.required("new_value"), 256);
    let bound = "an integer of 64 bits";
    let min_value = fields.integer::<i64, i64>("min_value", fields.optional("min_value"), bound);
    let max_value = fields.integer::<i64, i64>("max_value", fields.optional("max_value"), bound);
    if let (Some(min), Some(max)) = (min_value, max_value)
        && min > max
    {
        fields.note(Fault::new(fields.at("min_value"), min, "must not be above max_value"));
    }
    Some(SetKernel {
        kernel_param: kernel_param?,
        new_value: new_value?,
        min_value,
        max_value,
        with_cpf: Vec::new(),
    })
}

fn license(fields: &Fields<'_>) -> Option<LicenseCheck> {
    let node = fields.required("action")?;
    let action = match node.as_str() {
        Some("check_expiry") => LicenseAction::CheckExpiry,
        Some("validate_key") => LicenseAction::ValidateKey,
        Some("report_usage") => LicenseAction::ReportUsage,
        _ => {
            fields.note(Fault::new(fields.at("action"), node, format!("must be {}", LicenseAction::RULE)));
            return None;
        }
    };
    Some(LicenseCheck { action })
}
