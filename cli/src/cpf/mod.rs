//! `instance cpf`: the configuration parameter file of an instance, read, changed, compared and checked.

mod check;
mod diff;
pub mod explain;
mod get;
mod replace;
mod set;

use std::path::{Path, PathBuf};

use anyhow::Result;
use instance_iris::cpf::{Document, EditError};

use crate::{
    exit::{Exit, Stop},
    input, knowledge,
    session::Session,
};

/// The largest file that is taken for a CPF; real ones have some 20 KB.
const LARGEST_CPF: usize = 16 * 1024 * 1024;
/// What is printed in place of a value that nobody is to see.
const HIDDEN: &str = "(hidden)";

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Folder of `*.toml` with rows of your own, as the setting `knowledge_dir` of the services names it
    #[arg(long, global = true, value_name = "DIR")]
    rows: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the value of a parameter
    Get(get::Args),
    /// Change the value of a parameter; nothing else in the file changes
    Set(set::Args),
    /// Print the parameters on which two files disagree
    Diff(diff::Args),
    /// Find what would keep IRIS from starting, and values out of range
    Check(check::Args),
    /// Say what a parameter is for, what it may hold, and when a change is felt
    Explain(explain::Args),
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    if let Some(folder) = &args.rows {
        knowledge::read(folder)?.put_in_force()?;
    }
    match &args.command {
        Command::Get(args) => get::run(args, session),
        Command::Set(args) => set::run(args, session),
        Command::Diff(args) => diff::run(args, session),
        Command::Check(args) => check::run(args, session),
        Command::Explain(args) => explain::run(args, session),
    }
}

fn read(path: &Path) -> Result<Document> {
    Ok(Document::parse(&input::read(path, LARGEST_CPF)?))
}

/// A section as given, with or without its brackets.
fn section_name(given: &str) -> &str {
    given.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(given)
}

fn is_secret(section: &str, name: &str) -> bool {
    instance_knowledge::parameter(section, name).is_some_and(|parameter| parameter.secret)
}

/// A parameter that is not there is "not found"; a value that cannot stand there is refused.
fn refusal(error: &EditError) -> Stop {
    match error {
        EditError::UnknownSection { .. } | EditError::UnknownParameter { .. } => {
            Stop::new(Exit::NotFound, error)
        }
        EditError::Value { .. } | EditError::Name { .. } => {
            Stop::new(Exit::Refused, error).next("nothing was changed")
        }
        EditError::Repeated { .. } | EditError::Exists { .. } | EditError::OtherValue { .. } => {
            Stop::new(Exit::Failure, error).next("nothing was changed")
        }
    }
}
