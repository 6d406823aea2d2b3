//! `instance chaos assert`

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    folder::{FOLDER, LAST, label},
    report,
};
use crate::{
    exit::{Exit, Stop},
    output::print,
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance chaos assert --label nightly --verdict verified
  instance chaos assert --verdict missed globals-too-small    Of one scenario only.
  instance chaos assert --verdict wrong --none                No scenario may have that verdict.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only of these scenarios; of all in the run without any
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The run
    #[arg(long, value_name = "LABEL", default_value = LAST, value_parser = label)]
    label: String,
    /// What each must have come to
    #[arg(long, value_name = "VERDICT")]
    verdict: Wanted,
    /// None of them may have come to it
    #[arg(long)]
    none: bool,
    /// Folder of all runs
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    dir: PathBuf,
}

/// What a run can come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Wanted {
    /// The right thing was done, all of it, and the world shows it.
    Verified,
    /// Nothing wrong was done, and something right was not.
    Missed,
    /// Something was done that should not have been.
    Wrong,
    /// The fault never showed.
    Invalid,
    /// It could not be tried.
    Error,
}

impl Wanted {
    fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Missed => "missed",
            Self::Wrong => "wrong",
            Self::Invalid => "invalid",
            Self::Error => "error",
        }
    }
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let path = args.dir.join(&args.label).join(report::FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = format!("there is no finished run with the label \"{}\"", args.label);
            return Err(Stop::new(Exit::NotFound, text)
                .next("`instance chaos run --label ...` makes one")
                .into());
        }
        Err(error) => return Err(error).with_context(|| format!("could not read \"{}\"", path.display())),
    };
    let report: Value =
        serde_json::from_slice(&bytes).with_context(|| format!("could not read \"{}\"", path.display()))?;
    let verdicts = verdicts(&report);
    if let Some(unknown) = args.names.iter().find(|name| !verdicts.iter().any(|(known, _)| known == *name)) {
        let text = format!("the run \"{}\" has no scenario \"{unknown}\"", args.label);
        return Err(Stop::new(Exit::NotFound, text).into());
    }
    let other: Vec<String> = verdicts
        .iter()
        .filter(|(name, _)| args.names.is_empty() || args.names.contains(name))
        .filter(|(_, verdict)| (verdict == args.verdict.as_str()) == args.none)
        .map(|(name, verdict)| format!("{name}: {verdict}"))
        .collect();
    if other.is_empty() && !verdicts.is_empty() {
        session.note("as it should be");
        return Ok(Exit::Done);
    }
    for line in other {
        print(crate::output::printable(&line))?;
    }
    Ok(Exit::Failure)
}

/// Name and verdict of each scenario in a report.
fn verdicts(report: &Value) -> Vec<(String, String)> {
    let rows = report["scenarios"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    rows.map(|row| (text(&row["name"]), text(&row["verdict"]))).collect()
}
