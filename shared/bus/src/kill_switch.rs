//! The kill switch, for whoever asks for it before every act.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_nats::Subscriber;
use futures::{FutureExt as _, StreamExt as _};
use jiff::{SignedDuration, Timestamp};

use crate::{
    Bus, BusError,
    kv::{HALT_KEY, kv_subject},
    topology::CONTROL,
};

/// How long a look at the switch holds. A halt is in force within a second, and the act comes after the look.
const HOLDS: Duration = Duration::from_millis(800);
/// Looks that took too long to say anything, before it cannot be told.
const TRIES: u32 = 5;

/// Whether all acting is stopped, without a question to the server before every act.
///
/// Invariant: "not halted" rests on a read through the leader that began at most 800 ms ago, by the monotonic and by
/// the wall clock (one of them also counts while a machine sleeps), and nothing that was written to the switch since
/// has reached this connection. A halt that passes by is in force at once; should the passing by fall silent, without
/// a right to listen or after a lost connection, it is in force when the read is due.
pub struct KillSwitch {
    bus: Bus,
    memory: Mutex<Memory>,
}

struct Memory {
    /// Everything written to the switch, as it passes by.
    writes: Subscriber,
    /// When the last read began that found the switch open.
    open_at: Option<Moment>,
    /// How often something passed by: a read that began before it proves nothing.
    passed_by: u64,
}

#[derive(Clone, Copy)]
struct Moment {
    monotonic: Instant,
    wall: Timestamp,
}

impl Bus {
    /// Listens for the kill switch.
    pub async fn kill_switch(&self) -> Result<KillSwitch, BusError> {
        let subject = kv_subject(CONTROL, HALT_KEY);
        let writes = self
            .client
            .subscribe(subject)
            .await
            .map_err(|error| BusError::failed("listen for", "the kill switch", error))?;
        let memory = Memory { writes, open_at: None, passed_by: 0 };
        Ok(KillSwitch { bus: self.clone(), memory: Mutex::new(memory) })
    }
}

impl KillSwitch {
    /// True when it is known at this moment that nobody has stopped all acting; else ask [`KillSwitch::is_halted`].
    pub fn is_known_open(&self) -> bool {
        let mut memory = self.memory();
        memory.listen();
        memory.open_at.is_some_and(|at| at.holds(&self.now()))
    }

    /// As [`Bus::is_halted`], and asks the server only when it is not known. An error means that it cannot be told:
    /// treat it as halted.
    pub async fn is_halted(&self) -> Result<bool, BusError> {
        if self.is_known_open() {
            return Ok(false);
        }
        for _ in 0..TRIES {
            let (began, passed_by) = (self.now(), self.memory().passed_by);
            if self.bus.is_halted().await? {
                return Ok(true);
            }
            let mut memory = self.memory();
            memory.listen();
            if memory.passed_by == passed_by && began.holds(&self.now()) {
                memory.open_at = Some(began);
                return Ok(false);
            }
        }
        Err(BusError::NoAnswer { operation: "look at", thing: "the kill switch".to_owned() })
    }

    fn now(&self) -> Moment {
        Moment { monotonic: Instant::now(), wall: self.bus.clock.now() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Takes what has arrived. The server hands on what one connection sends in its order, so a halt is here before
    /// anything that its sender sent after it. What others sent may overtake it by the moment in which the server
    /// hands the halt on (it acknowledges from another thread); the read that is due bounds that moment too.
    fn listen(&mut self) {
        // Outside of the runtime's fairness, which would say that nothing is there when something is.
        while let Some(Some(_)) = tokio::task::unconstrained(self.writes.next()).now_or_never() {
            self.open_at = None;
            self.passed_by += 1;
        }
    }
}

impl Moment {
    fn holds(self, now: &Self) -> bool {
        let by_wall = now.wall.duration_since(self.wall);
        now.monotonic.duration_since(self.monotonic) < HOLDS
            && !by_wall.is_negative()
            && by_wall < SignedDuration::try_from(HOLDS).expect("less than a second")
    }
}
