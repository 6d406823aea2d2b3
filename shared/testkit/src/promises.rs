//! What every action of an agent promises, checked in one way for all of them.

use std::fmt::Debug;

/// One action, looked at and recorded, but not done yet. Making another one begins in a fresh world.
pub trait Promised {
    /// Everything that the action may change, with owner and mode; what an undo must bring back.
    type World: PartialEq + Debug;
    /// What tells that something was written again, though it looks the same: inode, time, count of writes.
    type Trace: PartialEq + Debug;

    fn world(&self) -> Self::World;
    fn trace(&self) -> Self::Trace;

    /// Does it, as the loop does after a redelivery or a crash.
    fn act(&self) -> Result<(), String>;
    /// Looks whether it is done: what a lost answer comes to.
    fn probe(&self) -> Seen;
    fn undo(&self) -> Result<(), String>;
    /// Looks whether it is taken back.
    fn probe_undo(&self) -> Seen;
    /// Somebody else changes the same thing to what nobody asked for.
    fn interfere(&self);
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Done,
    NotDone,
    /// Somebody else has acted.
    Other,
}

/// Checks them all. `make` gives an action in a fresh world each time.
///
/// # Panics
/// When a promise is broken, with its words.
pub fn keep_promises<A: Promised>(make: impl Fn() -> A) {
    twice_is_once_and_a_lost_answer_is_found(&make());
    undo_restores(&make());
    a_foreign_change_stays(&make);
}

/// The first of them alone, for an action that cannot be taken back.
///
/// # Panics
/// When it is broken, with its words.
pub fn twice_is_once_and_a_lost_answer_is_found(action: &impl Promised) {
    let before = action.world();
    assert_eq!(action.probe(), Seen::NotDone, "nothing was done yet");
    action.act().expect("nothing is in the way");
    let after = action.world();
    assert_ne!(before, after, "the action must change something");
    assert_eq!(action.probe(), Seen::Done, "a lost answer must be found in the world");
    let trace = action.trace();
    action.act().expect("what is done may be asked for again");
    assert_eq!(action.world(), after, "twice must be once");
    assert_eq!(action.trace(), trace, "what is done must not be written again");
}

fn undo_restores(action: &impl Promised) {
    let before = action.world();
    action.act().expect("nothing is in the way");
    assert_eq!(action.probe_undo(), Seen::NotDone, "nothing was taken back yet");
    action.undo().expect("nothing is in the way of the undo");
    assert_eq!(action.world(), before, "an undo must restore what was there");
    assert_eq!(action.probe_undo(), Seen::Done, "a lost answer to an undo must be found in the world");
    assert_eq!(action.probe(), Seen::NotDone, "what was taken back is not done");
    let trace = action.trace();
    action.undo().expect("what is taken back may be taken back again");
    assert_eq!((action.world(), action.trace()), (before, trace), "an undo twice must be an undo once");
}

fn a_foreign_change_stays<A: Promised>(make: &impl Fn() -> A) {
    let action = make();
    action.interfere();
    let theirs = action.world();
    action.act().expect_err("somebody else has acted before");
    assert_eq!(action.world(), theirs, "an action must not overwrite what somebody else has set");
    assert_eq!(action.probe(), Seen::Other, "what somebody else has set must be told apart");

    let action = make();
    action.act().expect("nothing is in the way");
    action.interfere();
    let theirs = action.world();
    action.undo().expect_err("somebody else has acted since");
    assert_eq!(action.world(), theirs, "an undo must not overwrite what somebody else has set");
    assert_eq!(action.probe_undo(), Seen::Other, "what somebody else has set must be told apart");
}
