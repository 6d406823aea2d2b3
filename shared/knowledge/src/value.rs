//! Checking values: the rules that CPF and kernel parameters share.

/// Why a value is not legal for a parameter. The rule says the type and the range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("value \"{}\" of {parameter} {rule}", value.escape_debug())]
pub struct ValueFault {
    /// The parameter as an operator knows it: `[config] globals`, `vm.swappiness`.
    pub parameter: String,
    /// The value that was refused, as given; may hold control characters.
    pub value: String,
    /// The rule it breaks, beginning with a verb: `must be a whole number from 0 to 100`.
    pub rule: String,
}

/// A whole number in the one way it is written: digits, no sign but a minus, no leading zeros, no blanks.
pub fn canonical_integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    canonical_decimal(digits)?;
    let number = text.parse().ok()?;
    (number != 0 || !text.starts_with('-')).then_some(number)
}

/// A number of at least zero in the one way it is written.
pub fn canonical_decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (text.len() == 1 || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

/// True for characters that end or hide a line somewhere: controls of both sets, line and paragraph separators,
/// and marks that turn the reading direction.
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{canonical_decimal, canonical_integer, is_unprintable};

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!(canonical_integer("-1"), Some(-1));
        assert_eq!(canonical_integer("0"), Some(0));
        assert_eq!(canonical_decimal("18446744073709551615"), Some(u64::MAX));
        for bad in
            ["", "-", "-0", "+1", "01", "00", "1 ", " 1", "1.0", "0x1", "1e3", "٣", "99999999999999999999"]
        {
            assert_eq!(canonical_integer(bad), None, "{bad}");
            assert_eq!(canonical_decimal(bad), None, "{bad}");
        }
        assert_eq!(canonical_decimal("-1"), None);
    }

    #[test]
    fn line_ends_of_every_kind_are_unprintable() {
        for character in ['\n', '\r', '\0', '\u{85}', '\u{2028}', '\u{9f}', '\u{202e}', '\t', '\u{7f}'] {
            assert!(is_unprintable(character), "{character:?}");
        }
        for character in [' ', 'ä', '~', '^'] {
            assert!(!is_unprintable(character), "{character:?}");
        }
    }
}
