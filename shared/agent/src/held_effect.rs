//! An effect that has begun and does not end before its test says so.

use std::{sync::mpsc, time::Duration};

use tokio::sync::mpsc as awaited;

use crate::counting_agent::{Behaviour, CountingAgent};

/// Longer than any test waits for something: it ends a test that forgot to let go.
const FORGOTTEN: Duration = Duration::from_mins(1);

pub struct HeldEffect {
    begun: awaited::UnboundedReceiver<()>,
    go_on: mpsc::Sender<()>,
}

impl HeldEffect {
    /// The next effect of the agent is held.
    pub fn next_of(agent: &CountingAgent) -> Self {
        let (begins, begun) = awaited::unbounded_channel();
        let (go_on, may_go_on) = mpsc::channel();
        agent.next(Behaviour::Run(Box::new(move || {
            begins.send(()).unwrap();
            may_go_on.recv_timeout(FORGOTTEN).unwrap();
        })));
        Self { begun, go_on }
    }

    pub async fn has_begun(&mut self) {
        let begun = tokio::time::timeout(FORGOTTEN / 2, self.begun.recv()).await;
        begun.expect("the effect begins in time").expect("the effect is still to come");
    }

    pub fn goes_on(&self) {
        self.go_on.send(()).unwrap();
    }
}
