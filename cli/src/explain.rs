//! `instance explain`: what is known of a condition, and what was learnt of its runbooks.

use anyhow::Result;
use instance_contract::{IncidentOutcome, InstanceName};
use instance_diagnosis::{Learned, Learning};
use instance_knowledge::{
    Condition, Matcher, condition, conditions,
    runbook::{Runbook, runbooks_for},
};
use serde_json::{Value, json};

use crate::{
    exit::{Exit, Stop},
    incident::case::{self, Case},
    investigate::Index,
    knowledge::rows,
    online,
    output::{print, print_json, printable, table},
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance explain global-buffers-insufficient
  instance explain 'Journaling NOT started.'
  instance explain huge-pages-too-few --instance PROD --json | jq '.learnt'

What runbooks have done is read from the bus. `instance knowledge explain` needs none, and knows parameters too.";

/// Condition, runbook, instance, and how it went.
type Tried<'a> = (&'a str, &'a str, &'a InstanceName, &'a Learned);

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Id of a condition, or the text of a message that means it
    condition: String,
    /// Only what was learnt on one IRIS instance
    #[arg(long, value_name = "NAME")]
    instance: Option<InstanceName>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let row = find(&args.condition)?;
    online::run(session, async |bus| {
        let learnt = learnt(&case::all(&bus, args.instance.as_ref()).await?);
        let learnt: Vec<Tried<'_>> = learnt.iter().filter(|(condition, ..)| *condition == row.id).collect();
        if session.json() {
            print_json(&document(row, &learnt))?;
        } else {
            tell(row, &learnt)?;
        }
        Ok(Exit::Done)
    })
}

/// What the outcomes of those incidents tell, and what people have allowed since.
fn learnt(cases: &[Case]) -> Learning {
    let mut learnt = Learning::default();
    let mut outcomes: Vec<&IncidentOutcome> = cases.iter().flat_map(|case| &case.outcomes).collect();
    outcomes.sort_by_key(|outcome| outcome.ended_at);
    for outcome in outcomes {
        learnt.learn(outcome);
    }
    for case in cases {
        if let Some(taken) = case.acknowledged.as_ref().filter(|taken| taken.try_again)
            && let (Some(condition), Some(instance)) = (case.condition(), case.instance())
        {
            learnt.allow(condition.as_str(), instance, taken.at);
        }
    }
    learnt
}

fn find(what: &str) -> Result<&'static Condition> {
    let found = condition(what).or_else(|| Matcher::in_force().classify(what));
    found.ok_or_else(|| {
        let stop =
            Stop::new(Exit::NotFound, format_args!("the catalogue has no condition \"{}\"", printable(what)));
        let meant = meant(what);
        if meant.is_empty() {
            stop.next("`instance knowledge check` counts what there is").into()
        } else {
            stop.next(format_args!("did you mean {}?", meant.join(", or "))).into()
        }
    })
}

/// What was probably meant: a slip of the pen, then what has most to do with the words.
fn meant(what: &str) -> Vec<&'static str> {
    const MOST: usize = 3;
    let typed = what.to_lowercase();
    let near = |id: &str| strsim::damerau_levenshtein(id, &typed) * 4 <= id.len();
    let mut meant: Vec<&str> = conditions().iter().map(|row| row.id.as_str()).filter(|id| near(id)).collect();
    meant.sort_by_key(|id| strsim::damerau_levenshtein(id, &typed));
    if meant.is_empty() {
        let found = Index::of_the_catalogue().search(what);
        meant.extend(found.into_iter().map(|hit| hit.condition.id.as_str()));
    }
    meant.truncate(MOST);
    meant
}

