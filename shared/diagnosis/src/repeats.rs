//! What keeps repeats out, the cheapest first: message ids, digests of texts, counters. All of bounded size.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use instance_contract::{Digest, InstanceName, MessageId};
use jiff::{SignedDuration, Timestamp};

/// The newest message ids.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    ids: HashSet<MessageId>,
    order: VecDeque<MessageId>,
}

impl Seen {
    /// True the first time.
    pub(crate) fn is_new(&mut self, id: MessageId, most: usize) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        while self.order.len() > most {
            if let Some(oldest) = self.order.pop_front() {
                self.ids.remove(&oldest);
            }
        }
        true
    }
}

/// What texts meant, by their exact digest: a text that comes again is not read again.
#[derive(Debug, Default)]
pub(crate) struct Meanings {
    known: HashMap<Digest, Option<String>>,
    order: VecDeque<Digest>,
}

impl Meanings {
    /// The condition that a text means, found out once.
    pub(crate) fn of(
        &mut self,
        digest: &Digest,
        most: usize,
        find: impl FnOnce() -> Option<String>,
    ) -> Option<String> {
        if let Some(known) = self.known.get(digest) {
            return known.clone();
        }
        let found = find();
        self.known.insert(digest.clone(), found.clone());
        self.order.push_back(digest.clone());
        while self.order.len() > most {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
        found
    }
}

/// How often something came lately. What comes rarely is forgotten first.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    counts: BTreeMap<(InstanceName, String), (Timestamp, u64)>,
}

impl Counters {
    /// Counts so many more; gives how many there were within the time.
    pub(crate) fn count(
        &mut self,
        instance: &InstanceName,
        matter: &str,
        times: u64,
        now: Timestamp,
        over: SignedDuration,
        most: usize,
    ) -> u64 {
        if self.counts.len() >= most {
            self.counts.retain(|_, (since, _)| *since + over > now);
        }
        let key = (instance.clone(), matter.to_owned());
        if self.counts.len() >= most && !self.counts.contains_key(&key) {
            // A flood of different texts: nothing of it comes often.
            return times;
        }
        let (since, count) = self.counts.entry(key).or_insert((now, 0));
        if *since + over <= now {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(times);
        *count
    }
}

/// How many unknown entries an instance wrote within the present second.
#[derive(Debug, Default)]
pub(crate) struct Rates(BTreeMap<InstanceName, (i64, u32)>);

impl Rates {
    /// How many there were within this second.
    pub(crate) fn now(&self, instance: &InstanceName, now: Timestamp) -> u32 {
        self.0.get(instance).filter(|(at, _)| *at == now.as_second()).map_or(0, |(_, count)| *count)
    }

    /// Counts one more; gives how many there were within this second.
    pub(crate) fn count(&mut self, instance: &InstanceName, now: Timestamp, most: usize) -> u32 {
        let second = now.as_second();
        if self.0.len() >= most {
            self.0.retain(|_, (at, _)| *at == second);
        }
        let (at, count) = self.0.entry(instance.clone()).or_insert((second, 0));
        if *at != second {
            (*at, *count) = (second, 0);
        }
        *count = count.saturating_add(1);
        *count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_known_until_too_many_others_came() {
        let id = |number: u128| MessageId::from_uuid(uuid::Uuid::from_u128(number));
        let mut seen = Seen::default();
        assert!(seen.is_new(id(1), 2) && !seen.is_new(id(1), 2));
        assert!(seen.is_new(id(2), 2) && seen.is_new(id(3), 2));
        assert!(seen.is_new(id(1), 2), "it had to make room");
        assert_eq!(seen.ids.len(), 2);
    }

    #[test]
    fn counters_begin_anew_after_their_time_and_stay_within_their_bound() {
        let (mut counters, instance) = (Counters::default(), "PROD".parse().unwrap());
        let over = SignedDuration::from_secs(60);
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        assert_eq!(counters.count(&instance, "a", 1, at(0), over, 2), 1);
        assert_eq!(counters.count(&instance, "a", 3, at(59), over, 2), 4);
        assert_eq!(counters.count(&instance, "a", 1, at(60), over, 2), 1);
        for number in 0..100 {
            counters.count(&instance, &number.to_string(), 1, at(61), over, 2);
        }
        assert_eq!(counters.counts.len(), 2);
    }
}
