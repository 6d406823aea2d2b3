//! What must hold after every run (`I1` and on: the names of the test plan). Each rule counts at the resources and reads the
//! log; none asks the model of an agent what it has done.

mod budgets; // I10
mod consent; // I5, I11
mod endings; // I2, I9, I13
mod order; // I1, I3, I4
mod values; // I6, I7, I8

use std::fmt;

use instance_contract::{Ended, OverallStatus, RemediationId, StepCommand, subject::RecordKind};
use instance_engine::{Again, Record, replay};

use crate::world::{Entry, World};

/// A rule that did not hold.
pub struct Broken {
    pub rule: &'static str,
    what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

fn broken(rule: &'static str, what: impl fmt::Display) -> Result<(), Broken> {
    Err(Broken { rule, what: what.to_string() })
}

/// The records that routers wrote: those that a replay could compare, and those that it could not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Replays {
    pub compared: usize,
    pub not_compared: usize,
}

pub fn check(world: &World) -> Result<Replays, Broken> {
    order::check(world)?;
    consent::check(world)?;
    values::check(world)?;
    budgets::check(world)?;
    endings::check(world)?;
    a_replay_gives_the_same_bytes(world)
}

/// The same inputs give the same actions, byte for byte.
fn a_replay_gives_the_same_bytes(world: &World) -> Result<Replays, Broken> {
    let mut replays = Replays::default();
    for asked in &world.asked {
        for replayed in replay(&world.logged(asked.id())) {
            match replayed.again {
                Again::Same => replays.compared += 1,
                Again::NotCompared(_) => replays.not_compared += 1,
                Again::Different(again) => {
                    let again = again.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                    let written = String::from_utf8_lossy(&replayed.written).into_owned();
                    let record = format!("{} {}", asked.id(), replayed.kind);
                    let what = format!("{record}\n  written {written}\n  again   {again:?}");
                    broken("replay (same bytes)", what)?;
                }
            }
        }
    }
    Ok(replays)
}

/// The step commands of the log, with where they stand.
fn steps(world: &World) -> impl Iterator<Item = (usize, &Entry, &StepCommand)> {
    world.log.iter().enumerate().filter_map(|(index, entry)| match &entry.record {
        Record::Step(step) => Some((index, entry, step)),
        _ => None,
    })
}

/// Every end, with its place in the log.
fn endings(world: &World) -> impl Iterator<Item = (RemediationId, &Entry, &Ended)> {
    world.asked.iter().filter_map(|asked| {
        let entry = world.standing(asked.id(), &RecordKind::Ended)?;
        match &entry.record {
            Record::Ended(ended) => Some((asked.id(), entry, ended)),
            _ => None,
        }
    })
}

/// Those that ended so.
fn ended_as<'a>(
    world: &'a World,
    wanted: &'a [OverallStatus],
) -> impl Iterator<Item = (RemediationId, &'a Entry, &'a Ended)> {
    endings(world).filter(move |(_, _, ended)| wanted.contains(&ended.trace.overall_status))
}
