//! The command `instance`: everything that an operator does, from one place.
//!
//! Invariant: data goes to stdout, everything else to stderr; nothing is asked without a terminal.
//! Invariant: exit codes mean what `docs/exit-codes.md` says.
//! Invariant: what comes from logs and messages is data; no control character of it reaches a terminal.
//!
//! May import contract, iris, knowledge, invent, improvise, transport, clock, planner, engine, diagnosis, scenario, story, bus,
//! telemetry, signals, redaction and llm. Nobody imports it.

mod arguments; // Read this first: every command in one list.
mod csv;
mod exit;
mod input;
mod output;
mod session;

mod online; // One connection to the bus, and what its errors mean here.
mod settings;
mod story; // One remediation, read from its log.
mod tape;
mod telemetry;

mod approve;
mod audit;
mod bus;
mod config;
mod consume;
mod dead_letter;
mod doctor;
mod generate;
mod halt;
mod health;
mod history;
mod hosts;
mod install;
mod orchestrate;
mod profile;
mod replay;
mod status;
mod trace;
mod trends;

mod chaos; // Scenarios with a sealed truth, and their score.

mod incident; // Incidents, as people meet them: one whole story.

mod explain;
mod fix;
mod inbox;
mod investigate;

mod breaker; // What asks language models.
mod cost;
mod model;

mod demo; // The closed loop, shown and proved.
mod up; // The whole pipeline on one machine.

mod classify;
mod completions;
mod cpf;
mod knowledge;
mod log;
mod log_count;
mod man;
mod schema;
mod validate;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{arguments::Arguments, exit::Exit, session::Session};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refusal) => {
            // Help and version come this way too, for stdout and with code 0. A closed pipe is no news.
            let _ = refusal.print();
            return if refusal.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let session = Session::new(arguments.global);
    match arguments.command.run(&session) {
        Ok(exit) => exit.into(),
        Err(error) if exit::is_closed_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            let told = instance_redaction::redacted(exit::told(&error));
            eprintln!("instance: {}", output::printable(&told));
            if let Some(next) = exit::next_step(&error) {
                eprintln!("  {next}");
            }
            exit::of(&error).into()
        }
    }
}
