//! The loop without a bus: a folder, an agent whose effects are counted, and a clock that is turned.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use instance_clock::{Clock, MockClock};
use instance_contract::{StepCommand, StepStatus, ToolResult};

use crate::{
    counting_agent::CountingAgent,
    fence::Fence,
    ledger::{Folder, Intent, Ledger},
    sample,
    self_guard::SelfGuard,
    steps::{Steps, Surroundings},
};

#[derive(Debug, Clone)]
pub struct Outside {
    pub clock: Arc<MockClock>,
    pub halted: Arc<AtomicBool>,
}

impl Surroundings for Outside {
    fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn is_halted(&self, _: Duration) -> bool {
        self.halted.load(Ordering::SeqCst)
    }
}

pub struct Fixture {
    pub folder: tempfile::TempDir,
    pub agent: CountingAgent,
    pub outside: Outside,
    steps: Option<Steps<CountingAgent>>,
}

impl Fixture {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let outside = Outside { clock: Arc::new(MockClock::new(sample::NOW)), halted: Arc::default() };
        let agent = CountingAgent::new(folder.path());
        let mut fixture = Self { agent, folder, outside, steps: None };
        fixture.restart();
        fixture
    }

    /// The process ends and a new one reads the ledger from the disk.
    pub fn restart(&mut self) {
        self.steps = None;
        self.steps = Some(self.steps_in("state", Box::new(self.outside.clone())));
    }

    /// As the loop has them, with a ledger in a folder of that name, and with these surroundings.
    pub fn steps_in(&self, state: &str, surroundings: Box<dyn Surroundings>) -> Steps<CountingAgent> {
        let ledger = self.ledger_in(state);
        Steps::new(self.agent.clone(), ledger, self.fence(), surroundings, "db1".parse().unwrap())
    }

    fn ledger_in(&self, state: &str) -> Ledger {
        Ledger::open(Folder::open(&self.folder.path().join(state)).unwrap(), sample::NOW).unwrap()
    }

    pub fn fence(&self) -> Fence {
        Fence::open(self.folder.path().join("fence")).unwrap()
    }

    /// The loop's own guard, as the settings make it.
    pub fn is_guarded_by(&mut self, self_guard: SelfGuard) {
        self.steps = self.steps.take().map(|steps| steps.guarded_by(self_guard));
    }

    pub fn steps(&self) -> &Steps<CountingAgent> {
        self.steps.as_ref().expect("the process runs")
    }

    /// A process that died directly after it had written the intent.
    pub fn crash_after_intent(&mut self, order: &StepCommand, before: &str, wanted: &str) {
        self.steps = None;
        let prepared = sample::prepared(before, wanted);
        self.ledger_in("state").intend(Intent { order: order.clone(), prepared, at: sample::NOW }).unwrap();
        self.restart();
    }

    pub fn carry_out(&self, order: &StepCommand) -> ToolResult {
        self.steps().carry_out(order).unwrap()
    }

    pub fn tell(&self, order: &StepCommand) -> ToolResult {
        self.steps().tell(order).unwrap()
    }

    #[track_caller]
    pub fn check(&self, order: &StepCommand, status: StepStatus, code: Option<&str>, effects: &[&str]) {
        let result = self.carry_out(order);
        assert_eq!((result.status, result.error_code.as_deref()), (status, code), "{result:?}");
        assert_eq!(self.agent.effects(), effects);
        assert_eq!(result.attempt, order.attempt);
    }
}

/// The undo of the sample.
pub fn undo(attempt: u32) -> StepCommand {
    sample::undo_order("config", attempt)
}

pub fn order(attempt: u32) -> StepCommand {
    sample::order("config", attempt)
}

pub const DONE: &[&str] = &["256 -> 512"];
pub const UNDONE: &[&str] = &["256 -> 512", "512 -> 256"];
pub const NONE: &[&str] = &[];
