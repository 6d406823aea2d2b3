//! Whether a value may stand behind a parameter.

use std::net::IpAddr;

use super::{Parameter, ParameterKind};
use crate::value::{ValueFault, canonical_decimal, canonical_integer, is_unprintable};

impl Parameter {
    /// Whether IRIS would take `value`: its type and range, and nothing that could be read as another line.
    pub fn check(&self, value: &str) -> Result<(), ValueFault> {
        self.rule_broken_by(value).map_or(Ok(()), |rule| Err(self.fault(value, rule)))
    }

    /// [`Parameter::check`], and whether anybody but IRIS may change it at all.
    pub fn check_change(&self, value: &str) -> Result<(), ValueFault> {
        if self.read_only {
            return Err(self.fault(value, "must not be changed: only IRIS writes this parameter".to_owned()));
        }
        self.check(value)
    }

    fn fault(&self, value: &str, rule: String) -> ValueFault {
        let value = if self.secret { "(hidden)" } else { value };
        ValueFault { parameter: self.label(), value: value.to_owned(), rule }
    }

    fn rule_broken_by(&self, value: &str) -> Option<String> {
        if let Some(character) = value.chars().find(|character| is_unprintable(*character)) {
            return Some(format!("must not hold the control character {}", character.escape_unicode()));
        }
        if value.trim() != value {
            return Some("must not begin or end with a blank".to_owned());
        }
        if value.is_empty() && self.required_non_empty {
            return Some("must not be empty: IRIS refuses to start then".to_owned());
        }
        if self.special.iter().any(|special| special == value) {
            return None;
        }
        let rule = self.rule();
        (!self.kind.allows(value)).then_some(rule)
    }

    /// The rule in words: type, range, unit, special values.
    fn rule(&self) -> String {
        let unit = self.unit.as_ref().map(|unit| format!(" ({unit})")).unwrap_or_default();
        let special = match self.special.as_slice() {
            [] => String::new(),
            special => format!(", or {}", special.join(" or ")),
        };
        format!("{}{unit}{special}", self.kind.rule())
    }
}

impl ParameterKind {
    fn allows(&self, value: &str) -> bool {
        match self {
            Self::Integer { min, max } => in_range(value, (*min, *max)),
            Self::Decimal { min, max } => {
                is_decimal(value) && value.parse::<f64>().is_ok_and(|number| (*min..=*max).contains(&number))
            }
            Self::Boolean => matches!(value, "0" | "1"),
            Self::Bits { mask } => canonical_decimal(value).is_some_and(|bits| bits & !mask == 0),
            Self::Integers { ranges, counts, alone } => {
                let parts: Vec<_> = value.split(',').collect();
                let fits = |(part, range): (&&str, &(i64, i64))| in_range(part, *range);
                match (parts.as_slice(), alone) {
                    ([single], Some(range)) => in_range(single, *range),
                    _ => counts.contains(&parts.len()) && parts.iter().zip(ranges).all(fits),
                }
            }
            Self::Choice { choices } => choices.iter().any(|choice| choice == value),
            Self::ChoiceList { choices } => is_choice_list(value, choices),
            Self::Text { max_length } => is_plain_text(value, *max_length),
            Self::Directory { max_length } | Self::File { max_length } => {
                is_plain_text(value, *max_length) && is_path(value)
            }
            Self::Alphanumeric { max_length } => {
                value.len() <= *max_length && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
            }
            Self::Address => value.is_empty() || value.parse::<IpAddr>().is_ok(),
            Self::LogPlace { max_length } => is_log_place(value, *max_length),
        }
    }

    fn rule(&self) -> String {
        match self {
            Self::Integer { min, max } => format!("must be a whole number from {min} to {max}"),
            Self::Decimal { min, max } => format!("must be a number from {min} to {max}"),
            Self::Boolean => "must be 0 or 1".to_owned(),
            Self::Bits { mask } => format!("must be a sum of {}", bits_of(*mask)),
            Self::Integers { ranges, counts, alone } => {
                let counts: Vec<_> = counts.iter().map(ToString::to_string).collect();
                let ranges: Vec<_> = ranges.iter().map(|(min, max)| format!("{min} to {max}")).collect();
                let alone =
                    alone.map(|(min, max)| format!(", or one from {min} to {max}")).unwrap_or_default();
                let (counts, ranges) = (counts.join(" or "), ranges.join(", "));
                format!("must be {counts} whole numbers separated by commas, from {ranges}{alone}")
            }
            Self::Choice { choices } => format!("must be one of {}", choices.join(", ")),
            Self::ChoiceList { choices } => {
                format!("must be one or more of {}, separated by commas, none twice", choices.join(", "))
            }
            Self::Text { max_length } => {
                format!(
                    "must be text of at most {max_length} characters that does not begin like a section or a comment"
                )
            }
            Self::Directory { max_length } => {
                format!(
                    "must be empty or an absolute directory without \"..\", of at most {max_length} characters"
                )
            }
            Self::File { max_length } => {
                format!(
                    "must be empty or an absolute file name without \"..\", of at most {max_length} characters"
                )
            }
            Self::Alphanumeric { max_length } => {
                format!("must be empty or at most {max_length} letters and digits")
            }
            Self::Address => "must be empty or an IP address".to_owned(),
            Self::LogPlace { max_length } => format!(
                "must be a comma, and behind it nothing or an absolute file name of at most {max_length} characters that \
                 ends in messages.log"
            ),
        }
    }
}

fn in_range(value: &str, (min, max): (i64, i64)) -> bool {
    canonical_integer(value).is_some_and(|number| (min..=max).contains(&number))
}

/// Digits with at most one dot between them; no exponent, no sign.
fn is_decimal(value: &str) -> bool {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    canonical_decimal(whole).is_some()
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

fn bits_of(mask: u64) -> String {
    let bits: Vec<_> =
        (0..64).map(|bit| 1_u64 << bit).filter(|bit| mask & bit != 0).map(|bit| bit.to_string()).collect();
    bits.join(", ")
}

fn is_choice_list(value: &str, choices: &[String]) -> bool {
    let parts: Vec<_> = value.split(',').collect();
    let known = |part: &&str| choices.iter().any(|choice| choice == part);
    parts.iter().all(known) && (1..parts.len()).all(|index| !parts[..index].contains(&parts[index]))
}

/// Nothing that a reader of the file could take for a section or a comment when lines are split wrongly.
fn is_plain_text(value: &str, max_length: usize) -> bool {
    value.chars().count() <= max_length
        && !["[", ";", "#", "//", "/*"].iter().any(|mark| value.starts_with(mark))
}

/// The second of two values; the first is no longer used.
fn is_log_place(value: &str, max_length: usize) -> bool {
    let Some(path) = value.strip_prefix(',') else { return value.is_empty() };
    let name = path.rsplit(['/', '\\']).next();
    path.is_empty() || (path.chars().count() <= max_length && is_path(path) && name == Some("messages.log"))
}

/// Nothing, or absolute in the manner of Linux or Windows, without a way upwards.
fn is_path(value: &str) -> bool {
    let windows =
        value.as_bytes().get(..3).is_some_and(|head| head[0].is_ascii_alphabetic() && &head[1..] == b":\\");
    value.is_empty()
        || ((value.starts_with('/') || windows)
            && !value.split(['/', '\\']).any(|component| component == ".."))
}
