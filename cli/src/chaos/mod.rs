//! `instance chaos`: instances break for real causes, the pipeline heals what it can, and is scored by the truth.
//!
//! Invariant: the truth stays in this process. What a pipeline is given names instance, host and bus, and folders are
//! named by numbers; `tests/scenarios/chaos.rs` looks for it everywhere.
//! Invariant: nothing of a scenario is printed into a log of IRIS. The world is changed, and the stand-in follows.
//! Invariant: no process, port or disk is left behind, whatever ends this command.

mod one; // Read this first: one scenario, from a healthy world to its score.
mod world; // What it plays in.

mod pipeline;
mod watch;

mod folder;
mod happened; // What a recording tells, for a scenario.
mod lanes;
mod library;

mod assert;
mod control; // Is the fault real, and the truth sealed?
mod list;
mod new;
mod record;
mod replay;
mod report;
mod run;
mod soak; // Many instances, for long.

use anyhow::Result;
use clap::Subcommand;

use crate::{exit::Exit, session::Session};

/// Break stand-in instances on purpose, and score who heals them
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The built-in scenarios, each with its row of the error catalogue
    List(list::Args),
    /// Write a new scenario, every key explained
    New(new::Args),
    /// Play scenarios with the real pipeline, and print the score
    Run(run::Args),
    /// Is each fault real, and does the truth stay sealed?
    Control(control::Args),
    /// Keep what happened on a bus: a recording of it, and a new scenario
    Record(record::Args),
    /// Play a recording again: the same messages must give the same commands
    Replay(replay::Args),
    /// Break and heal many instances without pause, and watch for loss and growth
    Soak(soak::Args),
    /// Was the last run what it should be? Ends with 0 when it was
    Assert(assert::Args),
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    match &args.command {
        Command::List(args) => list::run(args, session),
        Command::New(args) => new::run(args, session),
        Command::Run(args) => run::run(args, session),
        Command::Control(args) => control::run(args, session),
        Command::Record(args) => record::run(args, session),
        Command::Replay(args) => replay::run(args, session),
        Command::Soak(args) => soak::run(args, session),
        Command::Assert(args) => assert::run(args, session),
    }
}
