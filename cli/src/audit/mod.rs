//! `instance audit`: what was decided and done, by whom and why; and the proof that nobody has changed it since.

mod report;
mod verify;

use anyhow::Result;

use crate::{exit::Exit, session::Session};

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check the trail record by record, against itself and the remediation log
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::Args),
    /// Print what was decided and done, oldest first
    #[command(after_help = report::EXAMPLES)]
    Report(report::Args),
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    match &args.command {
        Command::Verify(args) => verify::run(args, session),
        Command::Report(args) => report::run(args, session),
    }
}
