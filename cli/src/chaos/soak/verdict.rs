//! What a soak came to, and what of it must not be.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{
    Args,
    burst::Burst,
    entries::Told,
    resources::{Resources, Use},
    rounds::Played,
    tally::Tally,
};
use crate::{
    output::{print, print_json, table},
    session::{Session, Tone},
    up::nats,
};

/// The figures, as `soak.json` has them.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: &'static str,
    minutes: u64,
    instances: u16,
    seed: u64,
    seconds: u64,
    /// Services killed.
    kills: usize,
    messages: usize,
    entries: Told,
    /// Remediations by how they ended.
    ended: BTreeMap<String, u64>,
    /// Those that were asked for fifty at a time.
    in_bursts: usize,
    dead_letters: usize,
    faults: Played,
    services: Vec<Use>,
    /// What must not be; empty when all is well.
    pub problems: Vec<String>,
}

/// All that was gathered.
pub struct Gathered {
    pub wall: Duration,
    pub kills: usize,
    pub faults: Played,
    pub burst: Burst,
    pub tally: Tally,
    pub entries: Told,
    pub resources: Resources,
    pub dead_letters: usize,
}

impl Report {
    pub fn new(args: &Args, gathered: Gathered) -> Self {
        let Gathered { wall, kills, faults, burst, tally, entries, resources, dead_letters } = gathered;
        let services = resources.uses();
        let mut ended = BTreeMap::new();
        for status in tally.ended.values() {
            *ended.entry(status.clone()).or_default() += 1;
        }
        // What the server of the bus caches of its store is its own affair.
        let ours = services.iter().filter(|seen| seen.service != nats::NAME);
        let mut problems: Vec<String> = ours.filter_map(Use::growth).collect();
        problems.extend(entries.problems());
        let mut must = |holds: bool, text: String| {
            if !holds {
                problems.push(text);
            }
        };
        must(tally.open() == 0, format!("{} remediation(s) did not end", tally.open()));
        must(dead_letters == 0, format!("{dead_letters} dead letter(s)"));
        must(tally.ended_twice.is_empty(), format!("ended twice: {:?}", tally.ended_twice));
        let lost = burst.asked.iter().filter(|id| !tally.ended.contains_key(id)).count();
        must(lost == 0, format!("{lost} of {} commands of a burst were lost", burst.asked.len()));
        let healed: u64 = faults.values().map(|rounds| rounds.healed).sum();
        must(healed > 0, "no instance was healed, so nothing was shown".to_owned());
        must(kills > 0, "no service was killed, so nothing was shown".to_owned());
        must(
            services.len() == resources.services(),
            "not every service was seen when nobody was killed".to_owned(),
        );
        let starts: usize = services.iter().map(|seen| seen.starts as usize).sum();
        must(
            starts == services.len() + kills,
            format!("{starts} starts of {} services and {kills} kills: one died by itself", services.len()),
        );
        Self {
            schema: "instance.cli.v1.chaos_soak",
            minutes: args.minutes,
            instances: args.instances,
            seed: args.seed,
            seconds: wall.as_secs(),
            kills,
            messages: tally.messages(),
            entries,
            ended,
            in_bursts: burst.asked.len(),
            dead_letters,
            faults,
            services,
            problems,
        }
    }

    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join("soak.json");
        let text = serde_json::to_string_pretty(self).context("a report is plain JSON")?;
        fs::write(&path, text).with_context(|| format!("could not write \"{}\"", path.display()))
    }

    pub fn print(&self, session: &Session) -> Result<()> {
        if session.json() {
            return print_json(self);
        }
        let faults = self.faults.iter().map(|(name, rounds)| {
            let figures =
                [rounds.played, rounds.answered, rounds.healed, rounds.well].map(|it| it.to_string());
            let [played, answered, healed, well] = figures;
            [name.clone(), played, answered, healed, well]
        });
        print(table(["FAULT", "ROUNDS", "ANSWERED", "HEALED", "WELL AFTERWARDS"], faults))?;
        let services = self.services.iter().map(|it| {
            let grown = |figure: fn(&super::resources::Held) -> u64| {
                format!("{} -> {} (peak {})", figure(&it.first), figure(&it.last), figure(&it.peak))
            };
            let memory = format!(
                "{:.1} -> {:.1} (peak {:.1})",
                mb(it.first.memory_kb),
                mb(it.last.memory_kb),
                mb(it.peak.memory_kb)
            );
            [
                it.service.to_owned(),
                it.starts.to_string(),
                memory,
                grown(|held| held.files),
                grown(|held| held.threads),
            ]
        });
        print(table(["SERVICE", "STARTS", "MEMORY MB", "OPEN FILES", "THREADS"], services))?;
        let ended: Vec<String> =
            self.ended.iter().map(|(status, count)| format!("{count} {status}")).collect();
        print(format!(
            "{} instances, {} s, {} entries, {} messages, {} remediations ({}), {} of them in bursts, {} services killed, {} dead letters",
            self.instances,
            self.seconds,
            self.entries.written,
            self.messages,
            self.ended.values().sum::<u64>(),
            ended.join(", "),
            self.in_bursts,
            self.kills,
            self.dead_letters,
        ))?;
        for problem in &self.problems {
            print(session.paint(Tone::Bad, problem))?;
        }
        print(if self.problems.is_empty() { "nothing lost, nothing grew" } else { "NOT as it must be" })
    }
}

#[expect(clippy::cast_precision_loss, reason = "kilobytes of a process, for people")]
fn mb(kb: u64) -> f64 {
    kb as f64 / 1024.0
}
