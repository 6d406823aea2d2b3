//! `instance explain`: what is known of a condition, and what was learnt of its runbooks.

mod learnt;

use anyhow::Result;
use instance_contract::{IncidentOutcome, InstanceName, subject};
use instance_knowledge::{Condition, Matcher, Remedy, condition, conditions, remedies};
use serde_json::{Value, json};

use self::learnt::Learnt;
use crate::{
    exit::{Exit, Stop},
    investigate::Index,
    knowledge::rows,
    online,
    output::{print, print_json, printable, table, when},
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance explain global-buffers-insufficient
  instance explain 'Journaling NOT started.'
  instance explain huge-pages-too-few --instance PROD --json | jq '.learnt'

What runbooks have done is read from the bus. `instance knowledge explain` needs none, and knows parameters too.";

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
        let mut learnt = Learnt::default();
        for message in bus.read_incidents(&subject::outcomes()).await? {
            // What cannot be read is for `instance incident` to tell.
            let Ok(outcome) = message.json::<IncidentOutcome>() else { continue };
            if args.instance.as_ref().is_none_or(|instance| *instance == outcome.instance) {
                learnt.take(&row.id, &outcome);
            }
        }
        if session.json() {
            print_json(&document(row, &learnt))?;
        } else {
            tell(row, &learnt)?;
        }
        Ok(Exit::Done)
    })
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

fn runbooks(row: &Condition) -> Vec<&'static Remedy> {
    remedies().iter().filter(|remedy| remedy.condition == row.id).collect()
}

fn tell(row: &Condition, learnt: &Learnt) -> Result<()> {
    print(rows::text_of(row))?;
    let runbooks = runbooks(row);
    for remedy in &runbooks {
        print(format_args!("\nrunbook {}", remedy.condition))?;
        let line = |name: &str, value: &str| print(format_args!("  {name:9} {}", printable(value)));
        line("does", &remedy.recommended_action)?;
        line("by", &remedy.tools.join(", then "))?;
        line("cures", if remedy.cures { "yes" } else { "no: it only looks, and a person does the rest" })?;
        line("source", &remedy.source)?;
    }
    if runbooks.is_empty() {
        print("\nno runbook: nothing is done about it without a person")?;
    }
    if learnt.is_empty() {
        return print("\nnothing was tried in the last 30 days");
    }
    let rows = learnt.rows().map(|(key, tries)| {
        [
            key.runbook.clone(),
            key.instance.to_string(),
            tries.succeeded.to_string(),
            tries.failed.to_string(),
            tries.last.as_str().to_owned(),
            when(tries.last_at),
            if tries.is_barred() { "only by a person" } else { "yes" }.to_owned(),
        ]
    });
    print(format_args!(
        "\n{}",
        table(["runbook", "instance", "success", "failure", "last", "at", "tried again"], rows)
    ))
}

fn document(row: &Condition, learnt: &Learnt) -> Value {
    let runbooks: Vec<Value> = runbooks(row)
        .into_iter()
        .map(|remedy| {
            json!({
                "id": remedy.condition, "recommended_action": remedy.recommended_action, "tools": remedy.tools,
                "cures": remedy.cures, "requires_restart": remedy.restart, "priority": remedy.priority.as_str(),
                "source": remedy.source,
            })
        })
        .collect();
    let rows: Vec<Value> = learnt
        .rows()
        .map(|(key, tries)| {
            json!({
                "runbook": key.runbook, "instance": key.instance, "succeeded": tries.succeeded,
                "failed": tries.failed, "failed_in_a_row": tries.failed_in_a_row, "last": tries.last,
                "last_at": tries.last_at, "only_by_a_person": tries.is_barred(),
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
    use super::*;

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