fn tell(row: &Condition, learnt: &[Tried<'_>]) -> Result<()> {
    print(rows::text_of(row))?;
    let runbooks = runbooks_for(&row.id);
    runbooks.iter().try_for_each(|runbook| print(format_args!("\n{}", text_of(runbook))))?;
    if runbooks.is_empty() {
        print("\nno runbook: nothing is done about it without a person")?;
    }
    if learnt.is_empty() {
        return print("\nnothing was tried in the last 30 days");
    }
    let rows = learnt.iter().map(|(_, runbook, instance, learned)| {
        [
            (*runbook).to_owned(),
            instance.to_string(),
            learned.successes.to_string(),
            learned.failures.to_string(),
            if is_barred(learned) { "only by a person" } else { "yes" }.to_owned(),
            learned.last_failure.clone().unwrap_or_default(),
        ]
    });
    let header = ["runbook", "instance", "success", "failure", "tried again", "last failure"];
    print(format_args!("\n{}", table(header, rows)))
}

/// Must a person say so before it is tried again?
const fn is_barred(learned: &Learned) -> bool {
    learned.failures_in_a_row >= Learning::PATIENCE
}

/// A runbook for people.
fn text_of(runbook: &Runbook) -> String {
    let mut lines = vec![format!("runbook {}", runbook.id)];
    let mut add = |name: &str, value: &str| lines.push(format!("  {name:11} {}", printable(value)));
    add("does", &runbook.action);
    let steps: Vec<String> = runbook.step.iter().map(|step| step.target.label()).collect();
    add("changes", &steps.join(", then "));
    add("cures", if runbook.cures { "yes" } else { "no: it only looks, and a person does the rest" });
    add("risk", &format!("{}: {}", runbook.risk.as_str(), runbook.risk_why));
    for precondition in &runbook.precondition {
        add("not when", &precondition.why);
    }
    if !runbook.never_touch.is_empty() {
        add("never", &format!("touches {}", runbook.never_touch.join("; ")));
    }
    for sign in &runbook.verification.success_signs {
        add("cured when", sign);
    }
    add("source", &runbook.source);
    lines.join("\n")
}

fn runbook_document(runbook: &Runbook) -> Value {
    let steps: Vec<Value> = runbook
        .step
        .iter()
        .map(|step| json!({"id": step.id, "target": step.target.label(), "tool": step.target.tool()}))
        .collect();
    let not_when: Vec<&str> = runbook.precondition.iter().map(|given| given.why.as_str()).collect();
    json!({
        "id": runbook.id, "action": runbook.action, "conditions": runbook.conditions, "cures": runbook.cures,
        "priority": runbook.priority.as_str(), "risk": runbook.risk.as_str(), "risk_why": runbook.risk_why,
        "steps": steps, "not_when": not_when, "never_touch": runbook.never_touch,
        "success_signs": runbook.verification.success_signs, "source": runbook.source,
    })
}

fn document(row: &Condition, learnt: &[Tried<'_>]) -> Value {
    let runbooks: Vec<Value> = runbooks_for(&row.id).into_iter().map(runbook_document).collect();
    let rows: Vec<Value> = learnt
        .iter()
        .map(|(_, runbook, instance, learned)| {
            json!({
                "runbook": runbook, "instance": instance, "succeeded": learned.successes,
                "failed": learned.failures, "failed_in_a_row": learned.failures_in_a_row,
                "helped_at": learned.helped_at, "last_failure": learned.last_failure,
                "only_by_a_person": is_barred(learned),
            })
        })
        .collect();
    json!({
        "schema": "instance.cli.v1.explained", "condition": rows::document(row), "runbooks": runbooks,
        "learnt": rows,
    })
}

#[cfg(test)]
mod tests {
    use instance_contract::{IncidentAcknowledged, subject::IncidentRecord};
    use instance_testkit::TestIncident;

    use super::*;

    #[test]
    fn a_condition_is_told_with_the_runbooks_that_answer_it() {
        let row = find("huge-pages-too-few").unwrap();
        let told = document(row, &[]);
        let runbook = &told["runbooks"][0];
        assert_eq!(
            (&runbook["id"], &runbook["steps"][0]["target"]),
            (&json!("add-huge-pages"), &json!("kernel vm.nr_hugepages"))
        );
        let text = text_of(runbooks_for(&row.id)[0]);
        assert!(
            text.contains("changes     kernel vm.nr_hugepages, then instance") && text.contains("not when"),
            "{text}"
        );
        let told = document(find("license-limit-exceeded").unwrap(), &[]);
        assert!(
            told["runbooks"].as_array().unwrap().iter().all(|runbook| runbook["cures"] == false),
            "{told}"
        );
    }

    #[test]
    fn what_a_person_has_allowed_is_no_longer_barred() {
        let at = "2026-11-21T10:00:00Z".parse().unwrap();
        let id = "global-buffers-insufficient";
        let incident = TestIncident::new("PROD", Some(id), 1, "x", at);
        let outcome = |number: u32| {
            let command = incident.id.command("grow-database-cache", number);
            let record = json!({
                "schema": IncidentOutcome::SCHEMA, "trace_id": incident.trace_id(), "incident_id": incident.id,
                "instance": "PROD", "command_id": command, "remediation_id": command, "condition": id,
                "runbook": "grow-database-cache", "overall_status": "undone", "ended_at": at, "reason": null,
            });
            (IncidentRecord::Outcome(command), record)
        };
        let mut records = vec![(IncidentRecord::Opened, json!(incident.opened())), outcome(1), outcome(2)];
        let barred = |records: &[(IncidentRecord, Value)]| {
            let learnt = learnt(&[case::tests::case_of(&incident, records)]);
            learnt.iter().all(|(_, _, _, learned)| is_barred(learned))
        };
        assert!(barred(&records));
        let acknowledged = json!({
            "schema": IncidentAcknowledged::SCHEMA, "trace_id": incident.trace_id(), "incident_id": incident.id,
            "by": "ada", "at": at, "try_again": true,
        });
        records.push((IncidentRecord::Acknowledged, acknowledged));
        assert!(!barred(&records));
    }

    #[test]
    fn what_was_meant_is_suggested() {
        assert_eq!(find("journal-not-started").unwrap().id, "journal-not-started");
        assert_eq!(find("Journaling NOT  started.").unwrap().id, "journal-not-started");
        let advice = |what: &str| {
            let error = find(what).unwrap_err();
            assert_eq!(crate::exit::of(&error), Exit::NotFound, "{what}");
            crate::exit::next_step(&error).unwrap().to_owned()
        };
        assert_eq!(advice("journal-not-statred"), "did you mean journal-not-started?");
        assert!(
            advice("license exceeded").contains("license-limit-exceeded"),
            "{}",
            advice("license exceeded")
        );
        assert!(advice("frobnicate").contains("knowledge check"));
        assert!(advice("").contains("knowledge check"));
    }
}
