//! What waits to be told, the same things as one: a pure function of what is noted and of the time.

use std::{collections::BTreeMap, time::Duration};

use instance_contract::{InstanceName, NoticeKind, TraceId};
use jiff::Timestamp;
use tokio::time::Instant;

/// The same thing is told as often.
const EVERY: Duration = Duration::from_mins(10);
/// So many different things wait; of more, the rest is counted as one.
const MOST: usize = 256;
const THE_REST: &str = "decides more than is told one by one";

/// What was decided: the same is told as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct What {
    pub(super) kind: NoticeKind,
    pub(super) text: String,
    pub(super) instance: Option<InstanceName>,
}

/// How often, when first, and why then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slip {
    pub(super) at: Timestamp,
    pub(super) why: String,
    pub(super) trace_id: Option<TraceId>,
    pub(super) times: u64,
}

impl Slip {
    /// In characters.
    pub(super) const LONGEST_WHY: usize = 500;
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Slips {
    waiting: BTreeMap<String, (What, Slip)>,
    told: BTreeMap<String, Instant>,
}

impl Slips {
    pub(super) fn note(&mut self, what: What, slip: Slip) {
        if let Some((_, waiting)) = self.waiting.get_mut(&what.text) {
            waiting.times += slip.times;
        } else if self.waiting.len() < MOST || what.text == THE_REST {
            self.waiting.insert(what.text.clone(), (what, slip));
        } else {
            let rest = What { text: THE_REST.to_owned(), instance: None, ..what };
            self.note(rest, Slip { why: String::new(), trace_id: None, ..slip });
        }
    }

    /// The next that may be told now: not told in the last ten minutes (unless these are the last words), and within what
    /// `allows` counts.
    pub(super) fn due(
        &mut self,
        now: Instant,
        last: bool,
        allows: impl FnOnce() -> bool,
    ) -> Option<(What, Slip)> {
        self.told.retain(|_, told| now.saturating_duration_since(*told) < EVERY);
        let next = self.waiting.keys().find(|text| last || !self.told.contains_key(*text)).cloned()?;
        if !last && !allows() {
            return None;
        }
        self.told.insert(next.clone(), now);
        self.waiting.remove(&next)
    }

    /// It could not be told: it waits again, and is due at once.
    pub(super) fn put_back(&mut self, what: What, slip: Slip) {
        self.told.remove(&what.text);
        let since = self.waiting.remove(&what.text).map_or(0, |(_, since)| since.times);
        self.note(what, Slip { times: slip.times + since, ..slip });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(text: &str) -> What {
        What { kind: NoticeKind::Refused, text: text.to_owned(), instance: None }
    }

    fn slip() -> Slip {
        Slip { at: Timestamp::UNIX_EPOCH, why: "no".to_owned(), trace_id: None, times: 1 }
    }

    fn told(slips: &mut Slips, now: Instant) -> Vec<(String, u64)> {
        let next = || slips.due(now, false, || true).map(|(what, slip)| (what.text, slip.times));
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_flood_is_told_at_once_and_then_as_a_number() {
        let (mut slips, now) = (Slips::default(), Instant::now());
        slips.note(what("a"), slip());
        assert_eq!(told(&mut slips, now), [("a".to_owned(), 1)]);
        for _ in 0..5_000 {
            slips.note(what("a"), slip());
        }
        slips.note(what("b"), slip());
        assert_eq!(told(&mut slips, now), [("b".to_owned(), 1)], "a was told a moment ago");
        assert_eq!(told(&mut slips, now + EVERY), [("a".to_owned(), 5_000)]);
        assert_eq!(slips.told.len(), 1, "what was told long ago is forgotten");
    }

    #[test]
    fn at_the_end_everything_is_told() {
        let (mut slips, now) = (Slips::default(), Instant::now());
        slips.note(what("a"), slip());
        assert!(slips.due(now, false, || false).is_none(), "the limit says no, and it waits");
        assert_eq!(told(&mut slips, now).len(), 1);
        slips.note(what("a"), slip());
        assert_eq!(slips.due(now, true, || false).unwrap().1.times, 1);
    }

    #[test]
    fn what_could_not_be_told_is_counted_on() {
        let (mut slips, now) = (Slips::default(), Instant::now());
        slips.note(what("a"), slip());
        let (taken, first) = slips.due(now, false, || true).unwrap();
        slips.note(what("a"), slip());
        slips.put_back(taken, first);
        assert_eq!(told(&mut slips, now), [("a".to_owned(), 2)]);
    }

    #[test]
    fn so_many_things_wait_and_no_more() {
        let mut slips = Slips::default();
        for number in 0..MOST + 40 {
            slips.note(what(&number.to_string()), slip());
        }
        let told = told(&mut slips, Instant::now());
        assert_eq!(told.len(), MOST + 1);
        assert!(told.contains(&(THE_REST.to_owned(), 40)), "{told:?}");
    }
}
