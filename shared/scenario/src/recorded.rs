//! What happened to an instance, as a scenario that anybody can play: the world it met, the fault as it was seen, and a
//! truth made of what was found and what cured it.
//!
//! A log tells that the update load was too high, and not how one raises the load of a stand-in: that is told by the
//! built-in scenario of the same condition with the same answer. Its way of breaking things is taken, with the values
//! that were seen in the place of its own. Where none is built in, values that a remediation has changed are enough:
//! putting them back as they were is the fault.

mod happened; // Read this first: what is handed in.
mod manner;
mod values;

pub use self::happened::{Changed, Happened, Trouble};

use crate::scenario::{Category, Problem, Scenario};

/// A scenario that was made of a recording.
#[derive(Debug)]
pub struct Recorded {
    /// As its file will read.
    pub scenario: Scenario,
    /// The file, with what it rests on above it.
    pub text: String,
    /// The built-in scenario that breaks things this way; `None` when the changed values alone are the fault.
    pub in_the_manner_of: Option<&'static str>,
}

/// Why no scenario comes of a recording.
#[derive(Debug, thiserror::Error)]
pub enum NoScenario {
    /// Nobody has found anything.
    #[error("no incident with a condition of the catalogue was found")]
    NothingFound,
    /// The log tells what is wrong, and nothing here knows how to bring it about.
    #[error("no built-in scenario brings about {}, and there is no single one that changed values would bring back", .0.join(" and "))]
    NoManner(Vec<String>),
    /// What was found makes no scenario, like a cure that the catalogue forbids.
    #[error("what was found makes no scenario")]
    Senseless(#[source] Problem),
    /// Its file could not be written as TOML.
    #[error("could not write a scenario as text")]
    Unwritable(#[source] toml::ser::Error),
}

/// Makes a scenario of what happened; `name` is the file's name without `.toml`.
pub fn recorded(name: &str, happened: &Happened) -> Result<Recorded, NoScenario> {
    let troubles = happened.troubles_in_order();
    if troubles.is_empty() {
        return Err(NoScenario::NothingFound);
    }
    let manner = manner::of(&troubles, happened);
    let mut scenario = match manner {
        Some(built_in) => values::as_seen(built_in, happened),
        None => values::put_back(&troubles, happened).ok_or_else(|| {
            NoScenario::NoManner(troubles.iter().map(|trouble| trouble.condition.clone()).collect())
        })?,
    };
    name.clone_into(&mut scenario.name);
    scenario.title = format!("What happened to {}: {}", happened.instance, one_line(&troubles[0].cause));
    scenario.added_after_rules = false;
    scenario.truth = manner::truths(&troubles, manner, happened);
    let in_the_manner_of = manner.map(|built_in| built_in.name.as_str());
    let body = toml::to_string_pretty(&scenario).map_err(NoScenario::Unwritable)?;
    let text = format!("{}{body}", happened.told(name, in_the_manner_of));
    // What is written is what will be read.
    let scenario = Scenario::read(name, &text).map_err(NoScenario::Senseless)?;
    Ok(Recorded { scenario, text, in_the_manner_of })
}

/// The category of a row, for what no built-in scenario is about.
fn category(class: &str) -> Category {
    match class {
        "license" => Category::License,
        "resource" => Category::Os,
        "journal" => Category::Journal,
        "database" => Category::Database,
        "security" => Category::Security,
        _ => Category::Config,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
