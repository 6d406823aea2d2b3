//! What CI is gated on: what a plan stores and syncs, on any machine, and its CPU, measured until it can be told.
//!
//! The CPU is told of calm rounds only: where others have the processors, the limit's falls and ours does not. Figures, and
//! what is known of the cause: docs/speed.md.

use std::{fmt, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Result;

use crate::{
    Arguments,
    machine::Processors,
    measure::{Seen, load, percentile},
    pipeline::{Pipeline, Programs},
    process::cpu_us,
    report::{self, Goal, Row},
    sides,
};

/// Of a plan of 3 steps, 64 in flight.
const STEPS: u32 = 3;
const LANES: usize = 64;
/// Both sides one after the other, each for so long: what else the machine does meanwhile meets both.
const ROUND: Duration = Duration::from_secs(1);
/// And until so many workflows are done: the kernel tells CPU in steps of 10 ms, of which one workflow takes a tenth.
const WORTH_COUNTING: usize = 400;
/// So many calm rounds, and more for as long as they do not agree.
const ROUNDS: std::ops::RangeInclusive<usize> = 9..=27;
/// A round is calm when others, a host of this virtual machine among them, have no more of the processors.
const CALM: f64 = 0.1;
/// Where too few were calm, so many times the bound fails all the same: medians of 1.8 (1.4 times it) were seen of sound programs.
const RESTLESS: f64 = 2.0;
/// Rounds that may pass, calm or not.
const TRIED: usize = 60;
/// The exit code when there were too few calm rounds to tell, and nothing is grossly wrong.
const UNTOLD: u8 = 75;

struct Round {
    /// Ours and the limit.
    sides: [Seen; 2],
    others: f64,
}

/// What a plan stores and syncs, and its CPU of server, router and agent as a multiple of the limit's.
pub async fn cpu(arguments: &Arguments, programs: &Programs, at_most: f64) -> Result<ExitCode> {
    let mut running = Vec::new();
    for orders in sides(STEPS, arguments.shards) {
        let started = Pipeline::start(programs, orders, arguments.sync, arguments.shards, LANES).await?;
        running.push(Arc::new(started));
        let pipeline = running.last().expect("just put there");
        load(pipeline, LANES, 2 * ROUND).await?;
    }
    let mut rounds: Vec<Round> = Vec::new();
    while rounds.len() < TRIED && is_open(&calm(&rounds), at_most) {
        let round = Round::run(&running, rounds.len()).await?;
        println!("round {:>2}: {round}", rounds.len() + 1);
        rounds.push(round);
    }
    let all: Vec<&Round> = rounds.iter().collect();
    let calm = calm(&rounds);
    let told = calm.len() >= *ROUNDS.start();
    let (kind, of, bound) =
        if told { ("calm", &calm, at_most) } else { ("restless", &all, at_most * RESTLESS) };
    let [stored, syncs] = counts(&all);
    let limit = share(of, 0.5, |round| round.sides[1].cpu_each());
    let figure = format!("{STEPS} steps, {LANES} in flight: CPU, us, {} {kind} rounds", of.len());
    let cpu = Row::ratio(figure, share(of, 0.5, Round::ratio) * limit, limit, Goal::AtMost(bound));
    let met = report::table(&[stored, syncs, cpu]);
    if !told {
        let (restless, most) = (all.len() - calm.len(), CALM * 100.0);
        println!(
            "\nwhether its CPU is at most {at_most} times the limit's cannot be told: in {restless} of {} rounds others",
            all.len()
        );
        println!("had more than {most:.0} % of the processors");
    }
    Ok(match (met, told) {
        (false, _) => ExitCode::FAILURE,
        (true, false) => ExitCode::from(UNTOLD),
        (true, true) => ExitCode::SUCCESS,
    })
}

impl Round {
    async fn run(running: &[Arc<Pipeline>], number: usize) -> Result<Self> {
        let mut sides = [Seen::default(), Seen::default()];
        let (before, had) = (Processors::read()?, all_ours(running));
        // Who begins changes from round to round.
        for place in 0..2 {
            let side = (place + number) % 2;
            while sides[side].finished.len() < WORTH_COUNTING {
                sides[side].add(&running[side], LANES, ROUND).await?;
            }
        }
        let others = Processors::read()?.taken_by_others(&before, all_ours(running) - had);
        Ok(Self { sides, others })
    }

    fn ratio(&self) -> f64 {
        self.sides[0].cpu_each() / self.sides[1].cpu_each()
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, seen) in ["ours", "limit"].into_iter().zip(&self.sides) {
            let [server, router, agent] = seen.cpu_us.map(|us| seen.each(us));
            let rate = seen.per_second();
            write!(
                f,
                "{name} server {server:.0} + router {router:.0} + agent {agent:.0} us at {rate:.0}/s; "
            )?;
        }
        write!(f, "{:.2}; others {:.0} %", self.ratio(), self.others * 100.0)
    }
}

/// CPU of the processes of both sides, and of this one, so far.
fn all_ours(running: &[Arc<Pipeline>]) -> u64 {
    let pids = running.iter().flat_map(|one| [one.server.pid(), one.router.pid(), one.agent.pid()]);
    pids.chain([std::process::id()]).map(cpu_us).sum()
}

/// What a plan stores and syncs, in the middle one of the rounds: a forecast that comes late costs a record more. Durable
/// writes: a command, `accepted`, a step and a result for each of its N steps, `ended`; the issue grants 2N + 3, and the
/// ledger two synced appends a step with an effect.
fn counts(rounds: &[&Round]) -> [Row; 2] {
    let steps = f64::from(STEPS);
    let stored =
        share(rounds, 0.5, |Round { sides: [ours, _], .. }| ours.each(ours.stored.0 + ours.stored.1));
    let syncs = share(rounds, 0.5, |Round { sides: [ours, _], .. }| ours.each(ours.syncs));
    let durable = Goal::AtMost(2.0 * (steps + 1.0) + 3.0);
    [
        Row::absolute(format!("{STEPS} steps: durable writes"), stored, durable),
        Row::absolute(format!("{STEPS} steps: fdatasyncs of the ledger"), syncs, Goal::AtMost(2.0 * steps)),
    ]
}

/// Those in which the machine was ours.
fn calm(rounds: &[Round]) -> Vec<&Round> {
    rounds.iter().filter(|round| round.others <= CALM).collect()
}

/// Too few rounds, or does the bound lie amid the middle half of them, so that a few more could tell otherwise?
fn is_open(calm: &[&Round], bound: f64) -> bool {
    let is_undecided =
        || (share(calm, 0.25, Round::ratio)..=share(calm, 0.75, Round::ratio)).contains(&bound);
    calm.len() < *ROUNDS.start() || (calm.len() < *ROUNDS.end() && is_undecided())
}

fn share(rounds: &[&Round], share: f64, of: impl Fn(&Round) -> f64) -> f64 {
    let mut all: Vec<f64> = rounds.iter().copied().map(of).collect();
    percentile(&mut all, share)
}
