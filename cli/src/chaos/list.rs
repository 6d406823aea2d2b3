//! `instance chaos list`

use anyhow::Result;
use instance_scenario::{Answer, Scenario, built_in};
use serde_json::json;

use crate::{
    exit::Exit,
    output::{print, print_json, table},
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance chaos list
  instance chaos list --json";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

pub fn run(_: &Args, session: &Session) -> Result<Exit> {
    if session.json() {
        for scenario in built_in() {
            print_json(&json!({
                "schema": "instance.cli.v1.chaos_scenario", "name": scenario.name, "title": scenario.title,
                "category": scenario.category.to_string(), "conditions": scenario.conditions().collect::<Vec<_>>(),
                "answer": answers(scenario), "flapping": scenario.flapping,
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

/// The right answer to each of its faults.
fn answers(scenario: &Scenario) -> String {
    let word = |answer| match answer {
        Answer::Remedy => "remedy",
        Answer::Person => "person",
        Answer::Nothing => "nothing",
    };
    scenario.truth.iter().map(|truth| word(truth.answer)).collect::<Vec<_>>().join(" + ")
}
