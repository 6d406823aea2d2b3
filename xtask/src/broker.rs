//! `cargo xtask broker`: the server dies, freezes and forgets under load, and nothing is lost or done twice.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::binaries::{self, Scope};
use crate::command;
use crate::nats_server;
use crate::workspace::Workspace;

/// It takes some five minutes; one that hangs must not eat CI's time.
const LIMIT: Duration = Duration::from_mins(15);
/// Ten times the faults.
const LONG_LIMIT: Duration = Duration::from_hours(2);

#[derive(clap::Args, Default)]
pub struct Options {
    /// Only this part: kill, freeze, ack-window, cluster, takeover or suspend.
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Faults of each part.
    #[arg(long, value_name = "N")]
    faults: Option<u16>,
    /// What chance is drawn from.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Plans to be asked for in a second.
    #[arg(long, value_name = "N")]
    rate: Option<u16>,
    /// Ten times the faults, in an hour or so.
    #[arg(long)]
    long: bool,
}

/// Build the programs, and the proof beside them; run it.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let server = nats_server::find(workspace)?;
    binaries::build(workspace, Scope::ProgramsAndProofs)?;
    let mut proof = Command::new(workspace.program("examples/broker"));
    proof.current_dir(&workspace.root).env(nats_server::VARIABLE, server);
    proof.args(words(options));
    let status = command::run_within(&mut proof, if options.long { LONG_LIMIT } else { LIMIT })?;
    command::must_succeed(&command::line(&proof), status)
}

/// What was asked for, as the proof takes it; whatever was not, it knows best.
fn words(options: &Options) -> Vec<String> {
    let said = [
        ("--only", options.only.clone()),
        ("--faults", options.faults.map(|count| count.to_string())),
        ("--seed", options.seed.map(|seed| seed.to_string())),
        ("--rate", options.rate.map(|rate| rate.to_string())),
    ];
    let pairs = said.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?]));
    pairs.flatten().chain(options.long.then(|| "--long".to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_said_is_passed_on() {
        assert_eq!(words(&Options::default()), Vec::<String>::new());
        let options =
            Options { only: Some("kill".to_owned()), seed: Some(7), long: true, ..Options::default() };
        assert_eq!(words(&options), ["--only", "kill", "--seed", "7", "--long"]);
    }
}
