//! The parts of the proof, and how much of each.

use std::{fmt, time::Duration};

/// One kind of trouble, in a world of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The server is killed and started again on the same store.
    Kill,
    /// The server is frozen for 5 s.
    Freeze,
    /// The server is killed within 20 ms after acknowledgements.
    AckWindow,
    /// Three servers; the leader of a stream of the log is killed and started again.
    Cluster,
    /// Routers die, and their shards go to the other one or back to themselves.
    Takeover,
    /// A router or an agent stands still in the middle of a plan, and goes on.
    Suspend,
}

impl Part {
    pub const ALL: [Self; 6] =
        [Self::Kill, Self::Freeze, Self::AckWindow, Self::Cluster, Self::Takeover, Self::Suspend];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::AckWindow => "ack-window",
            Self::Cluster => "cluster",
            Self::Takeover => "takeover",
            Self::Suspend => "suspend",
        }
    }

    /// How many servers there are.
    pub const fn servers(self) -> usize {
        match self {
            Self::Cluster => 3,
            _ => 1,
        }
    }

    /// By when all must have ended, from the end of the last fault.
    pub const fn bound(self) -> Duration {
        match self {
            Self::Cluster => Duration::from_mins(1),
            _ => Duration::from_secs(30),
        }
    }

    /// Faults of the broker (or of services, in the last two parts): in CI, and in the long form.
    const fn faults(self, long: bool) -> usize {
        match (self, long) {
            (Self::Kill | Self::AckWindow | Self::Takeover | Self::Suspend, false) => 6,
            (Self::Freeze, false) => 2,
            (Self::Cluster, false) => 3,
            (Self::Kill | Self::AckWindow, true) => 60,
            (Self::Freeze, true) => 20,
            (Self::Cluster | Self::Takeover | Self::Suspend, true) => 30,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Prove that no fault of the broker loses a plan or doubles an effect.
#[derive(Debug, clap::Parser)]
pub struct Arguments {
    /// Only this part.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Faults of each part; by default as many as CI has time for.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    faults: Option<u16>,
    /// What chance is drawn from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Plans to be asked for in a second; a slow machine does fewer.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
    rate: u16,
    /// Ten times the faults.
    #[arg(long)]
    long: bool,
}

/// How much of a part.
#[derive(Debug, Clone, Copy)]
pub struct Dose {
    pub faults: usize,
    pub seed: u64,
    pub rate: u16,
}

impl fmt::Display for Dose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} faults under {} plans a second, seed {}", self.faults, self.rate, self.seed)
    }
}

impl Arguments {
    pub fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    pub fn dose(&self, part: Part) -> Dose {
        let faults = self.faults.map_or_else(|| part.faults(self.long), usize::from);
        Dose { faults, seed: self.seed, rate: self.rate }
    }

    /// The command that repeats one part.
    pub fn again(&self, part: Part) -> String {
        let Dose { faults, seed, rate } = self.dose(part);
        format!("cargo xtask broker --only {part} --faults {faults} --seed {seed} --rate {rate}")
    }
}
