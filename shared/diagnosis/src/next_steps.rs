//! What people are told beside the decision: a title, what shows that it is over, and what comes next. All of it is text of the
//! catalogue and of ours: no word of a log stands in it.

use instance_contract::{Decision, IncidentId, InstanceName, RemediationId, Severity};
use instance_knowledge::{
    Condition,
    runbook::{Runbook, runbook},
};

/// What is the matter, and with which instance.
pub(crate) fn title(row: Option<&Condition>, severity: Severity, instance: &InstanceName) -> String {
    match row {
        Some(row) => format!("{} on {instance}", row.title()),
        None => format!("Unknown trouble on {instance}, {}", severity.as_str()),
    }
}

/// How one will know that it is over, where no runbook says it better.
pub(crate) fn signs(row: Option<&Condition>, decision: &Decision) -> Vec<String> {
    match (decision, row) {
        (Decision::Nothing { .. }, _) => Vec::new(),
        (_, Some(row)) => vec![format!("no entry of {} comes any more", row.id)],
        (_, None) => vec!["no such entry comes any more".to_owned()],
    }
}

/// What comes next, in order; at least three, but none where nothing has to be done.
pub(crate) fn next_steps(id: IncidentId, row: Option<&Condition>, decision: &Decision) -> Vec<String> {
    match decision {
        Decision::Remediation { command_id, runbook, needs_approval, .. } => {
            let remediation = RemediationId::from(*command_id);
            let mut steps = Vec::new();
            if *needs_approval {
                steps.push(format!(
                    "A person agrees to the changes, or refuses them: instance approve {remediation}"
                ));
            }
            let runbooks: Vec<&Runbook> = runbook.split('+').filter_map(self::runbook).collect();
            steps.extend(runbooks.iter().map(|row| sentence(&row.action)));
            for row in &runbooks {
                let signs = row.verification.success_signs.join("; ");
                let what = if row.cures { "It has helped when" } else { "It was looked at when" };
                steps.push(sentence(&format!("{what} {signs}")));
            }
            let cures = runbooks.iter().all(|row| row.cures);
            steps
                .extend(by_hand(row, if cures { "If it has not helped, a person" } else { "A person then" }));
            steps.push(format!("The whole run of it: instance trace {remediation}"));
            steps
        }
        Decision::Person { what_to_do, .. } => {
            let mut steps = vec![format!("Say that it is in hand: instance inbox ack {id} --note TEXT")];
            match row.filter(|row| !row.gather.is_empty()) {
                Some(row) => steps.push(sentence(&format!("Look at {}", row.gather.join("; ")))),
                None => steps.push(format!("Read the entries that it rests on: instance incident {id}")),
            }
            steps.push(sentence(what_to_do));
            steps.push("See that no such entry comes any more.".to_owned());
            steps
        }
        Decision::Wait { why } => {
            let mut steps =
                vec![sentence(&format!("Wait: {why}")), "Should it go on, it is judged anew.".to_owned()];
            steps.extend(by_hand(row, "If that does not help either, a person"));
            steps
        }
        Decision::Nothing { .. } => Vec::new(),
    }
}

/// What a person does: what to look at, and what cures it.
fn by_hand(row: Option<&Condition>, who: &str) -> Vec<String> {
    let Some(row) = row else {
        return vec![format!("{who} reads the entries.")];
    };
    let look = row.gather.join("; ");
    let look = if look.is_empty() { "the entries".to_owned() } else { look };
    vec![sentence(&format!("{who} looks at {look}")), sentence(&row.remedy)]
}

/// One full stop at its end.
fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}
