//! `cargo xtask bench agents`: what an agent's care costs, beside the bare system calls that nobody can do without.
//!
//! Each row compares two ways of doing the same thing in one run, turn about, so that a busy disk slows both. It fails
//! when a ratio or a time is beyond its bound.

mod row; // Read this first: what is compared, and how it is told.

mod config;
mod limits;
mod machine;
mod os;
mod running;

use std::process::ExitCode;

use anyhow::Result;

/// How often each thing is done.
const ROUNDS: usize = 400;
/// With `--quick`: to see that it runs.
const QUICK_ROUNDS: usize = 20;

fn main() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let rounds = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => ROUNDS,
        ["--quick"] => QUICK_ROUNDS,
        _ => {
            eprintln!("usage: bench-agents [--quick]");
            return Ok(ExitCode::from(2));
        }
    };
    println!("{}", machine::line());
    let mut rows = config::rows(rounds)?;
    rows.extend(os::rows(rounds)?);
    rows.extend(running::rows(rounds)?);
    rows.extend(limits::rows()?);
    for row in &rows {
        println!("{row}");
    }
    let is_held = rows.iter().all(row::Row::is_held);
    Ok(if is_held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
