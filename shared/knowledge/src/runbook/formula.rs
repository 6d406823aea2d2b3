//! How a value follows from facts: the documented arithmetic, each case with its bounds.

use serde::Deserialize;

use crate::facts::Facts;
use crate::value::canonical_decimal;

/// How the new value of a step follows from facts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Formula {
    /// There is no value to compute.
    #[default]
    None,
    /// Always this value.
    Fixed(String),
    /// The value of a fact; the first of these that is known and not empty.
    FactValue(Vec<String>),
    /// The third of six buffer pools (8 KB blocks) twice as large, but never above a bound.
    DoubleThirdPool {
        /// Greatest size of the pool in MB that is proposed without a person.
        max_mb: u64,
        /// Greatest share of the physical memory in percent, when that memory is known.
        max_percent_of_memory: u64,
    },
    /// The third of six buffer pools as large as the physical memory bears.
    ThirdPoolWithinMemory {
        /// Share of the physical memory that the shared memory may take in all, in percent.
        percent_of_memory: u64,
        /// A pool that would become smaller than this is left to a person, in MB.
        min_mb: u64,
    },
    /// Huge pages for the shared memory that did not fit, as IRIS named it.
    PagesForRefused {
        /// Added to the megabytes before pages are counted.
        cushion_mb: u64,
        /// Greatest share of the physical memory in percent, when that memory is known.
        max_percent_of_memory: u64,
    },
    /// Huge pages for the shared memory once the third pool is twice as large.
    PagesForDoubledPool {
        /// The bounds of the pool, as in the step that doubles it.
        max_mb: u64,
        /// The same.
        pool_max_percent_of_memory: u64,
        /// Added to the megabytes before pages are counted.
        cushion_mb: u64,
        /// Greatest share of the physical memory in percent, when that memory is known.
        max_percent_of_memory: u64,
    },
}

/// What a formula came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Computed {
    /// The new value.
    Value(String),
    /// What is set already is enough.
    Enough {
        /// In words, with both figures.
        why: String,
    },
    /// Nothing is set.
    Nothing,
}

/// Why no value could be computed. A person has to decide then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoValue {
    /// A fact is needed and not known.
    #[error("there is no value of {fact} ({tells})")]
    FactUnknown {
        /// Its name.
        fact: String,
        /// What it would tell.
        tells: String,
    },
    /// The present value is not written as it must be.
    #[error("\"{}\" is not {expected} ({fact})", value.escape_debug())]
    Unreadable {
        /// The fact.
        fact: &'static str,
        /// Its value.
        value: String,
        /// What it should look like.
        expected: &'static str,
    },
    /// The pool to change is not in use, but others are.
    #[error("the 8 KB pool of \"{value}\" is zero while others are not: which one to change is not known")]
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
    /// What would be proposed is less than may be proposed without a person.
    #[error("{left} {unit} would be left, the least is {bound}")]
    BelowBound {
        /// What the formula comes to.
        left: u64,
        /// The bound.
        bound: u64,
        /// Unit of both.
        unit: &'static str,
    },
}

const GLOBALS: &str = "cpf.globals";
const HUGE_PAGES: &str = "host.huge-pages";
const PAGE_SIZE: &str = "host.huge-page-kb";
const MEMORY: &str = "host.memory-mb";
const NEEDED: &str = "memory.needed-mb";
const REFUSED: &str = "memory.refused-mb";
const REFUSED_STANDARD: &str = "memory.refused-standard-mb";
/// Share of the physical memory that IRIS takes for 8 KB buffers when all pools are zero [CPF].
const AUTOMATIC_PERCENT: u64 = 25;
/// Shared memory per MB of 8 KB buffers, in percent: the buffers and what describes them [RES].
const BUFFERS_PERCENT: u64 = 108;

impl Formula {
    /// The value for these facts.
    pub fn compute(&self, facts: &Facts) -> Result<Computed, NoValue> {
        match self {
            Self::None => Ok(Computed::Nothing),
            Self::Fixed(value) => Ok(Computed::Value(value.clone())),
            Self::FactValue(names) => first_known(names, facts),
            Self::DoubleThirdPool { max_mb, max_percent_of_memory } => {
                let pools = doubled(facts, *max_mb, *max_percent_of_memory)?.after;
                Ok(Computed::Value(written(pools)))
            }
            Self::ThirdPoolWithinMemory { percent_of_memory, min_mb } => {
                within_memory(facts, *percent_of_memory, *min_mb)
            }
            Self::PagesForRefused { cushion_mb, max_percent_of_memory } => {
                let megabytes = needed(facts, REFUSED)?.saturating_add(*cushion_mb);
                pages_for(megabytes, *max_percent_of_memory, facts)
            }
            Self::PagesForDoubledPool {
                max_mb,
                pool_max_percent_of_memory,
                cushion_mb,
                max_percent_of_memory,
            } => {
                let pools = doubled(facts, *max_mb, *pool_max_percent_of_memory)?;
                // What IRIS has named is exact, the formula is high.
                let now = facts.number(REFUSED);
                let now = now.map_or_else(|| needed(facts, NEEDED), Ok)?;
                let megabytes = now.saturating_add(pools.growth_mb()).saturating_add(*cushion_mb);
                pages_for(megabytes, *max_percent_of_memory, facts)
            }
        }
    }
}

