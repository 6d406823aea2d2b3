//! Scenarios: a world, what breaks it, the sealed truth about it, and the score of whoever has to heal it.
//!
//! Invariant: pure. Text and evidence in, values out; nothing here knows NATS, processes or a disk.
//! Invariant: a truth can be reached. A scenario whose accepted remedies could not cure it is refused when it is read.
//! Invariant: what is scored is what was seen in the world and on the bus; no message text says how well it went.
//!
//! May be imported by: cli, tests. No service of the pipeline may import it: the truth is not theirs to read.
//!
//! The format is described in `docs/adding-a-scenario.md` and in what [`template`] gives.

mod scenario; // Read this first: what a scenario is.
mod step;
mod target;
mod truth;

mod check;
mod seed;

mod compared;
mod evidence;
mod score;

mod recorded;
mod recording;

mod builtin;
mod rows;
mod template;

pub use crate::builtin::{built_in, built_in_named};
pub use crate::check::Fault;
pub use crate::compared::{Compared, is_journal};
pub use crate::evidence::{Change, Evidence, Handled, Shown};
pub use crate::recorded::{Changed, Happened, NoScenario, Recorded, Trouble, recorded};
pub use crate::recording::{Health, Recording};
pub use crate::rows::{WithoutScenario, rows_without_scenario};
pub use crate::scenario::{
    Category, CpfValue, Limits, ModelPart, Problem, RULES_FROZEN_AT, Scenario, Symptom, Users, World,
};
pub use crate::score::{Mark, Score, Sum, Verdict, score};
pub use crate::seed::{Amount, Draw};
pub use crate::step::{Mode, Port, Step};
pub use crate::target::{InvalidTarget, Target};
pub use crate::template::template;
pub use crate::truth::{Answer, Remedy, Truth};
