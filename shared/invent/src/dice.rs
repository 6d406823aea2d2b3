//! Randomness of a seed, drawn eight bytes at a time.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng as _};

/// The randomness of one seed: the same on every machine. Nothing here needs to be hard to foretell, and a line needs
/// several draws.
#[derive(Debug, Clone)]
pub struct Dice(Xoshiro256PlusPlus);

/// One throw, from which several small choices are taken: a line needs many, and each throw costs.
#[derive(Debug, Clone, Copy)]
pub struct Throw(u64);

impl Dice {
    pub fn of(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    #[inline]
    pub fn throw(&mut self) -> Throw {
        Throw(self.0.next_u64())
    }
}

impl Throw {
    /// A number below `sides`, at least 1. What is left of the throw serves the next choice; the product of all
    /// sides taken from one throw should stay far below 2^64.
    #[inline]
    pub fn below(&mut self, sides: u32) -> u32 {
        let product = u128::from(self.0) * u128::from(sides);
        self.0 = self.0.wrapping_mul(u64::from(sides));
        u32::try_from(product >> 64).expect("a part of a u32 is one")
    }

    /// The place of an item among `length`, at least 1.
    #[inline]
    pub fn place(&mut self, length: usize) -> usize {
        self.below(u32::try_from(length).unwrap_or(u32::MAX)) as usize
    }
}
