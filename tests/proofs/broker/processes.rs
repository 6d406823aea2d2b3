//! The processes of a pipeline, shared with the scenarios.

#[path = "../../scenarios/pipeline/guard.rs"]
mod guard;
#[expect(dead_code, reason = "the scenarios use the rest")]
#[path = "../../scenarios/pipeline/process.rs"]
mod process;
#[path = "../../scenarios/pipeline/programs.rs"]
mod programs;

pub use guard::{Guard, kill9, processes_of};
pub use process::Process;
pub use programs::{command, source_tree};
