//! The core under simulation: a bus that loses, repeats, delays and reorders, two routers, agents that crash between
//! any two inputs, people who answer late or twice, clocks that jump. Everything follows from the seed.
//!
//! `cargo xtask simulate --seeds N [--from S]`. A seed that fails is printed with the rule that it broke, and joins
//! `seeds.txt` by itself (`--keep PATH`, which xtask gives), whose seeds run first for ever after.

mod agents; // The step protocol of an agent, with its ledger.
mod commands; // What is asked for, and what is planted to fail.
mod effort; // What the run cost.
mod faults;
mod invariants; // What must hold.
mod kept; // Seeds that failed once.
mod people; // Who answers, and who changes things by hand.
mod policy;
mod resources; // What is changed, and by whom.
mod routers; // Two shells around two cores.
mod world; // Time, the log, and what happens next.

use std::{
    collections::BTreeMap,
    num::NonZero,
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
};

use effort::Effort;
use faults::Fault;
use invariants::{Broken, Replays};
use world::World;

/// Of the plans without a planted failure so many must succeed, or the run proves nothing.
const LEAST_SUCCESS_PERCENT: usize = 90;
/// Of the records that routers wrote so many must be compared when they are replayed. (The rest: written by an owner that
/// had been followed, or refusals at intake.)
const LEAST_COMPARED_PERCENT: usize = 98;

#[derive(Default)]
struct Tally {
    seeds: usize,
    inputs: usize,
    plans: usize,
    unplanted: usize,
    unplanted_succeeded: usize,
    replays: Replays,
    faults: BTreeMap<Fault, usize>,
    endings: BTreeMap<&'static str, usize>,
}

/// What is asked for on the command line.
struct Options {
    seeds: u64,
    from: u64,
    only: Option<u64>,
    /// Where a seed that fails is written down.
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = match arguments() {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let first = if options.only.is_some() { Vec::new() } else { kept::seeds() };
    let range = options.only.map_or(options.from..options.from + options.seeds, |seed| seed..seed + 1);
    let seeds: Vec<u64> = first.into_iter().chain(range).collect();
    let effort = Effort::begins();
    let tally = match run(&seeds, &options) {
        Ok(tally) => tally,
        Err((seed, broken)) => {
            eprintln!("seed {seed} breaks {broken}");
            tell_how_to_repeat(seed, broken.rule, &options);
            return ExitCode::FAILURE;
        }
    };
    tally.print();
    let is_in_time = effort.tells(tally.seeds);
    if tally.proves_something(options.only.is_some()) && is_in_time {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn tell_how_to_repeat(seed: u64, rule: &str, options: &Options) {
    eprintln!("repeat: cargo xtask simulate --seed {seed}");
    // Of a fault that was planted, nothing is to be remembered.
    if let Some(path) = options.keep.as_ref().filter(|_| std::env::var_os("MUTANT").is_none()) {
        eprintln!("{}", kept::keep(path, seed, rule));
    }
}

/// A world that panics is no broken invariant, but its seed is as good to know.
struct NamedWhenItPanics<'a>(u64, &'a Options);

impl Drop for NamedWhenItPanics<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {} panics", self.0);
            tell_how_to_repeat(self.0, "panic", self.1);
        }
    }
}

