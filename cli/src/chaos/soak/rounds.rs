//! One fault after the other on each instance, each in a thread: broken, watched, put right again.

use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use instance_contract::InstanceName;
use instance_scenario::{Amount, Scenario, Step, World as Wish, built_in};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;

use super::{site::Site, tally::Tally};
use crate::chaos::world::World;

/// Nothing under way and nothing new for so long: a round is over.
const QUIET: Duration = Duration::from_secs(3);
/// The rules answer within this time, or leave it to a person.
const ANSWER: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(200);
/// Somebody else may be at work on it at the same moment.
const STARTS: usize = 5;

/// What the rounds of one kind of fault came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rounds {
    pub played: u64,
    /// A remediation was asked for that is no dry run.
    pub answered: u64,
    /// It was, and the instance ran, without an alert, before anybody of ours put it right.
    pub healed: u64,
    /// The instance ran, without an alert, before anybody of ours put it right.
    pub well: u64,
}

/// By the name of the scenario that the fault comes from.
pub type Played = BTreeMap<String, Rounds>;

/// The threads.
pub struct Lanes(Vec<JoinHandle<Result<Played>>>);

impl Lanes {
    /// Makes the instances and begins. What it does ends soon after `stop`.
    pub fn start(site: &Site, tally: &Arc<Mutex<Tally>>, stop: &Arc<AtomicBool>, seed: u64) -> Result<Self> {
        let mut lanes = Vec::new();
        for (number, (world, name)) in site.worlds()?.into_iter().zip(site.names()).enumerate() {
            let (tally, stop) = (tally.clone(), stop.clone());
            let lane = Lane { world, name, tally, stop };
            let draw = StdRng::seed_from_u64(seed.wrapping_add(number as u64));
            let thread = thread::Builder::new().name(format!("lane {number}"));
            lanes.push(thread.spawn(move || lane.play(draw)).context("could not start a thread")?);
        }
        Ok(Self(lanes))
    }

    /// All of them together.
    pub fn join(self) -> Result<Played> {
        let mut sum = Played::new();
        for lane in self.0 {
            for (name, rounds) in lane.join().expect("a lane that panics is a defect of this program")? {
                let all = sum.entry(name).or_default();
                all.played += rounds.played;
                all.answered += rounds.answered;
                all.healed += rounds.healed;
                all.well += rounds.well;
            }
        }
        Ok(sum)
    }
}

/// The faults that can come again and again: nothing of the host, no file but the CPF, which is put back.
fn faults() -> Vec<&'static Scenario> {
    let is_ours = |step: &Step| match step {
        Step::Edit { file, .. } => file == "{dir}/iris.cpf",
        Step::Cpf { .. }
        | Step::Start { cpf: None, merge: None }
        | Step::Stop {}
        | Step::Load { .. }
        | Step::Sessions { .. }
        | Step::Kill { .. }
        | Step::Terminate {}
        | Step::Wait { .. } => true,
        _ => false,
    };
    let ordinary = Wish::default();
    built_in()
        .iter()
        .filter(|it| it.world == ordinary && it.setup.is_empty() && it.fault.iter().all(is_ours))
        .collect()
}

struct Lane {
    world: World,
    name: InstanceName,
    tally: Arc<Mutex<Tally>>,
    stop: Arc<AtomicBool>,
}

impl Lane {
    fn play(self, mut draw: StdRng) -> Result<Played> {
        let faults = faults();
        let cpf = fs::read(self.world.cpf()).context("could not read a CPF")?;
        let mut played = Played::new();
        while !self.is_over() {
            let fault = faults[draw.random_range(0..faults.len())];
            let before = self.tally().real(&self.name);
            self.break_it(fault);
            self.watch();
            let told = played.entry(fault.name.clone()).or_default();
            told.played += 1;
            let (answered, well) = (self.tally().real(&self.name) > before, self.is_well());
            told.answered += u64::from(answered);
            told.healed += u64::from(answered && well);
            told.well += u64::from(well);
            self.put_right(&cpf)?;
        }
        Ok(played)
    }

    fn break_it(&self, fault: &Scenario) {
        for step in &fault.fault {
            // An instance that is being restarted by an agent refuses some of it; the next round comes.
            if let Err(error) = self.world.perform(step) {
                tracing::debug!(error = format!("{error:#}"), instance = %self.name, "a step of a fault failed");
            }
            if self.is_over() {
                break;
            }
        }
    }

    /// Until it is over: answered and ended, or nobody answers.
    fn watch(&self) {
        let began = Instant::now();
        while !self.is_over() {
            thread::sleep(LOOK);
            let tally = self.tally();
            let last = tally.active(&self.name).filter(|at| *at > began);
            let quiet = last.map_or(began + ANSWER, |at| at + QUIET);
            if !tally.is_open(&self.name) && Instant::now() > quiet {
                return;
            }
        }
    }

    /// As a person does who finds it in whatever state it is in.
    fn put_right(&self, cpf: &[u8]) -> Result<()> {
        self.world.perform(&Step::Sessions {
            count: Amount::Exactly(0),
            transaction: false,
            crash: false,
        })?;
        let calm = Some(Amount::Exactly(0));
        let calm = self.world.perform(&Step::Load { dirty_mb: calm, journal_mb: calm, database_mb: calm });
        let changed = fs::read(self.world.cpf()).context("could not read a CPF")? != cpf;
        if changed {
            fs::write(self.world.cpf(), cpf).context("could not put a CPF back")?;
        }
        if (changed || calm.is_err() || !self.is_well()) && !self.is_over() {
            self.start_anew()?;
        }
        Ok(())
    }

    fn start_anew(&self) -> Result<()> {
        let iris = |words: &[&str]| Command::new(self.world.iris()).args(words).output();
        let mut said = String::new();
        for _ in 0..STARTS {
            // It fails where the instance is down, which is as well.
            let _ = iris(&["force", self.world.name()]);
            let start = iris(&["start", self.world.name(), "quietly"]).context("could not run iris")?;
            if self.is_well() {
                return Ok(());
            }
            said = format!(
                "{}{}",
                String::from_utf8_lossy(&start.stdout),
                String::from_utf8_lossy(&start.stderr)
            );
            thread::sleep(QUIET);
        }
        bail!(
            "instance \"{}\" could not be put right: {}, iris says: {said}",
            self.name,
            self.world.state().0
        );
    }

    /// Running, without the alert that a fault gives; a warning stays for a while after a start that recovered.
    fn is_well(&self) -> bool {
        let (state, health) = self.world.state();
        state == "running" && ["ok", "warn"].contains(&health.as_str())
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_faults_of_many_kinds_that_can_come_again() {
        assert!(faults().len() >= 10, "{}", faults().len());
    }
}