impl Formula {
    /// The facts that it may need, by name.
    pub fn facts(&self) -> impl Iterator<Item = &str> {
        let own: &[String] = match self {
            Self::FactValue(names) => names,
            _ => &[],
        };
        let fixed: &[&str] = match self {
            Self::None | Self::Fixed(_) | Self::FactValue(_) => &[],
            Self::DoubleThirdPool { .. } => &[GLOBALS, MEMORY],
            Self::ThirdPoolWithinMemory { .. } => &[GLOBALS, MEMORY, REFUSED_STANDARD, NEEDED],
            Self::PagesForRefused { .. } => &[REFUSED, PAGE_SIZE, MEMORY, HUGE_PAGES],
            Self::PagesForDoubledPool { .. } => &[GLOBALS, REFUSED, NEEDED, PAGE_SIZE, MEMORY, HUGE_PAGES],
        };
        own.iter().map(String::as_str).chain(fixed.iter().copied())
    }

    /// Whether it gives a value to set.
    pub fn gives_a_value(&self) -> bool {
        *self != Self::None
    }
}

fn first_known(names: &[String], facts: &Facts) -> Result<Computed, NoValue> {
    let mut known = names.iter().filter_map(|name| facts.get(name)).map(ToString::to_string);
    let last = names.last().map(String::as_str).unwrap_or_default();
    known.find(|value| !value.is_empty()).map(Computed::Value).ok_or_else(|| unknown(last))
}

fn unknown(name: &str) -> NoValue {
    let tells = crate::facts::fact(name).map_or(name, |row| &row.tells);
    NoValue::FactUnknown { fact: name.to_owned(), tells: tells.trim_end_matches('.').to_owned() }
}

fn needed(facts: &Facts, name: &'static str) -> Result<u64, NoValue> {
    facts.number(name).ok_or_else(|| unknown(name))
}

fn percent_of(amount: u64, percent: u64) -> u64 {
    amount / 100 * percent + amount % 100 * percent / 100
}

/// The pools before and after, and what stood for the third one before.
struct Doubled {
    after: [u64; 6],
    third_before: u64,
}

impl Doubled {
    fn growth_mb(&self) -> u64 {
        let grown = self.after[2].saturating_sub(self.third_before);
        // Rounded up: a page too few, and none is used.
        grown.saturating_mul(BUFFERS_PERCENT).div_ceil(100)
    }
}

fn doubled(facts: &Facts, max_mb: u64, max_percent: u64) -> Result<Doubled, NoValue> {
    let memory = facts.number(MEMORY);
    let bound = memory.map_or(max_mb, |mb| percent_of(mb, max_percent).min(max_mb));
    let (pools, third_before) = third_pool(facts)?;
    let twice = third_before.saturating_mul(2);
    if third_before >= bound {
        return Err(NoValue::AboveBound { needed: twice, bound, unit: "MB" });
    }
    let mut after = pools;
    after[2] = twice.min(bound);
    Ok(Doubled { after, third_before })
}

/// The six pools, and how large the third one really is.
fn third_pool(facts: &Facts) -> Result<([u64; 6], u64), NoValue> {
    let value = facts.text(GLOBALS).ok_or_else(|| unknown(GLOBALS))?;
    let unreadable = || NoValue::Unreadable {
        fact: GLOBALS,
        value: value.to_owned(),
        expected: "six whole numbers separated by commas",
    };
    let pools = value.split(',').map(canonical_decimal).collect::<Option<Vec<_>>>().ok_or_else(unreadable)?;
    let pools = <[u64; 6]>::try_from(pools).map_err(|_| unreadable())?;
    match pools[2] {
        0 if pools.iter().any(|pool| *pool > 0) => Err(NoValue::OtherPoolsInUse { value: value.to_owned() }),
        0 => Ok((pools, percent_of(needed(facts, MEMORY)?, AUTOMATIC_PERCENT))),
        third => Ok((pools, third)),
    }
}

fn written(pools: [u64; 6]) -> String {
    pools.map(|pool| pool.to_string()).join(",")
}

/// What IRIS asked for beside its buffers stays as it is; the buffers get what is left of the share.
fn within_memory(facts: &Facts, percent: u64, min_mb: u64) -> Result<Computed, NoValue> {
    let (mut pools, third) = third_pool(facts)?;
    // IRIS tries again with less and less: the first try is what the CPF asks for, and the formula tells it too.
    let refused = needed(facts, REFUSED_STANDARD)?;
    let asked = facts.number(NEEDED).map_or(refused, |by_cpf| by_cpf.max(refused));
    let share = percent_of(needed(facts, MEMORY)?, percent);
    let beside = asked.saturating_sub(percent_of(third, BUFFERS_PERCENT));
    let left = share.saturating_sub(beside).saturating_mul(100) / BUFFERS_PERCENT;
    if left < min_mb {
        return Err(NoValue::BelowBound { left, bound: min_mb, unit: "MB" });
    }
    if left >= third {
        let why = format!("{asked} MB were refused although {share} MB of memory could hold them");
        return Ok(Computed::Enough { why });
    }
    pools[2] = left;
    Ok(Computed::Value(written(pools)))
}

fn pages_for(megabytes: u64, max_percent: u64, facts: &Facts) -> Result<Computed, NoValue> {
    let page_kb = facts.number(PAGE_SIZE).filter(|kb| *kb > 0).ok_or_else(|| unknown(PAGE_SIZE))?;
    let pages = megabytes.saturating_mul(1024).div_ceil(page_kb);
    if let Some(memory) = facts.number(MEMORY) {
        let bound = percent_of(memory, max_percent).saturating_mul(1024) / page_kb;
        if pages > bound {
            return Err(NoValue::AboveBound { needed: pages, bound, unit: "huge pages" });
        }
    }
    let present = needed(facts, HUGE_PAGES)?;
    if present >= pages {
        let why = format!("{present} huge pages are set and {pages} are needed");
        return Ok(Computed::Enough { why });
    }
    Ok(Computed::Value(pages.to_string()))
}
