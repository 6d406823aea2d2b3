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
    /// The rule of the simulation that must find it.
    pub rule: Option<&'static str>,
}

const fn found_by(check: Check, name: &'static str) -> Mutant {
    Mutant { name, check, rule: None }
}

/// Found by the simulation, by this rule.
const fn breaks(rule: &'static str, name: &'static str) -> Mutant {
    Mutant { name, check: SIMULATION, rule: Some(rule) }
}

/// The router on a real server, with agents that do as they are told.
const fn router(filter: &'static str) -> Check {
    Check::TestsOf { package: "instance-router", name: "router", filter }
}

/// A run of the simulation over as many seeds as CI runs without a fault: the rarest of them shows once in two thousand.
const SIMULATION: Check = Check::Simulation { seeds: crate::simulate::SEEDS_IN_CI };
/// A router whose server stood still for longer than its lease lives.
const NOT_RENEWED: Check = router("owners::an_owner_that_could_not_renew");
/// A plan whose acceptance is confirmed late, after a restart by another one.
const JUDGED_AGAIN: Check = Check::TestsOf {
    package: "instance-engine",
    name: "stories",
    filter: "rules::turns::a_plan_that_was_made_before_its_turn",
};
/// A router that has been followed, and believes in its lease.
const FOLLOWED: Check = router("owners::an_owner_that_was_followed");
/// A router that is told to leave while it waits for its agents.
const LEAVES: Check = router("owners::a_router_that_leaves");
/// What is written where no stream listens.
const NO_STREAM: Check =
    Check::TestsOf { package: "instance-bus", name: "first", filter: "a_write_that_no_stream_takes" };
/// What the ledger holds after any power cut.
const LEDGER: Check = Check::Tests { package: "instance-agent", filter: "ledger::tests::" };
/// What a step does that comes twice, late, under a halt, or after a crash.
const STEPS: Check = Check::Tests { package: "instance-agent", filter: "steps::tests::" };
const FENCE: Check = Check::Tests { package: "instance-agent", filter: "fence::tests::" };
/// What the folder of a CPF holds after any power cut.
const CPF_FOLDER: Check = Check::Tests { package: "instance-config-agent", filter: "tests::power_cuts::" };
/// What a change of a CPF promises to people who edit it too.
const CPF_CHANGES: Check = Check::Tests { package: "instance-config-agent", filter: "tests::changes::" };
/// What becomes of who writes a CPF while it changes its name, or after it.
const CPF_EXCHANGES: Check = Check::Tests { package: "instance-config-agent", filter: "tests::exchanges::" };
/// What is said when the kernel takes another value than it was given.
const SHORT_KERNEL: Check = Check::Tests { package: "instance-os-agent", filter: "tests::short_kernel::" };
/// The agent dies when its first step is done, and nobody else knows.
const DEATH_BEFORE_RESULT: Check = Check::Death { case: "os-agent agent.result-to-publish:1 forward" };
/// The agent dies when its restart has happened and nothing says so yet.
const DEATH_AFTER_RESTART: Check = Check::Death { case: "restart-agent agent.effect-over:1 forward" };

