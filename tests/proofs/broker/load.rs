//! A steady load of plans, each sent until the broker says that it has it.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream;
use instance_clock::{Clock as _, SystemClock};
use instance_contract::subject;
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{
    feed::Feed,
    plan::{self, Plan},
};

/// Between two sendings of the same command.
const SEND_AGAIN: Duration = Duration::from_millis(100);

/// What was asked for so far.
#[derive(Default)]
pub struct Load {
    sent: Mutex<Vec<Sent>>,
    /// Sendings that the broker did not acknowledge; it may have the command all the same.
    unacknowledged: AtomicUsize,
    over: AtomicBool,
}

/// One command.
#[derive(Debug, Clone)]
pub struct Sent {
    pub plan: Plan,
    /// For the first time.
    pub at: Timestamp,
    /// The stream has it.
    pub acknowledged: bool,
}

impl Load {
    /// Plans for one instance, one every `period` at most; returns once no more are asked for and the last one is
    /// acknowledged. Every other instance has two plans at once, so that the second has to wait its turn.
    pub async fn lane(&self, instance: usize, period: Duration, js: &jetstream::Context, feed: &Feed) {
        let phase = period.mul_f64(f64::from(u8::try_from(instance % 16).unwrap_or_default()) / 16.0);
        let mut ticks = interval_at(Instant::now() + phase, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = None;
        for number in 0.. {
            ticks.tick().await;
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let plan = Plan::new(instance, number);
            self.send(&plan, js).await;
            let awaited = if instance.is_multiple_of(2) { Some(plan.id) } else { before.replace(plan.id) };
            if let Some(id) = awaited {
                feed.ended(id).await;
            }
        }
    }

    async fn send(&self, plan: &Plan, js: &jetstream::Context) {
        let subject = subject::command(&plan::name(plan.instance).parse().unwrap()).to_string();
        let payload = plan.command();
        let place = {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.push(Sent { plan: plan.clone(), at: SystemClock.now(), acknowledged: false });
            sent.len() - 1
        };
        loop {
            let acknowledged = match js.publish(subject.clone(), payload.clone().into()).await {
                Ok(answer) => answer.await.is_ok(),
                Err(_) => false,
            };
            if acknowledged {
                self.sent.lock().unwrap_or_else(PoisonError::into_inner)[place].acknowledged = true;
                return;
            }
            self.unacknowledged.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(SEND_AGAIN).await;
        }
    }

    /// Asks for no more.
    pub fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn unacknowledged(&self) -> usize {
        self.unacknowledged.load(Ordering::Relaxed)
    }
}
