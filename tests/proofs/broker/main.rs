//! The proof that no fault of the broker loses a plan or doubles an effect: `cargo xtask broker`.
//!
//! Real nats-servers, two real routers and two real config-agents over real CPFs, under a steady load of plans of three
//! steps. The servers are killed, frozen, killed just after acknowledgements; in a cluster the leader of a stream is
//! killed; routers die and their shards go to the other one. Meanwhile routers and agents are killed at random counts. In
//! a part of its own, where nothing else happens, they stand still in the middle of a plan and go on. Every command that a stream has taken must end in one WorkflowTrace that tells the truth, with each
//! effect there once, counted at the files by code that the agents do not share.
//!
//! Each part of it happens in a world of its own. Faults come by counts of ended plans, drawn from the seed.

#![expect(clippy::unwrap_used, reason = "a proof whose world cannot be driven has failed")]

mod options; // Read this first: the parts, and how much of each.
mod parts; // What is done to the world.
mod plan; // What is asked for meanwhile.

mod feed;
mod load;
mod processes;
mod servers;
mod services;
mod site; // Where it happens.

mod acks; // What the broker forgot.
mod records; // What the logs hold.
mod verdict; // What is there afterwards.
mod witness;

mod report;

#[path = "../unsettled.rs"]
mod unsettled;

use std::{process::ExitCode, time::Instant};

use clap::Parser as _;

use options::{Arguments, Part};
use report::Report;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let mut report = Report::default();
    for part in Part::ALL.into_iter().filter(|part| arguments.wants(*part)) {
        let dose = arguments.dose(part);
        println!("== {part}: {dose} ==");
        let started = Instant::now();
        let outcome = runtime.block_on(parts::play(part, dose));
        for fault in report.add(part, dose, started.elapsed(), outcome) {
            println!("FAILED {part}: {fault}\n  repeat it with: {}", arguments.again(part));
        }
    }
    println!("\n{report}\n{:.0} s in all", began.elapsed().as_secs_f64());
    if report.is_proven() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