pub const MUTANTS: &[Mutant] = &[
    // What the router decides.
    breaks("I3 (predecessors first)", "engine.wave-too-early"),
    breaks("I5 (consent)", "engine.approval-digest-ignored"),
    breaks("I5 (consent)", "engine.approver-unchecked"),
    breaks("I5 (consent)", "planner.danger-not-asked-about"),
    breaks("I6 (undone means as before)", "engine.failed-restart-left"),
    breaks("I7 (what others changed stands)", "engine.change-not-named"),
    breaks("I10 (drastic steps)", "planner.drastic-steps-uncounted"),
    breaks("I10 (plans keep to what they know)", "planner.restarts-uncounted"),
    breaks("I10 (plans keep to what they know)", "planner.restarts-unspaced"),
    breaks("I10 (restarts are remembered)", "engine.restarts-forgotten"),
    found_by(JUDGED_AGAIN, "engine.judged-once"),
    breaks("I10 (urgent first)", "engine.asked-keeps-its-turn"),
    breaks("I10 (attempts)", "engine.one-attempt-too-many"),
    breaks("I10 (attempts wait)", "engine.retry-at-once"),
    breaks("I10 (side by side)", "engine.one-too-many-side-by-side"),
    breaks("I10 (nothing that has ended is kept)", "engine.ended-kept"),
    breaks("I13 (nothing acts after the end)", "engine.clock-skew-ignored"),
    breaks("I4 (epochs only rise)", "engine.epoch-by-clock-alone"),
    found_by(SIMULATION, "engine.approval-never-expires"),
    found_by(SIMULATION, "engine.deadline-sweep-off"),
    found_by(SIMULATION, "engine.unstarted-step-undone"),
    found_by(SIMULATION, "engine.kill-switch-ignored"),
    found_by(SIMULATION, "engine.turn-lost-midway"),
    found_by(SIMULATION, "engine.lost-write-not-looked-for"),
    found_by(SIMULATION, "engine.ack-before-accepted"),
    // Who may act.
    found_by(NOT_RENEWED, "router.lost-lease-ignored"),
    found_by(FOLLOWED, "router.former-owner-writes"),
    found_by(LEAVES, "router.lease-released-early"),
    found_by(NO_STREAM, "bus.no-responders-is-yes"),
    // What the simulation's model of an agent does wrong: no line of the product, but each rule is seen to bite.
    breaks("I1 (one effect a step)", "simulated.intent-not-probed"),
    breaks("I2 (nothing is left unanswered)", "simulated.settled-before-result"),
    breaks("I4 (tokens only rise)", "simulated.fence-ignored"),
    breaks("I4 (former owners write nothing)", "simulated.former-owner-writes"),
    breaks("I6 (undone means as before)", "simulated.undo-to-first-value"),
    breaks("I7 (what others changed stands)", "simulated.drift-unchecked"),
    breaks("I7 (what others changed stands)", "simulated.lost-update-unchecked"),
    breaks("I7 (what others changed stands)", "simulated.undo-unchecked"),
    breaks("I8 (a CPF is always whole)", "simulated.cpf-in-place"),
    breaks("I9 (success is true)", "simulated.effect-skipped"),
    breaks("I11 (kill switch)", "simulated.kill-switch-cached"),
    breaks("I13 (nothing acts after the end)", "simulated.not-after-ignored"),
    // What only a lost page cache shows.
    found_by(LEDGER, "ledger.intent-not-synced"),
    found_by(LEDGER, "ledger.done-not-synced"),
    found_by(CPF_FOLDER, "config.draft-not-synced"),
    found_by(CPF_FOLDER, "config.backup-not-synced"),
    found_by(CPF_FOLDER, "config.replaced-not-synced"),
    found_by(CPF_FOLDER, "config.folder-not-synced"),
    // What an agent promises.
    found_by(DEATH_AFTER_RESTART, "agent.effect-before-intent"),
    found_by(DEATH_AFTER_RESTART, "agent.intent-not-probed"),
    found_by(DEATH_BEFORE_RESULT, "agent.ack-before-result"),
    found_by(STEPS, "agent.result-before-done"),
    found_by(STEPS, "agent.not-after-ignored"),
    found_by(STEPS, "agent.kill-switch-cached"),
    found_by(FENCE, "fence.ignored"),
    found_by(STEPS, "fence.not-stored"),
    found_by(STEPS, "fence.equal-refused"),
    found_by(CPF_CHANGES, "config.lost-update-unchecked"),
    found_by(CPF_CHANGES, "config.undo-unchecked"),
    found_by(CPF_EXCHANGES, "config.exchanged-unchecked"),
    found_by(SHORT_KERNEL, "os.read-back-skipped"),
];
