//! The command line: one variant a noun. A new command is a module with `Args` and `run`, and a variant here.

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{completions, cpf, exit::Exit, log, schema, session, session::Session, validate};

const EXAMPLES: &str = "\
Examples:
  instance validate command.json                 Is it a legal command? Every fault is told.
  instance log parse messages.log --json         One JSON line for each entry of a messages log.
  instance cpf check iris.cpf                    Would IRIS start with it?
  instance schema remediation_command            The JSON Schema of a contract.

Exit codes: 0 done, 1 failure, 2 usage, 3 refused, 4 not verified, 5 undone, 6 timed out waiting,
7 bus unreachable, 8 not found, 78 bad configuration.";

/// Heals InterSystems IRIS instances over NATS, and proves it
#[derive(Debug, Parser)]
#[command(name = "instance", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    pub global: session::Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check commands, messages, results and traces against their contract
    Validate(validate::Args),
    /// Print the JSON Schemas of the contracts and the AsyncAPI document
    Schema(schema::Args),
    /// Read logs of IRIS
    Log(log::Args),
    /// Read, change, compare and check a CPF (`iris.cpf`)
    Cpf(cpf::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

impl Command {
    pub fn run(&self, session: &Session) -> Result<Exit> {
        match self {
            Self::Validate(args) => validate::run(args, session),
            Self::Schema(args) => schema::run(args, session),
            Self::Log(args) => log::run(args, session),
            Self::Cpf(args) => cpf::run(args, session),
            Self::Completions(args) => completions::run(args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        fn look(command: &clap::Command, path: &str) {
            let leaf = command.get_subcommands().next().is_none();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(!leaf || help.contains("Examples:") && help.contains(path), "{path} shows no example");
            for inner in command.get_subcommands() {
                look(inner, &format!("{path} {}", inner.get_name()));
            }
        }
        look(&Arguments::command(), "instance");
    }
}
