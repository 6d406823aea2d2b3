//! How often a peer may be wrong about who it is, before anything more of it is read.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use crate::config::Limits;

/// So many peers are remembered. Of more, who owes least is forgotten.
const MOST_PEERS: usize = 1_024;
/// Whoever has one address of IPv6 has all that begin like it.
const OWN_BITS: u32 = 64;

/// Who is at the other end of a connection. Behind a proxy that is the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Peer(IpAddr);

impl Peer {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> OWN_BITS << OWN_BITS)),
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// What peers owe for having been wrong. A debt goes down with time, by so many a second.
pub(crate) struct Strangers {
    per_second: f64,
    at_once: f64,
    debts: Mutex<HashMap<Peer, Debt>>,
}

#[derive(Clone, Copy)]
struct Debt {
    owed: f64,
    at: Instant,
}

impl Strangers {
    /// As often as a caller may ask, a stranger may be wrong.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            per_second: f64::from(limits.requests_per_second.max(1)),
            at_once: f64::from(limits.burst.max(1)),
            debts: Mutex::default(),
        }
    }

    /// Has it been wrong too often, as of now?
    pub(crate) fn is_spent(&self, peer: Peer, now: Instant) -> bool {
        let debt = self.debts().get(&peer).copied();
        debt.is_some_and(|debt| self.owed(debt, now) + 1.0 > self.at_once)
    }

    /// It was wrong once more.
    pub(crate) fn was_wrong(&self, peer: Peer, now: Instant) {
        let mut debts = self.debts();
        let owed = debts.get(&peer).map_or(0.0, |debt| self.owed(*debt, now));
        debts.insert(peer, Debt { owed: owed + 1.0, at: now });
        if debts.len() > MOST_PEERS {
            debts.retain(|_, debt| self.owed(*debt, now) > 0.0);
        }
        if debts.len() > MOST_PEERS {
            let others = debts.iter().filter(|(other, _)| **other != peer);
            let least =
                others.min_by(|one, other| self.owed(*one.1, now).total_cmp(&self.owed(*other.1, now)));
            if let Some(least) = least.map(|(peer, _)| *peer) {
                debts.remove(&least);
            }
        }
    }

    fn owed(&self, debt: Debt, now: Instant) -> f64 {
        let since = now.saturating_duration_since(debt.at).as_secs_f64();
        (debt.owed - since * self.per_second).max(0.0)
    }

    fn debts(&self) -> MutexGuard<'_, HashMap<Peer, Debt>> {
        self.debts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn strangers() -> Strangers {
        Strangers::new(Limits { requests_per_second: 2, burst: 3, ..Limits::default() })
    }

    fn peer(address: &str) -> Peer {
        Peer::of(address.parse().unwrap())
    }

    #[test]
    fn who_is_wrong_too_often_waits_and_nobody_else_does() {
        let (strangers, now) = (strangers(), Instant::now());
        let (one, other) = (peer("192.0.2.1"), peer("192.0.2.2"));
        for _ in 0..3 {
            assert!(!strangers.is_spent(one, now));
            strangers.was_wrong(one, now);
        }
        assert!(strangers.is_spent(one, now) && !strangers.is_spent(other, now));
        assert!(strangers.is_spent(one, now + Duration::from_millis(400)), "two a second");
        assert!(!strangers.is_spent(one, now + Duration::from_millis(500)));
    }

    #[test]
    fn a_peer_is_its_network_where_it_may_choose_its_address() {
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
    }

    #[test]
    fn more_peers_than_are_remembered_do_not_free_who_owes_most() {
        let (strangers, now) = (strangers(), Instant::now());
        let worst = peer("192.0.2.1");
        for _ in 0..3 {
            strangers.was_wrong(worst, now);
        }
        for number in 0..2 * u32::try_from(MOST_PEERS).unwrap() {
            strangers.was_wrong(Peer::of(IpAddr::V4((0x0a00_0000 + number).into())), now);
        }
        assert_eq!(strangers.debts().len(), MOST_PEERS);
        assert!(strangers.is_spent(worst, now));
    }
}
