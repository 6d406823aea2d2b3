//! The value that a remedy asks for: a pure computation, refused where it would be a guess.

use crate::remedy::{Formula, Remedy};
use crate::text::folded;
use crate::value::canonical_decimal;

/// What of the host's memory is known; sizes are facts of the host, never assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostMemory {
    /// `Hugepagesize` of `/proc/meminfo`, in KB.
    pub huge_page_kb: u64,
    /// `MemTotal`, in MB, when known.
    pub physical_mb: Option<u64>,
}

/// What a remedy asks to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedChange {
    /// The value to set at the remedy's target; `None` when the remedy sets nothing.
    pub new_value: Option<String>,
}

/// Why no value is proposed. A person has to decide then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposalError {
    /// The present value is needed and was not given.
    #[error("the present value of {target} is not known")]
    PresentValueUnknown {
        /// What the remedy changes.
        target: &'static str,
    },
    /// The present value is not written as it must be.
    #[error("the present value \"{}\" of {target} is not {expected}", value.escape_debug())]
    PresentValueUnreadable {
        /// What the remedy changes.
        target: &'static str,
        /// The value found.
        value: String,
        /// What it should look like.
        expected: &'static str,
    },
    /// All pools are zero, so IRIS sizes the cache itself, by memory that nobody told us.
    #[error(
        "globals is all zero: IRIS takes 25 % of the physical memory by itself, and its size is not known here"
    )]
    AutomaticPools,
    /// The pool to grow is not in use, but others are.
    #[error("the 8 KB pool of \"{value}\" is zero while others are not: which one is too small is not known")]
    OtherPoolsInUse {
        /// The value found.
        value: String,
    },
    /// What would be proposed is more than may be proposed without a person.
    #[error("{needed} {unit} would be needed, the bound is {bound}")]
    AboveBound {
        /// What the formula asks for, or holds already.
        needed: u64,
        /// The bound.
        bound: u64,
        /// Unit of both.
        unit: &'static str,
    },
    /// The message does not name the megabytes.
    #[error("the message does not say how many MB it failed to allocate")]
    NoMegabytesInText,
    /// Zero-sized huge pages.
    #[error("the size of a huge page is not known")]
    HugePageSizeUnknown,
    /// The value asked for is there already, so the cause is another one.
    #[error(
        "{present} huge pages are set and {needed} are needed: the cause is another one, such as fragmented memory or a missing right"
    )]
    AlreadyEnough {
        /// Pages set now.
        present: u64,
        /// Pages needed.
        needed: u64,
    },
}

/// The change that `remedy` asks for after the message `message_text`.
///
/// `present_value` is the value of the remedy's target as read just now. Nothing is guessed: where a fact is
/// missing or a bound would be passed, the error says which.
pub fn propose(
    remedy: &Remedy,
    message_text: &str,
    present_value: Option<&str>,
    memory: HostMemory,
) -> Result<ProposedChange, ProposalError> {
    let new_value = match remedy.formula {
        Formula::DoubleThirdPool { max_mb, max_percent_of_memory } => {
            let share = memory.physical_mb.map(|mb| percent_of(mb, max_percent_of_memory));
            let bound = share.map_or(max_mb, |share| share.min(max_mb));
            Some(double_third_pool(present_value, bound, memory.physical_mb)?)
        }
        Formula::PagesForMegabytesInText { cushion_mb, max_percent_of_memory } => {
            let pages = huge_pages(message_text, present_value, cushion_mb, max_percent_of_memory, memory)?;
            Some(pages.to_string())
        }
        Formula::None => None,
    };
    Ok(ProposedChange { new_value })
}

const GLOBALS: &str = "[config] globals";
const HUGE_PAGES: &str = "vm.nr_hugepages";
/// Share of the physical memory that IRIS takes for 8 KB buffers when all pools are zero [CPF].
const AUTOMATIC_PERCENT: u64 = 25;

fn percent_of(amount: u64, percent: u64) -> u64 {
    amount / 100 * percent + amount % 100 * percent / 100
}

/// The six pools with the third one doubled, or at the bound when that is nearer.
fn double_third_pool(
    present: Option<&str>,
    bound: u64,
    physical_mb: Option<u64>,
) -> Result<String, ProposalError> {
    let value = present.ok_or(ProposalError::PresentValueUnknown { target: GLOBALS })?;
    let unreadable = || ProposalError::PresentValueUnreadable {
        target: GLOBALS,
        value: value.to_owned(),
        expected: "six whole numbers separated by commas",
    };
    let pools = value.split(',').map(canonical_decimal).collect::<Option<Vec<_>>>().ok_or_else(unreadable)?;
    let Ok(mut pools) = <[u64; 6]>::try_from(pools) else { return Err(unreadable()) };
    let third = match pools[2] {
        0 if pools.iter().any(|pool| *pool > 0) => {
            return Err(ProposalError::OtherPoolsInUse { value: value.to_owned() });
        }
        0 => percent_of(physical_mb.ok_or(ProposalError::AutomaticPools)?, AUTOMATIC_PERCENT),
        third => third,
    };
    if third >= bound {
        return Err(ProposalError::AboveBound { needed: third.saturating_mul(2), bound, unit: "MB" });
    }
    pools[2] = third.saturating_mul(2).min(bound);
    Ok(pools.map(|pool| pool.to_string()).join(","))
}

fn huge_pages(
    text: &str,
    present: Option<&str>,
    cushion_mb: u64,
    max_percent: u64,
    memory: HostMemory,
) -> Result<u64, ProposalError> {
    if memory.huge_page_kb == 0 {
        return Err(ProposalError::HugePageSizeUnknown);
    }
    let megabytes = megabytes_not_allocated(text).ok_or(ProposalError::NoMegabytesInText)?;
    let pages = megabytes
        .checked_add(cushion_mb)
        .and_then(|mb| mb.checked_mul(1024))
        .ok_or(ProposalError::NoMegabytesInText)?
        .div_ceil(memory.huge_page_kb);
    if let Some(physical_mb) = memory.physical_mb {
        let bound = percent_of(physical_mb, max_percent).saturating_mul(1024) / memory.huge_page_kb;
        if pages > bound {
            return Err(ProposalError::AboveBound { needed: pages, bound, unit: "huge pages" });
        }
    }
    let value = present.ok_or(ProposalError::PresentValueUnknown { target: HUGE_PAGES })?;
    let present = canonical_decimal(value).ok_or_else(|| ProposalError::PresentValueUnreadable {
        target: HUGE_PAGES,
        value: value.to_owned(),
        expected: "a whole number",
    })?;
    if present >= pages {
        return Err(ProposalError::AlreadyEnough { present, needed: pages });
    }
    Ok(pages)
}

/// The n of "Failed to allocate nMB shared memory".
fn megabytes_not_allocated(text: &str) -> Option<u64> {
    let text = folded(text);
    let (_, rest) = text.split_once("failed to allocate ")?;
    let (number, _) = rest.split_once("mb shared memory")?;
    canonical_decimal(number.trim_end()).filter(|megabytes| *megabytes > 0)
}

#[cfg(test)]
mod tests;
