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

#[path = "../unsettled.rs"]
mod unsettled;

mod case;
mod report;

use std::{process::ExitCode, time::Instant};

use case::Case;
use report::Report;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let only = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => None,
        ["--only", part] => Some((*part).to_owned()),
        ["--case", line] => return one(line),
        _ => {
            eprintln!("usage: crash [--only PART_OF_A_CASE | --case CASE]");
            return ExitCode::FAILURE;
        }
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

/// One death that is known beforehand, without a look at what else could be reached.
fn one(line: &str) -> ExitCode {
    let Some(case) = Case::parse(line) else {
        eprintln!("\"{line}\" is no case; it is SERVICE POINT:ORDINAL SCENARIO");
        return ExitCode::FAILURE;
    };
    let verdicts = lane::spread(vec![case], async |case, lane| case.run(lane).await);
    let failed = verdicts.iter().filter(|(_, outcome)| outcome.is_err()).count();
    println!("{} deaths, {failed} failed", verdicts.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