/// Every seed is a world of its own, so each processor takes its share of them. The first broken one is told.
fn run(seeds: &[u64], options: &Options) -> Result<Tally, (u64, Broken)> {
    let shares = std::thread::available_parallelism().map_or(1, NonZero::get);
    let failed = AtomicUsize::new(usize::MAX);
    let share = |first: usize| {
        let mut tally = Tally::default();
        for (place, seed) in seeds.iter().enumerate().skip(first).step_by(shares) {
            if place > failed.load(Ordering::Relaxed) {
                break;
            }
            let _names_it = NamedWhenItPanics(*seed, options);
            let mut world = World::new(*seed, options.only.is_some());
            world.run();
            let replays = invariants::check(&world).map_err(|broken| {
                failed.fetch_min(place, Ordering::Relaxed);
                (place, broken)
            })?;
            tally.add(&world, replays);
        }
        Ok(tally)
    };
    let done: Vec<Result<Tally, (usize, Broken)>> = std::thread::scope(|scope| {
        let share = &share;
        let running: Vec<_> = (0..shares).map(|first| scope.spawn(move || share(first))).collect();
        let ends = running.into_iter().map(std::thread::ScopedJoinHandle::join);
        ends.map(|end| end.expect("a world that panics has said why")).collect()
    });
    let mut total = Tally::default();
    let mut broken: Option<(usize, Broken)> = None;
    for share in done {
        match share {
            Ok(tally) => total.merge(tally),
            Err(other) if broken.as_ref().is_none_or(|(place, _)| other.0 < *place) => broken = Some(other),
            Err(_) => {}
        }
    }
    broken.map_or(Ok(total), |(place, broken)| Err((seeds[place], broken)))
}

fn arguments() -> Result<Options, String> {
    let mut options = Options { seeds: 1_000, from: 1, only: None, keep: None };
    let mut rest = std::env::args().skip(1);
    while let Some(flag) = rest.next() {
        let value = rest.next().unwrap_or_default();
        match (flag.as_str(), value.parse()) {
            ("--seeds", Ok(number)) => options.seeds = number,
            ("--from", Ok(number)) => options.from = number,
            ("--seed", Ok(number)) => options.only = Some(number),
            ("--keep", _) if !value.is_empty() => options.keep = Some(PathBuf::from(value)),
            _ => return Err("usage: simulate [--seeds N] [--from S] [--seed S] [--keep PATH]".to_owned()),
        }
    }
    Ok(options)
}

impl Tally {
    fn add(&mut self, world: &World, replays: Replays) {
        self.seeds += 1;
        self.replays.compared += replays.compared;
        self.replays.not_compared += replays.not_compared;
        self.inputs += world.inputs;
        for (fault, count) in &world.injected {
            *self.faults.entry(*fault).or_default() += count;
        }
        for outcome in world.outcomes() {
            self.plans += 1;
            *self.endings.entry(outcome.status.as_str()).or_default() += 1;
            if outcome.unplanted {
                self.unplanted += 1;
                self.unplanted_succeeded += usize::from(outcome.succeeded);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.inputs += other.inputs;
        self.plans += other.plans;
        self.unplanted += other.unplanted;
        self.unplanted_succeeded += other.unplanted_succeeded;
        self.replays.compared += other.replays.compared;
        self.replays.not_compared += other.replays.not_compared;
        for (fault, count) in other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        for (status, count) in other.endings {
            *self.endings.entry(status).or_default() += count;
        }
    }

    fn print(&self) {
        println!("{} seeds, {} inputs, {} plans", self.seeds, self.inputs, self.plans);
        for (status, count) in &self.endings {
            println!("  ended {status}: {count}");
        }
        for fault in Fault::ALL {
            println!("  injected {fault:?}: {}", self.faults.get(fault).unwrap_or(&0));
        }
        println!("  without a planted failure: {} of {} succeeded", self.unplanted_succeeded, self.unplanted);
        let Replays { compared, not_compared } = self.replays;
        println!("  replayed: {compared} records the same bytes, {not_compared} not compared");
    }

    fn proves_something(&self, single: bool) -> bool {
        if single {
            return true;
        }
        let missing: Vec<&Fault> =
            Fault::ALL.iter().filter(|fault| !self.faults.contains_key(fault)).collect();
        if !missing.is_empty() {
            eprintln!("never injected: {missing:?}; run more seeds");
            return false;
        }
        if self.unplanted_succeeded * 100 < self.unplanted * LEAST_SUCCESS_PERCENT {
            eprintln!("less than {LEAST_SUCCESS_PERCENT} % of the plans without a planted failure succeeded");
            return false;
        }
        let Replays { compared, not_compared } = self.replays;
        if compared * 100 < (compared + not_compared) * LEAST_COMPARED_PERCENT {
            eprintln!("less than {LEAST_COMPARED_PERCENT} % of the replayed records could be compared");
            return false;
        }
        true
    }
}
