//! A set of CPUs, written as the kernel writes it: `0-3,8`.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::value::canonical_decimal;

/// CPUs by number. Invariant: not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuList(BTreeSet<u32>);

/// A text that is no list of CPUs in the one way it is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is not a list of CPUs such as 0-3,8: ascending, neighbours joined, no blanks", .0.escape_debug())]
pub struct InvalidCpuList(String);

impl CpuList {
    /// The highest number that is understood: what the C library's set of CPUs can hold.
    pub const HIGHEST: u32 = 1023;

    /// `None` when there is no CPU.
    pub fn of(cpus: impl IntoIterator<Item = u32>) -> Option<Self> {
        let cpus: BTreeSet<u32> = cpus.into_iter().collect();
        (!cpus.is_empty()).then_some(Self(cpus))
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Those of `self` that `other` lacks.
    pub fn beyond(&self, other: &Self) -> Option<Self> {
        Self::of(self.0.difference(&other.0).copied())
    }
}

impl FromStr for CpuList {
    type Err = InvalidCpuList;

    /// Takes the canonical spelling only, so that equal sets are equal texts.
    fn from_str(text: &str) -> Result<Self, InvalidCpuList> {
        let invalid = || InvalidCpuList(text.to_owned());
        let mut cpus = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text| {
                canonical_decimal(text)
                    .and_then(|number| u32::try_from(number).ok())
                    .filter(|number| *number <= Self::HIGHEST)
            };
            let (first, last) = (number(first).ok_or_else(invalid)?, number(last).ok_or_else(invalid)?);
            cpus.extend(first..=last);
        }
        let list = Self::of(cpus).ok_or_else(invalid)?;
        if list.to_string() == text { Ok(list) } else { Err(invalid()) }
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for cpu in self.iter() {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                _ => runs.push((cpu, cpu)),
            }
        }
        for (index, (first, last)) in runs.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if first == last {
                write!(formatter, "{comma}{first}")?;
            } else {
                write!(formatter, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_one_spelling() {
        for good in ["0", "0-1", "0-3,8", "1,3,5-7", "1023"] {
            assert_eq!(good.parse::<CpuList>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            ",",
            "0,",
            "0,1",
            "1,0",
            "0-0",
            "3-1",
            "0-2,2",
            "0, 2",
            "00",
            "+1",
            "0x1",
            "1024",
            "0-9999999999",
            "a",
            "0-1\n",
        ] {
            assert!(bad.parse::<CpuList>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_one_has_and_the_other_lacks() {
        let list = |text: &str| text.parse::<CpuList>().unwrap();
        assert_eq!(list("0-3,8").beyond(&list("0-1")), Some(list("2-3,8")));
        assert_eq!(list("0-1").beyond(&list("0-3")), None);
        assert_eq!((list("0-3,8").count(), CpuList::of([])), (5, None));
    }
}
