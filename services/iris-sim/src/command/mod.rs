//! The `iris` program: what an operator's tools call.
//!
//! It needs no environment: the registry is found beside the path it was called by.

mod force;
mod list;
mod merge;
mod observed;
mod start;
mod stop;

use std::env;
use std::fmt::Display;
use std::process::ExitCode;

use crate::shell::control::{self, StartOrder};
use crate::shell::daemons;
use crate::shell::registry::{Registered, Registry, RegistryError};

const HELP: &str = "\
usage: iris <command> [instance] [arguments]

  start <instance> [cpf] [nostu] [quietly]     start an instance
  stop <instance> [restart | nofailover | bypass] [quietly]
                                               stop an instance in order
  stopnoshut <instance> [quietly]              stop without user shutdown routines
  restart <instance> [quietly]                 stop and start again
  force <instance>                             kill an instance
  merge <instance> [merge file] [target CPF]   merge a file into the CPF
  list [instance]                              describe instances
  view [instance]                              the same, with another heading
  qlist [instance]                             the same, fields separated by ^
  all, allw, qall                              one line an instance: 80 columns, whole, or cut at 78 with ~
  version                                      version of this program
  help                                         this text
";

/// Runs the program on the arguments of this process.
pub fn run() -> ExitCode {
    let arguments: Vec<String> =
        env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        // The processes of an instance are this program under the name `irisdb`.
        ["control-process", order] => match serde_json::from_str::<StartOrder>(order) {
            Ok(order) => control::run(order),
            Err(error) => fail(error),
        },
        ["daemon", name] => daemons::live(name),
        ["help" | "--help"] | [] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        ["version" | "--version"] => {
            println!("InterSystems IRIS control program, stand-in {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        [command, rest @ ..] => on_instances(command, rest),
    }
}

fn on_instances(command: &str, rest: &[&str]) -> ExitCode {
    let registry = Registry::of_program();
    match (command, rest) {
        ("list", names) => list::list(&registry, names.first().copied(), "Configuration"),
        ("view", names) => list::list(&registry, names.first().copied(), "Instance"),
        ("qlist", names) => list::qlist(&registry, names.first().copied()),
        ("all", []) => list::all(&registry, Some(80)),
        ("allw", []) => list::all(&registry, None),
        ("qall", []) => list::all(&registry, Some(78)),
        (_, [name, options @ ..]) => match registry.find(name) {
            Ok(instance) => on_instance(command, &instance, options),
            Err(error) => unknown(name, &error),
        },
        _ => usage(command),
    }
}

fn on_instance(command: &str, instance: &Registered, options: &[&str]) -> ExitCode {
    match command {
        "start" => start::start(instance, options),
        "stop" => stop::stop(instance, options),
        "stopnoshut" => stop::stop_without_routines(instance, options),
        "restart" => stop::restart(instance, options),
        "force" if options.is_empty() => force::force(instance),
        "merge" => merge::merge(instance, options),
        _ => usage(command),
    }
}

fn unknown(name: &str, error: &RegistryError) -> ExitCode {
    if let RegistryError::Unknown { .. } = error {
        println!("Instance '{}' is not found.", name.to_uppercase());
        return ExitCode::FAILURE;
    }
    fail(error)
}

fn usage(command: &str) -> ExitCode {
    eprintln!("iris: cannot do \"{command}\" with these arguments");
    eprint!("{HELP}");
    ExitCode::FAILURE
}

fn fail(error: impl Display) -> ExitCode {
    eprintln!("iris: {error}");
    ExitCode::FAILURE
}
