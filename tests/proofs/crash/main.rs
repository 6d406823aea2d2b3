//! The proof that no death loses a plan or doubles an effect: `cargo xtask crash`.
//!
//! Every named point of the router and the agents (`crash_point("...")`, found by reading the sources) is a case: real
//! processes, a three-step plan, the process dies at the point as by `kill -9` and is started again under its own name,
//! as a supervisor does. The remediation must end in one true WorkflowTrace, with each effect there once, counted in
//! files and logs by code that the agents do not share. A point that nothing reaches fails the proof.
//!
//! Each case has its scenario, chosen by what the scenarios were seen to reach when nobody died.

#![expect(clippy::unwrap_used, reason = "a proof whose world cannot be driven has failed")]

mod point; // Read this first: where the points come from.
mod scenario; // What is asked for while a process dies.

mod crowd; // The processes of an instance, as its made-up host shows them.
mod lane; // Where it happens.
mod processes;
mod story; // One death, or none.
mod witness; // What is there afterwards.

mod case;
mod report;

use std::{process::ExitCode, time::Instant};

use report::Report;

fn main() -> ExitCode {
    let Ok(only) = pattern(std::env::args().skip(1)) else {
        eprintln!("usage: crash [--only PART_OF_A_CASE]");
        return ExitCode::FAILURE;
    };
    let began = Instant::now();
    let points = point::all();
    println!("{} crash points in the sources", points.len());
    let Some(survey) = case::survey() else { return ExitCode::FAILURE };
    let cases = survey.cases(&points, only.as_deref());
    println!("{} cases, after {:.0} s\n", cases.len(), began.elapsed().as_secs_f64());
    let verdicts = lane::spread(cases, async |case, lane| case.run(lane).await);
    let report = Report { points, survey, verdicts, is_whole: only.is_none() };
    println!("{report}\n{:.0} s in all", began.elapsed().as_secs_f64());
    if report.is_proven() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Which cases are asked for; all of them when nothing is said.
fn pattern(mut words: impl Iterator<Item = String>) -> Result<Option<String>, ()> {
    match (words.next().as_deref(), words.next(), words.next()) {
        (None, None, None) => Ok(None),
        (Some("--only"), Some(part), None) => Ok(Some(part)),
        _ => Err(()),
    }
}
