//! The core from first entry to last record: what is grouped, what is kept out, what is decided, and what a death leaves.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "stories/world.rs"]
mod world;

#[path = "stories/deaths.rs"]
mod deaths; // What a successor makes of the records.
#[path = "stories/decisions.rs"]
mod decisions; // Command, person, nothing, wait.
#[path = "stories/doubts.rs"]
mod doubts; // What is known by its words alone.
#[path = "stories/echoes.rs"]
mod echoes; // What the log says of our own work.
#[path = "stories/groups.rs"]
mod groups; // What belongs together, and what is a repeat.
#[path = "stories/helped.rs"]
mod helped; // What failed beside other trouble.
#[path = "stories/judged.rs"]
mod judged; // Ten known cases, and all that is said of each.
#[path = "stories/lost.rs"]
mod lost; // What must not be lost on the way.
#[path = "stories/models.rs"]
mod models; // Where a model may choose.
#[path = "stories/policies.rs"]
mod policies; // What policy leaves of offers.
#[path = "stories/routers.rs"]
mod routers; // Dry runs that nobody makes, and what they were to carry.
#[path = "stories/storms.rs"]
mod storms; // Many at once, and anything at all.
