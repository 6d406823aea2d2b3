//! Seeds, and the moment that one may hold.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rand::{Rng, RngExt as _};

/// Where the moment lies in a drawn seed.
const MOMENT_AT_BIT: u32 = 20;
/// 2020 to 2098, in Unix seconds: what counts as a moment in a seed.
const MOMENTS: std::ops::Range<i64> = 1_577_836_800..4_070_908_800;
/// Where seeds without a moment begin: 2026-01-01.
const FIRST_OF_2026: i64 = 1_767_225_600;
const SECONDS_OF_A_YEAR: u64 = 31_536_000;

/// A seed that holds the moment, so that what is invented looks recent and the seed alone repeats it. Below 2^53, so that
/// it survives readers who keep numbers as floating point.
pub fn draw_seed(now: Timestamp, rng: &mut impl Rng) -> u64 {
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    (seconds << MOMENT_AT_BIT) | u64::from(rng.random_range(0..1_u32 << MOMENT_AT_BIT))
}

/// The moment that was drawn with a seed; `None` when it holds none.
pub fn moment_of(seed: u64) -> Option<Timestamp> {
    let moment = i64::try_from(seed >> MOMENT_AT_BIT).ok().filter(|moment| MOMENTS.contains(moment))?;
    Timestamp::from_second(moment).ok()
}

/// When a stream of a seed begins, and where a batch of a drawn one ends ([`crate::Inventor::drawn_back`]): the moment that
/// was drawn with it, else some time in 2026.
pub fn start_of(seed: u64) -> DateTime {
    let within = i64::try_from(seed % SECONDS_OF_A_YEAR).expect("less than a year");
    let in_2026 = || Timestamp::from_second(FIRST_OF_2026 + within).expect("this century is in range");
    moment_of(seed).unwrap_or_else(in_2026).to_zoned(TimeZone::UTC).datetime()
}
