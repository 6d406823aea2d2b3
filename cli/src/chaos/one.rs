//! One scenario, from a healthy world to its score.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use instance_contract::RemediationCommand;
use instance_scenario::{Evidence, Scenario, Score, Shown, Step, Symptom, score};

use super::{
    pipeline::Pipeline,
    watch::Watch,
    world::{INSTANCE, World, snapshot::Snapshot},
};

/// Nothing new for this long, and nothing under way: it is over. Three passes of the write daemon.
pub const QUIET: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_millis(50);

/// What a run came to.
pub struct Played {
    pub score: Score,
    pub evidence: Evidence,
    /// What was asked for, in order.
    pub commands: Vec<RemediationCommand>,
    /// Every message that was published, as bytes, in order.
    pub published: Vec<Vec<u8>>,
    pub wall: Duration,
}

/// Plays a scenario in `folder`, which must be empty or absent.
pub async fn play(
    scenario: &Scenario,
    seed: u64,
    folder: &Path,
    model: Option<&str>,
    stop: &AtomicBool,
) -> Result<Played> {
    let began = Instant::now();
    fs::create_dir_all(folder).with_context(|| format!("could not make \"{}\"", folder.display()))?;
    let world = World::make(folder, INSTANCE, scenario, seed)?;
    let starting = Pipeline::start(&world, scenario, &folder.join("pipeline"), true, model).await?;
    let outcome = world.start();
    let pipeline = starting.ready().await?;
    let played = match outcome {
        Ok(()) => watched(scenario, &world, &pipeline, stop).await,
        Err(error) => Err(error),
    };
    pipeline.stop().await;
    let ended = world.end();
    let (evidence, watch) = played?;
    ended?;
    Ok(Played {
        score: score(scenario, &evidence),
        evidence,
        commands: watch.commands,
        published: watch.published,
        wall: began.elapsed(),
    })
}

async fn watched(
    scenario: &Scenario,
    world: &World,
    pipeline: &Pipeline,
    stop: &AtomicBool,
) -> Result<(Evidence, Watch)> {
    let told_as = scenario.truth.iter().filter_map(|it| Some((it.told_as.clone()?, it.condition.clone())));
    let mut watch = Watch::begin(&pipeline.bus, told_as.collect()).await?;
    watch.go_on(TICK).await?;
    let growth = Growth::begin(world, scenario);
    let mut eyes = Eyes { scenario, world, growth, symptoms: vec![Shown::default(); scenario.symptom.len()] };
    let broken = break_it_watched(scenario, world, &mut watch, &mut eyes).await?;
    let limits = scenario.limits;
    let (show, detect) = (Duration::from_secs(limits.show), Duration::from_secs(limits.detect));
    let repair = Duration::from_secs(limits.repair);
    let mut shown_at = None;
    loop {
        if stop.load(Ordering::Relaxed) {
            bail!("stopped by a signal");
        }
        watch.go_on(TICK).await?;
        eyes.look();
        if shown_at.is_none() && eyes.symptoms.iter().all(|symptom| symptom.at_first) {
            shown_at = Some(watch.since.elapsed());
        }
        let elapsed = watch.since.elapsed();
        let seen = scenario.conditions().all(|condition| watch.detected.contains_key(condition));
        let waited = seen || shown_at.is_some_and(|at| elapsed > at + detect);
        let over = shown_at.map_or(elapsed > show, |_| waited);
        // Nobody may say after a moment that nothing came of it: on a busy machine that moment is too short.
        let patience = if watch.has_thought() { QUIET } else { detect.max(QUIET) };
        if elapsed > repair || (over && !watch.is_busy() && watch.active_at.elapsed() > patience) {
            break;
        }
    }
    let at_last = Growth::begin(world, scenario);
    watch.go_on(QUIET / 2).await?;
    let mut symptoms = eyes.symptoms;
    for (shown, symptom) in symptoms.iter_mut().zip(&scenario.symptom) {
        shown.at_last = world.shows(symptom, &|text| at_last.since_the_fault(world, text));
    }
    let evidence = Evidence {
        symptoms,
        detected: watch.detected.clone(),
        left_to_a_person: watch.left_to_a_person.clone(),
        handled: watch.handled(),
        changes: broken.changes(&world.look()?),
        starts: world.foreign_starts(),
        forced: world.foreign_kills(),
        left_down: world.was_left_down(),
        repaired_after: watch.ended_at,
    };
    Ok((evidence, watch))
}

/// Looks for the symptoms, again and again: a cure may come before the next one shows.
struct Eyes<'a> {
    scenario: &'a Scenario,
    world: &'a World,
    growth: Growth,
    symptoms: Vec<Shown>,
}

impl Eyes<'_> {
    fn look(&mut self) {
        let not_yet =
            self.symptoms.iter_mut().zip(&self.scenario.symptom).filter(|(shown, _)| !shown.at_first);
        for (shown, symptom) in not_yet {
            shown.at_first = self.world.shows(symptom, &|text| self.growth.since_the_fault(self.world, text));
        }
    }
}

/// As [`break_it`], with open eyes: what a fault does takes time, and nobody waits for its end. Gives the world before the
/// first step that trouble can come from.
async fn break_it_watched(
    scenario: &Scenario,
    world: &World,
    watch: &mut Watch,
    eyes: &mut Eyes<'_>,
) -> Result<Snapshot> {
    let mut snapshot = None;
    for (number, step) in scenario.fault.iter().enumerate() {
        if step.is_trigger() && snapshot.is_none() {
            snapshot = Some(world.look()?);
            watch.fault_begins();
        }
        if let Step::Wait { seconds } = step {
            let over = Instant::now() + Duration::from_secs(u64::from(*seconds));
            while Instant::now() < over {
                watch.go_on(TICK).await?;
                eyes.look();
            }
        } else {
            world.perform(step).with_context(|| format!("could not do step {} of the fault", number + 1))?;
            watch.go_on(Duration::ZERO).await?;
            eyes.look();
        }
    }
    watch.active_at = Instant::now();
    snapshot.map_or_else(|| world.look(), Ok)
}

/// Does what the fault says, with nobody watching.
pub fn break_it(scenario: &Scenario, world: &World) -> Result<()> {
    for (number, step) in scenario.fault.iter().enumerate() {
        world.perform(step).with_context(|| format!("could not do step {} of the fault", number + 1))?;
    }
    Ok(())
}

/// How often the log held the texts whose growth tells something.
pub struct Growth(Vec<(String, usize)>);

impl Growth {
    pub fn begin(world: &World, scenario: &Scenario) -> Self {
        let log = world.log();
        let texts = scenario.symptom.iter().filter_map(|symptom: &Symptom| symptom.grows.clone());
        Self(texts.map(|text| (text.clone(), log.matches(&text).count())).collect())
    }

    /// How many more there are now.
    pub fn since_the_fault(&self, world: &World, text: &str) -> usize {
        let before = self.0.iter().find(|(known, _)| known == text).map_or(0, |(_, count)| *count);
        world.log().matches(text).count().saturating_sub(before)
    }
}
