//! `instance chaos list`

use anyhow::Result;
use instance_scenario::{Answer, ModelPart, Scenario, built_in, rows_without_scenario};
use serde_json::json;

use crate::{
    exit::Exit,
    output::{print, print_json, table},
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance chaos list
  instance chaos list --json
  instance chaos list --without          Rows of the catalogue that no scenario is about, and why.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The rows of the error catalogue that no scenario is about, each with the reason
    #[arg(long)]
    without: bool,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    if args.without {
        return without(session);
    }
    if session.json() {
        for scenario in built_in() {
            print_json(&json!({
                "schema": "instance.cli.v1.chaos_scenario", "name": scenario.name, "title": scenario.title,
                "category": scenario.category.to_string(), "conditions": scenario.conditions().collect::<Vec<_>>(),
                "answer": answers(scenario), "flapping": scenario.flapping,
                "model": scenario.model.map(ModelPart::as_str),
                "causes": scenario.truth.iter().map(|truth| &truth.cause).collect::<Vec<_>>(),
            }))?;
        }
        return Ok(Exit::Done);
    }
    let row = |scenario: &Scenario| {
        [
            scenario.name.clone(),
            scenario.category.to_string(),
            scenario.conditions().collect::<Vec<_>>().join(" + "),
            answers(scenario),
            scenario.title.clone(),
        ]
    };
    print(table(
        ["scenario", "category", "catalogue row", "right answer", "title"],
        built_in().iter().map(row),
    ))?;
    Ok(Exit::Done)
}

/// What the catalogue knows and nobody can be tried with.
fn without(session: &Session) -> Result<Exit> {
    let rows =
        rows_without_scenario().iter().flat_map(|group| group.rows.iter().map(move |row| (row, group)));
    if session.json() {
        for (row, group) in rows {
            print_json(&json!({
                "schema": "instance.cli.v1.chaos_row_without_scenario", "condition": row, "why": group.why,
                "seen_in": group.seen_in,
            }))?;
        }
        return Ok(Exit::Done);
    }
    let cells = rows.map(|(row, group)| {
        [row.clone(), group.seen_in.clone().unwrap_or_else(|| "-".to_owned()), group.why.clone()]
    });
    print(table(["catalogue row", "seen in", "why no scenario is about it"], cells))?;
    Ok(Exit::Done)
}

/// The right answer to each of its faults.
fn answers(scenario: &Scenario) -> String {
    let word = |answer| match answer {
        Answer::Remedy => "remedy",
        Answer::Person => "person",
        Answer::Nothing => "nothing",
    };
    scenario.truth.iter().map(|truth| word(truth.answer)).collect::<Vec<_>>().join(" + ")
}
