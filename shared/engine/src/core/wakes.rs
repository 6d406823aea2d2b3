//! When each open remediation wants to be looked at again. The soonest is found without looking at all of them.

use std::collections::BTreeSet;

use instance_contract::RemediationId;
use jiff::Timestamp;

#[derive(Debug, Default)]
pub(super) struct Wakes {
    in_order: BTreeSet<(Timestamp, RemediationId)>,
}

impl Wakes {
    /// The wish of one remediation has changed.
    pub(super) fn change(&mut self, id: RemediationId, former: Option<Timestamp>, now: Option<Timestamp>) {
        if former == now {
            return;
        }
        if let Some(at) = former {
            self.in_order.remove(&(at, id));
        }
        if let Some(at) = now {
            self.in_order.insert((at, id));
        }
    }

    pub(super) fn soonest(&self) -> Option<Timestamp> {
        self.in_order.first().map(|(at, _)| *at)
    }

    /// Those that want to be looked at by now, the soonest first.
    pub(super) fn due(&self, now: Timestamp) -> Vec<RemediationId> {
        self.in_order.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }
}
