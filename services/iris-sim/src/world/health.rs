//! The health state: field 9 of `iris qlist`.
//!
//! The Monitoring Guide's rules: up to four system alerts during the start give yellow, more give red; afterwards
//! each alert is one step up, and half a quiet hour one step down. Ours: the write daemon in panic is red at once.

use crate::world::act::Severity;

/// GREEN, YELLOW, RED; hung is a matter of the phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum AlertLevel {
    /// `ok`
    #[default]
    Green,
    /// `warn`
    Yellow,
    /// `alert`
    Red,
}

impl AlertLevel {
    /// The level after a start in which this many alerts were written.
    pub fn after_start(alerts: usize) -> Self {
        match alerts {
            0 => Self::Green,
            1..=4 => Self::Yellow,
            _ => Self::Red,
        }
    }

    /// One more alert.
    #[must_use]
    pub fn raised(self) -> Self {
        match self {
            Self::Green => Self::Yellow,
            Self::Yellow | Self::Red => Self::Red,
        }
    }

    /// Half an hour without one.
    #[must_use]
    pub fn calmed(self) -> Self {
        match self {
            Self::Red => Self::Yellow,
            Self::Yellow | Self::Green => Self::Green,
        }
    }

    /// As `iris qlist` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Green => "ok",
            Self::Yellow => "warn",
            Self::Red => "alert",
        }
    }
}

/// Whether an entry counts as a system alert.
pub fn is_alert(severity: Severity) -> bool {
    severity >= Severity::Severe
}
