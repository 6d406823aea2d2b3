//! What every action of an agent promises, as far as a restart can: what it ends cannot be brought back, so its undo
//! does not restore a former world, but brings the instance up on the configuration that is there by then.

use std::fs;

use instance_agent::{Prepared, Probe};
use instance_testkit::promises::{Promised, Seen, twice_is_once_and_a_lost_answer_is_found};

use super::Stage;

struct Restart {
    stage: Stage,
    prepared: Prepared,
}

impl Restart {
    fn of(found: &str, behaviour: &str) -> Self {
        let stage = Stage::new();
        if found == "down" {
            stage.down();
        }
        stage.write("behave", behaviour);
        let prepared = stage.prepare().unwrap();
        Self { stage, prepared }
    }
}

impl Promised for Restart {
    /// State, start, and how often logons were enabled.
    type World = (String, String, usize);
    /// Everything that was asked of the instance.
    type Trace = Vec<String>;

    fn world(&self) -> Self::World {
        let read = |name| fs::read_to_string(self.stage.path(name)).unwrap().trim().to_owned();
        (read("state"), read("since"), read("mgr/messages.log").matches("Enabling logons").count())
    }

    fn trace(&self) -> Self::Trace {
        self.stage.calls()
    }

    fn act(&self) -> Result<(), String> {
        self.stage.apply(&self.prepared).map(drop).map_err(|failure| failure.to_string())
    }

    fn probe(&self) -> Seen {
        seen(&self.stage.probe(&self.prepared))
    }

    fn undo(&self) -> Result<(), String> {
        self.stage.undo(&self.prepared).map(drop).map_err(|failure| failure.to_string())
    }

    fn probe_undo(&self) -> Seen {
        seen(&self.stage.probe_undo(&self.prepared))
    }

    fn interfere(&self) {
        self.stage.write("state", "sign-on inhibited");
    }
}

fn seen(probe: &Probe) -> Seen {
    match probe {
        Probe::Done(_) => Seen::Done,
        Probe::NotDone => Seen::NotDone,
        Probe::Other { .. } => Seen::Other,
    }
}

#[test]
fn a_restart_twice_is_one_restart_and_a_lost_answer_is_found() {
    for (state, behaviour) in [("running", ""), ("running", "same_second"), ("down", "")] {
        twice_is_once_and_a_lost_answer_is_found(&Restart::of(state, behaviour));
    }
}

#[test]
fn an_undo_twice_is_one_undo_and_a_lost_answer_to_it_is_found() {
    let restart = Restart::of("running", "");
    restart.act().unwrap();
    assert_eq!(restart.probe_undo(), Seen::NotDone);
    restart.undo().unwrap();
    assert_eq!(restart.probe_undo(), Seen::Done);
    let (world, trace) = (restart.world(), restart.trace());
    restart.undo().unwrap();
    assert_eq!((restart.world(), restart.trace()), (world, trace));
}

#[test]
fn what_somebody_else_does_to_the_instance_is_left_alone() {
    let restart = Restart::of("running", "");
    restart.interfere();
    let theirs = restart.world();
    let limit = std::time::Duration::from_millis(500);
    restart.stage.apply_within(&restart.prepared, limit, &|| Ok(())).unwrap_err();
    assert_eq!((restart.world(), restart.trace().len()), (theirs, 0));
}
