//! Which message goes out when: no clock, no consumer, no bus, so that order, waiting and giving up can be proved.
//!
//! ```text
//! well --a message is not taken--> trying: nothing younger begins, the oldest goes alone, 1, 2, 4, 5, 5 ... s apart
//! trying --the oldest is taken, refused or given up--> well: what waited goes one by one, what is new several at a time
//! ```
//!
//! A message that was not taken in six tries is doubted: the next younger one is sent once beside it. If that one is
//! taken and the oldest again is not, the consumer is here and the message is what it cannot take: it is given up.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use instance_transport::PAUSES;
use jiff::Timestamp;

/// Between two tries when those of [`PAUSES`] are over; the breaker of the consumer makes them rarer.
const LATER_PAUSE: Duration = Duration::from_secs(5);
/// After so many tries in vain the oldest message is doubted.
const DOUBTED_AFTER: u32 = 6;

/// The messages of one consumer that are read and not settled, by their place in the stream.
pub struct Schedule {
    at_once: usize,
    waiting: BTreeMap<u64, Timestamp>,
    under_way: BTreeMap<u64, Timestamp>,
    state: State,
    /// What was published before goes one by one.
    one_by_one_until: Timestamp,
    /// Told that the consumer is away.
    is_away: bool,
}

enum State {
    Well,
    Trying(Trying),
}

struct Trying {
    oldest: u64,
    /// So often it was not taken.
    tries: u32,
    again_at: Instant,
    beside: Beside,
}

/// The younger message that shows whether the consumer is here.
enum Beside {
    No,
    Wanted,
    UnderWay(u64),
    /// It was taken, or refused: somebody is here.
    Answered,
}

/// What came of one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// Taken, or refused for good.
    Settled,
    /// Not now.
    Away { too_old: bool },
}

/// What becomes of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Settle,
    /// It is tried again.
    Wait,
    /// Kept for as long as promised.
    TooOld,
    /// So many tries in vain, and a younger one went through.
    OnlyThisOne {
        tries: u32,
    },
}

impl Schedule {
    /// `now`: what was published before has waited.
    pub fn new(at_once: usize, now: Timestamp) -> Self {
        let (waiting, under_way) = (BTreeMap::new(), BTreeMap::new());
        Self { at_once, waiting, under_way, state: State::Well, one_by_one_until: now, is_away: false }
    }

    /// True while another message should be read.
    pub fn wants_more(&self) -> bool {
        match self.state {
            State::Well => self.waiting.is_empty(),
            // The oldest, and the one beside it.
            State::Trying(_) => self.waiting.len() < 2,
        }
    }

    /// Another message, younger than all before.
    pub fn read(&mut self, place: u64, published_at: Timestamp) {
        self.waiting.insert(place, published_at);
    }

    /// The message that goes out now. `left_alone`: the breaker is open, so only the question beside a doubted message.
    pub fn begin(&mut self, now: Instant, left_alone: bool) -> Option<u64> {
        let beside = self.beside();
        let place = match &self.state {
            _ if beside.is_some() => beside?,
            _ if left_alone => return None,
            State::Well => self.next_of_many()?,
            State::Trying(trying) => {
                (self.under_way.is_empty() && now >= trying.again_at).then_some(trying.oldest)?
            }
        };
        let published_at = self.waiting.remove(&place)?;
        self.under_way.insert(place, published_at);
        if let (Some(_), State::Trying(trying)) = (beside, &mut self.state) {
            trying.beside = Beside::UnderWay(place);
        }
        Some(place)
    }

    /// The next younger message, where the oldest is doubted.
    fn beside(&self) -> Option<u64> {
        match &self.state {
            State::Trying(Trying { oldest, beside: Beside::Wanted, .. }) if self.under_way.is_empty() => {
                self.waiting.range(oldest + 1..).next().map(|(place, _)| *place)
            }
            State::Trying(_) | State::Well => None,
        }
    }

    fn next_of_many(&self) -> Option<u64> {
        let (place, published_at) = self.waiting.first_key_value()?;
        let has_waited = |published_at: &Timestamp| *published_at < self.one_by_one_until;
        let alone = has_waited(published_at) || self.under_way.values().any(has_waited);
        (self.under_way.len() < if alone { 1 } else { self.at_once }).then_some(*place)
    }

    /// When to ask again for something to begin, besides after a read or a try.
    pub fn wakes_at(&self) -> Option<Instant> {
        match &self.state {
            State::Trying(trying) if self.under_way.is_empty() => Some(trying.again_at),
            State::Trying(_) | State::Well => None,
        }
    }

    /// True when this try is a retry: what is under way beside each other when a consumer goes away fails as one.
    pub fn is_retry(&self, place: u64) -> bool {
        matches!(&self.state, State::Trying(trying) if trying.oldest == place)
    }

    /// What came of a message that was begun. `at` is the same moment as `now`, by the clock of the stream.
    pub fn tried(&mut self, place: u64, outcome: Tried, now: Instant, at: Timestamp) -> Then {
        let Some(published_at) = self.under_way.remove(&place) else { return Then::Wait };
        let then = match (&mut self.state, outcome) {
            (State::Trying(trying), Tried::Settled) if trying.oldest == place => {
                self.well_again(at);
                Then::Settle
            }
            (State::Trying(trying), Tried::Away { too_old }) if trying.oldest == place => {
                let tries = trying.tries + 1;
                if too_old || matches!(trying.beside, Beside::Answered) {
                    self.well_again(at);
                    return if too_old { Then::TooOld } else { Then::OnlyThisOne { tries } };
                }
                trying.tries = tries;
                trying.again_at = now + pause_after(tries);
                trying.beside = if tries >= DOUBTED_AFTER { Beside::Wanted } else { Beside::No };
                Then::Wait
            }
            (State::Trying(trying), outcome) => {
                if matches!(trying.beside, Beside::UnderWay(asked) if asked == place) {
                    let answered = outcome == Tried::Settled;
                    trying.beside = if answered { Beside::Answered } else { Beside::No };
                }
                if outcome == Tried::Settled { Then::Settle } else { Then::Wait }
            }
            (State::Well, Tried::Settled) => Then::Settle,
            (State::Well, Tried::Away { .. }) => {
                let again_at = now + pause_after(1);
                self.state = State::Trying(Trying { oldest: place, tries: 1, again_at, beside: Beside::No });
                Then::Wait
            }
        };
        if then == Then::Wait {
            self.waiting.insert(place, published_at);
            if let State::Trying(trying) = &mut self.state {
                trying.oldest = trying.oldest.min(place);
            }
        }
        then
    }

    fn well_again(&mut self, at: Timestamp) {
        self.state = State::Well;
        self.one_by_one_until = at;
    }

    /// `Some` when the consumer has gone away (all its retries were in vain) or has come back since the last call.
    pub fn turned(&mut self) -> Option<bool> {
        let is_away = match &self.state {
            State::Well => false,
            State::Trying(trying) => {
                let in_vain = usize::try_from(trying.tries).is_ok_and(|tries| tries > PAUSES.len());
                in_vain && !matches!(trying.beside, Beside::Answered)
            }
        };
        let turned = is_away != std::mem::replace(&mut self.is_away, is_away);
        turned.then_some(is_away)
    }
}

/// After so many tries in vain, from 1.
fn pause_after(tries: u32) -> Duration {
    let number = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX);
    PAUSES.get(number).copied().unwrap_or(LATER_PAUSE)
}

#[cfg(test)]
mod tests;
