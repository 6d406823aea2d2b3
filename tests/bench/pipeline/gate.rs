//! The one figure that CI is gated on, measured until it can be told.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Result;

use crate::{
    Arguments,
    measure::{Seen, load, percentile},
    pipeline::{Pipeline, Programs},
    report::{self, Goal, Row},
    sides,
};

/// Of a plan of 3 steps, 64 in flight.
const STEPS: u32 = 3;
const LANES: usize = 64;
/// Both sides one after the other, each for so long: what else the machine does meanwhile meets both.
const ROUND: Duration = Duration::from_secs(1);
/// So many rounds, and more for as long as they do not agree.
const ROUNDS: std::ops::RangeInclusive<usize> = 9..=27;

/// The CPU of server, router and agent for each workflow, as a multiple of the limit's: the median of the rounds.
pub async fn cpu(arguments: &Arguments, programs: &Programs, at_most: f64) -> Result<ExitCode> {
    let mut running = Vec::new();
    for orders in sides(STEPS, arguments.shards) {
        let started = Pipeline::start(programs, orders, arguments.sync, arguments.shards, LANES).await?;
        running.push(Arc::new(started));
        let pipeline = running.last().expect("just put there");
        load(pipeline, LANES, 2 * ROUND).await?;
    }
    let mut rounds: Vec<[Seen; 2]> = Vec::new();
    while rounds.len() < *ROUNDS.start() || (rounds.len() < *ROUNDS.end() && is_undecided(&rounds, at_most)) {
        let mut round = [Seen::default(), Seen::default()];
        // Who begins changes from round to round.
        for place in 0..2 {
            let side = (place + rounds.len()) % 2;
            round[side].add(&running[side], LANES, ROUND).await?;
        }
        let [ours, limit] = &round;
        println!("round {:>2}: {}", rounds.len() + 1, figures(ours, limit));
        rounds.push(round);
    }
    let median = |side: usize| share(&rounds, 0.5, |round| round[side].cpu_each());
    let (limit, ratio) = (median(1), share(&rounds, 0.5, ratio_of));
    let figure = format!("{STEPS} steps, {LANES} in flight: CPU, us, {} rounds", rounds.len());
    let row = Row::ratio(figure, ratio * limit, limit, Goal::AtMost(at_most));
    Ok(if report::table(&[row]) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Does the bound lie amid the middle half of the rounds, so that a few more could tell otherwise?
fn is_undecided(rounds: &[[Seen; 2]], bound: f64) -> bool {
    (share(rounds, 0.25, ratio_of)..=share(rounds, 0.75, ratio_of)).contains(&bound)
}

fn share(rounds: &[[Seen; 2]], share: f64, of: impl Fn(&[Seen; 2]) -> f64) -> f64 {
    let mut all: Vec<f64> = rounds.iter().map(of).collect();
    percentile(&mut all, share)
}

fn ratio_of([ours, limit]: &[Seen; 2]) -> f64 {
    ours.cpu_each() / limit.cpu_each()
}

fn figures(ours: &Seen, limit: &Seen) -> String {
    let each = |seen: &Seen| {
        let [server, router, agent] = seen.cpu_us.map(|us| seen.each(us));
        format!("server {server:.0} + router {router:.0} + agent {agent:.0} us")
    };
    format!("{}; limit {}; {:.2}", each(ours), each(limit), ours.cpu_each() / limit.cpu_each())
}
