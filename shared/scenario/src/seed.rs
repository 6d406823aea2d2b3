//! Numbers that a seed chooses, so that a scenario is not always the very same one.

use std::fmt;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// A number, or a range that the seed chooses from: `256`, or `{ from = 140, to = 240 }` with both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// This number.
    Exactly(u32),
    /// One of these.
    Between(Range),
}

/// Both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    from: u32,
    to: u32,
}

impl Amount {
    /// Is there a number to choose?
    pub fn is_possible(self) -> bool {
        match self {
            Self::Exactly(_) => true,
            Self::Between(Range { from, to }) => from <= to,
        }
    }

    /// As much for a whole of `seen` as this is for a whole of `known`, which is not 0.
    #[must_use]
    pub fn in_proportion(self, seen: u32, known: u32) -> Self {
        let scaled = |number: u32| {
            let scaled = u64::from(number) * u64::from(seen) / u64::from(known.max(1));
            u32::try_from(scaled).unwrap_or(u32::MAX)
        };
        match self {
            Self::Exactly(number) => Self::Exactly(scaled(number)),
            Self::Between(Range { from, to }) => Self::Between(Range { from: scaled(from), to: scaled(to) }),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(number) => write!(f, "{number}"),
            Self::Between(Range { from, to }) => write!(f, "{from} to {to}"),
        }
    }
}

/// Draws amounts, always the same ones for the same seed and scenario.
#[derive(Debug)]
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// `name` is the scenario's, so that two of them draw differently.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a: any stable mixing of the name will do.
        let mixed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(ChaCha8Rng::seed_from_u64(seed ^ mixed))
    }

    /// The number that is meant.
    pub fn amount(&mut self, amount: Amount) -> u32 {
        match amount {
            Amount::Exactly(number) => number,
            Amount::Between(Range { from, to }) => self.0.random_range(from..=to.max(from)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_chooses_the_same_again_and_another_seed_something_else() {
        let amount = Amount::Between(Range { from: 1, to: 1_000_000 });
        let drawn = |seed, name: &str| Draw::new(seed, name).amount(amount);
        assert_eq!(drawn(1, "a"), drawn(1, "a"));
        assert_ne!(drawn(1, "a"), drawn(2, "a"));
        assert_ne!(drawn(1, "a"), drawn(1, "b"));
        assert_eq!(Draw::new(3, "a").amount(Amount::Exactly(7)), 7);
        assert!(!Amount::Between(Range { from: 2, to: 1 }).is_possible());
    }
}
