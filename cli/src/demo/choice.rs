//! What a seed stands for: one of three faults, and its values.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Liar, checker::Fault};

/// The seed when none is given: the whole loop over config-agent and restart-agent.
pub const DEFAULT_SEED: u64 = 1;

/// What will be broken, and how badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    pub seed: u64,
    pub fault: Fault,
    /// `[config] globals` at the start: 8 KB buffers in MB.
    pub globals_mb: u64,
    /// MB of blocks that the users change between two passes; 0 before it is broken.
    pub load_mb: u64,
    /// Huge pages in the host's pool.
    pub huge_pages: u64,
}

impl Choice {
    pub fn of(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let globals_mb = 64 * random.random_range(2..=6);
        let mut choice = Self { seed, fault: fault_of(seed), globals_mb, load_mb: 0, huge_pages: 0 };
        match choice.fault {
            // More than half of the buffers is too much, more than all of them would not be borne by twice as many.
            Fault::Globals => choice.load_mb = random.random_range(globals_mb / 2 + 8..=globals_mb - 8),
            // Every instance here takes more than 500 MB; a pool of none would not be tried at all.
            Fault::HugePages => choice.huge_pages = random.random_range(20..=200),
            Fault::WriteDaemon => {}
        }
        choice
    }

    /// A seed whose fault is answered by the agent that is to lie.
    pub fn seed_for(liar: Liar) -> u64 {
        match liar {
            Liar::Config | Liar::Verify => 1,
            Liar::Os => 2,
            Liar::Restart => 3,
        }
    }

    /// In words, for people.
    pub fn story(&self) -> String {
        match self.fault {
            Fault::Globals => format!(
                "{} MB of 8 KB buffers for a load of {} MB between two passes of the write daemon",
                self.globals_mb, self.load_mb
            ),
            Fault::HugePages => {
                format!(
                    "{} huge pages on the host, too few for the instance's shared memory",
                    self.huge_pages
                )
            }
            Fault::WriteDaemon => "the write daemon is killed, as the OOM killer does".to_owned(),
        }
    }
}

impl Fault {
    /// The row of the error catalogue that the instance's own log will tell of.
    pub const fn condition(self) -> &'static str {
        match self {
            Self::Globals => "global-buffers-insufficient",
            Self::HugePages => "huge-pages-too-few",
            Self::WriteDaemon => "write-daemon-died",
        }
    }

    /// The agent that makes the first change, and verifies in the end.
    pub const fn agent(self) -> &'static str {
        match self {
            Self::Globals => "config-agent",
            Self::HugePages => "os-agent",
            Self::WriteDaemon => "restart-agent",
        }
    }
}

const fn fault_of(seed: u64) -> Fault {
    match seed % 3 {
        1 => Fault::Globals,
        2 => Fault::HugePages,
        _ => Fault::WriteDaemon,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_seeds_in_a_row_are_three_faults_and_a_seed_is_always_the_same() {
        for seed in 0..300 {
            let faults = [seed, seed + 1, seed + 2].map(|seed| Choice::of(seed).fault.agent());
            assert!(["config-agent", "os-agent", "restart-agent"].iter().all(|agent| faults.contains(agent)));
            assert_eq!(Choice::of(seed), Choice::of(seed));
        }
        assert_ne!(Choice::of(1).load_mb, Choice::of(4).load_mb);
    }

    #[test]
    fn a_load_is_too_much_now_and_borne_by_twice_the_buffers() {
        for seed in (1..3000).step_by(3) {
            let choice = Choice::of(seed);
            assert!(2 * choice.load_mb > choice.globals_mb, "{choice:?}");
            assert!(choice.load_mb <= choice.globals_mb, "{choice:?}");
        }
    }

    #[test]
    fn each_liar_gets_a_fault_in_which_it_has_something_to_do() {
        assert_eq!(Choice::of(Choice::seed_for(Liar::Config)).fault.agent(), "config-agent");
        assert_eq!(Choice::of(Choice::seed_for(Liar::Os)).fault.agent(), "os-agent");
        assert_eq!(Choice::of(Choice::seed_for(Liar::Restart)).fault.agent(), "restart-agent");
    }
}
