//! The planted faults, each with the proof that must find it.
//!
//! Adding one: plant it with `mutant("room.what-is-wrong")` (in planner and engine: `policy.mutant(...)`) where the one
//! line of it belongs, and add its row here.

use super::check::Check;

/// One fault.
pub struct Mutant {
    /// As it stands in the source.
    pub name: &'static str,
    /// What must find it.
    pub check: Check,
}

const fn found_by(check: Check, name: &'static str) -> Mutant {
    Mutant { name, check }
}

/// A run of the simulation over this many seeds.
const SIMULATION: Check = Check::Simulation { seeds: 1_000 };
/// What the ledger holds after any power cut.
const LEDGER: Check = Check::Tests { package: "instance-agent", filter: "ledger::tests::" };
/// What a step does that comes twice, late, under a halt, or after a crash.
const STEPS: Check = Check::Tests { package: "instance-agent", filter: "steps::tests::" };
const FENCE: Check = Check::Tests { package: "instance-agent", filter: "fence::tests::" };
/// What the folder of a CPF holds after any power cut.
const CPF_FOLDER: Check = Check::Tests { package: "instance-config-agent", filter: "tests::power_cuts::" };
/// What a change of a CPF promises to people who edit it too.
const CPF_CHANGES: Check = Check::Tests { package: "instance-config-agent", filter: "tests::changes::" };
/// What is said when the kernel takes another value than it was given.
const SHORT_KERNEL: Check = Check::Tests { package: "instance-os-agent", filter: "tests::short_kernel::" };
/// The agent dies when its restart has happened and nothing says so yet.
const DEATH_AFTER_RESTART: Check = Check::Death { case: "restart-agent agent.effect-over:1 forward" };

pub const MUTANTS: &[Mutant] = &[
    // What the router decides.
    found_by(SIMULATION, "engine.wave-too-early"),
    found_by(SIMULATION, "engine.approval-digest-ignored"),
    found_by(SIMULATION, "engine.approval-never-expires"),
    found_by(SIMULATION, "engine.deadline-sweep-off"),
    found_by(SIMULATION, "engine.unstarted-step-undone"),
    found_by(SIMULATION, "engine.kill-switch-ignored"),
    found_by(SIMULATION, "engine.turn-lost-midway"),
    found_by(SIMULATION, "engine.restarts-forgotten"),
    found_by(SIMULATION, "engine.lost-write-not-looked-for"),
    found_by(SIMULATION, "engine.ack-before-accepted"),
    // What only a lost page cache shows.
    found_by(LEDGER, "ledger.intent-not-synced"),
    found_by(LEDGER, "ledger.done-not-synced"),
    found_by(CPF_FOLDER, "config.draft-not-synced"),
    found_by(CPF_FOLDER, "config.backup-not-synced"),
    found_by(CPF_FOLDER, "config.folder-not-synced"),
    // What an agent promises.
    found_by(DEATH_AFTER_RESTART, "agent.effect-before-intent"),
    found_by(DEATH_AFTER_RESTART, "agent.intent-not-probed"),
    found_by(STEPS, "agent.result-before-done"),
    found_by(STEPS, "agent.not-after-ignored"),
    found_by(STEPS, "agent.kill-switch-cached"),
    found_by(FENCE, "fence.ignored"),
    found_by(STEPS, "fence.not-stored"),
    found_by(STEPS, "fence.equal-refused"),
    found_by(CPF_CHANGES, "config.lost-update-unchecked"),
    found_by(CPF_CHANGES, "config.undo-unchecked"),
    found_by(SHORT_KERNEL, "os.read-back-skipped"),
];
