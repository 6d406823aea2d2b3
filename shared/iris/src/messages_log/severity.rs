use std::fmt;

/// How serious IRIS says an entry is: the single digit after the process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Severity {
    /// 0: information.
    Info = 0,
    /// 1: warning.
    Warning = 1,
    /// 2: severe; the documentation also says "alert".
    Severe = 2,
    /// 3: fatal.
    Fatal = 3,
}

impl Severity {
    /// Every severity, from the mildest.
    pub const ALL: [Self; 4] = [Self::Info, Self::Warning, Self::Severe, Self::Fatal];

    /// Takes the digit as a number, 0 to 3; anything else is no severity.
    #[inline]
    pub const fn from_digit(digit: u8) -> Option<Self> {
        match digit {
            0 => Some(Self::Info),
            1 => Some(Self::Warning),
            2 => Some(Self::Severe),
            3 => Some(Self::Fatal),
            _ => None,
        }
    }

    /// The digit as IRIS writes it, 0 to 3.
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// `info`, `warning`, `severe` or `fatal`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Severe => "severe",
            Self::Fatal => "fatal",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Severity;

    #[test]
    fn digits_and_severities_are_the_same_four() {
        for severity in Severity::ALL {
            assert_eq!(Severity::from_digit(severity.as_u8()), Some(severity));
        }
        assert_eq!(Severity::from_digit(4), None);
        assert_eq!(Severity::Severe.to_string(), "severe");
    }
}
