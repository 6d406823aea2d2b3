//! The processes of a pipeline and what can be seen of them, shared with the scenarios.

#[path = "../../scenarios/pipeline/guard.rs"]
mod guard;
#[expect(dead_code, reason = "the scenarios use the rest")]
#[path = "../../scenarios/pipeline/iris.rs"]
mod iris;
#[expect(dead_code, reason = "the scenarios use the rest")]
#[path = "../../scenarios/pipeline/process.rs"]
mod process;
#[path = "../../scenarios/pipeline/programs.rs"]
mod programs;
#[expect(dead_code, reason = "the scenarios use the rest")]
#[path = "../../scenarios/pipeline/settings.rs"]
mod settings;

pub use guard::{Guard, kill9, processes_of};
pub use iris::Iris;
pub use process::Process;
pub use programs::{command, source_tree};
pub use settings::Common;

/// The one instance of a lane.
pub const INSTANCE: &str = "PROD";
/// The machine that all services believe to be on.
pub const HOST: &str = "db1.example.com";
