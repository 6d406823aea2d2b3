//! The table itself: every room, what it may import, and the crates from outside that have an owner.

/// One row of the table.
pub struct Room {
    /// The package is `instance-<name>`; xtask alone has no prefix.
    pub name: &'static str,
    pub folder: &'static str,
    pub may_import: Imports,
    pub fails_with: Errors,
}

/// Which rooms a room may name in its manifest. Testkit is apart: for dev-dependencies only.
pub enum Imports {
    Only(&'static [&'static str]),
    Anything,
}

/// What a room's errors are made with.
#[derive(PartialEq)]
pub enum Errors {
    /// `thiserror`: a caller decides on them.
    Typed,
    /// `anyhow`: a person reads them.
    Told,
}

const GENERATOR: &[&str] = &[
    "contract",
    "iris",
    "knowledge",
    "invent",
    "improvise",
    "llm",
    "transport",
    "clock",
    "bus",
    "chassis",
    "signals",
];
const AGENT: &[&str] = &["contract", "iris", "knowledge", "clock", "bus", "chassis", "agent"];
const ROUTER: &[&str] =
    &["contract", "iris", "knowledge", "clock", "planner", "bus", "chassis", "engine", "signals"];
const ANALYST: &[&str] = &[
    "contract",
    "iris",
    "knowledge",
    "transport",
    "clock",
    "planner",
    "bus",
    "chassis",
    "diagnosis",
    "llm",
    "signals",
];
const CLI: &[&str] = &[
    "contract",
    "iris",
    "knowledge",
    "invent",
    "improvise",
    "transport",
    "clock",
    "planner",
    "engine",
    "diagnosis",
    "scenario",
    "story",
    "bus",
    "telemetry",
    "signals",
    "redaction",
    "llm",
];

/// Every room of the tree. A package that is not here is refused.
pub const ROOMS: &[Room] = &[
    library("contract", "shared/contract", &[]),
    library("iris", "shared/iris", &[]),
    library("clock", "shared/clock", &[]),
    // Leaves: what can be told, and what never may.
    library("signals", "shared/signals", &[]),
    library("redaction", "shared/redaction", &[]),
    library("telemetry", "shared/telemetry", &["signals", "redaction"]),
    library("llm", "shared/llm", &["clock", "signals", "redaction"]),
    library("knowledge", "shared/knowledge", &["iris"]),
    library("invent", "shared/invent", &["contract", "iris", "knowledge"]),
    library("improvise", "shared/improvise", &["contract", "invent", "iris", "llm"]),
    library("planner", "shared/planner", &["contract", "knowledge"]),
    library("diagnosis", "shared/diagnosis", &["contract", "knowledge", "planner"]),
    library("scenario", "shared/scenario", &["knowledge"]),
    library("engine", "shared/engine", &["contract", "planner", "redaction"]),
    library("bus", "shared/bus", &["contract", "clock", "signals"]),
    library("transport", "shared/transport", &["contract", "redaction", "bus", "clock"]),
    library("story", "shared/story", &["contract", "engine", "redaction", "bus"]),
    library("chassis", "shared/chassis", &["contract", "clock", "bus", "telemetry", "signals", "redaction"]),
    // iris and knowledge: docs/decisions/0001-agents-share-their-eyes.md
    library(
        "agent",
        "shared/agent",
        &["contract", "iris", "knowledge", "clock", "bus", "chassis", "signals"],
    ),
    told("testkit", "shared/testkit", Imports::Only(&["contract", "iris", "clock", "bus"])),
    library("generator", "services/generator", GENERATOR),
    library(
        "gateway",
        "services/gateway",
        &["contract", "clock", "signals", "bus", "chassis", "story", "redaction"],
    ),
    library("router", "services/router", ROUTER),
    library("analyst", "services/analyst", ANALYST),
    library("config-agent", "services/config-agent", AGENT),
    library("os-agent", "services/os-agent", AGENT),
    library("restart-agent", "services/restart-agent", AGENT),
    library("iris-sim", "services/iris-sim", &["iris", "knowledge", "clock"]),
    told("cli", "cli", Imports::Only(CLI)),
    told("xtask", "xtask", Imports::Only(&[])),
    told("tests", "tests", Imports::Anything),
    told("bench-pipeline", "tests/bench/pipeline", Imports::Only(&["contract", "clock", "bus"])),
];

/// Crates from outside that only some rooms may name.
pub const OWNED: &[(&str, Owner)] = &[
    // One bus crate: everybody else speaks of deliveries and dead letters. Tests look at the wire itself.
    ("async-nats", Owner::Rooms(&["bus", "testkit", "tests", "bench-pipeline"])),
    // One way to a model: everybody else asks questions.
    ("async-openai", Owner::Rooms(&["llm"])),
    ("redis", Owner::Rooms(&["llm"])),
    ("anyhow", Owner::RoomsWith(&Errors::Told)),
    ("thiserror", Owner::RoomsWith(&Errors::Typed)),
];

pub enum Owner {
    Rooms(&'static [&'static str]),
    RoomsWith(&'static Errors),
}

const fn library(name: &'static str, folder: &'static str, may_import: &'static [&'static str]) -> Room {
    Room { name, folder, may_import: Imports::Only(may_import), fails_with: Errors::Typed }
}

const fn told(name: &'static str, folder: &'static str, may_import: Imports) -> Room {
    Room { name, folder, may_import, fails_with: Errors::Told }
}
