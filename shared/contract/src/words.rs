//! The closed vocabularies of the contracts.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::InvalidName;

/// Severity digit of a messages.log line.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, Default,
)]
#[serde(try_from = "u8", into = "u8")]
#[schemars(with = "u8", extend("minimum" = 0, "maximum" = 3))]
pub enum Severity {
    #[default]
    Info,
    Warning,
    Severe,
    Fatal,
}

impl Severity {
    pub const RULE: &'static str = "an integer from 0 (info) to 3 (fatal)";

    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Severe => "severe",
            Self::Fatal => "fatal",
        }
    }
}

impl TryFrom<u8> for Severity {
    type Error = InvalidName;
    fn try_from(digit: u8) -> Result<Self, InvalidName> {
        match digit {
            0 => Ok(Self::Info),
            1 => Ok(Self::Warning),
            2 => Ok(Self::Severe),
            3 => Ok(Self::Fatal),
            _ => Err(InvalidName { kind: "severity", value: digit.to_string(), rule: Self::RULE }),
        }
    }
}

impl From<Severity> for u8 {
    fn from(severity: Severity) -> u8 {
        severity.as_u8()
    }
}

/// An enum whose wire form is one word each.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal $(| $alias:literal)*),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word $(, alias = $alias)*)] $variant),+ }

        impl $name {
            pub const RULE: &'static str = $rule;
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(raw: &str) -> Result<Self, InvalidName> {
                match raw {
                    $($word $(| $alias)* => Ok(Self::$variant),)+
                    _ => Err(InvalidName { kind: $kind, value: raw.to_owned(), rule: $rule }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What kind of trouble an entry tells of, and what kind of cure a command asks for.
    ErrorType, "error type",
    "one of config, license, resource (or os), journal, database, security, mirror, other" {
        Config = "config",
        License = "license",
        /// Memory, CPU, kernel. Older senders write `os`.
        Resource = "resource" | "os",
        Journal = "journal",
        Database = "database",
        Security = "security",
        Mirror = "mirror",
        Other = "other",
    }
}

words! {
    /// Which command goes first when several wait for one instance.
    #[derive(Default)]
    Priority, "priority", "one of critical, high, medium, low" {
        Critical = "critical",
        High = "high",
        #[default]
        Medium = "medium",
        Low = "low",
    }
}

words! {
    /// A tool of the simple and of the graph form; each belongs to one agent.
    Tool, "tool", "one of iris_config, os_config, iris_restart" {
        IrisConfig = "iris_config",
        OsConfig = "os_config",
        IrisRestart = "iris_restart",
    }
}

words! {
    /// What becomes of a parameter of a CPF.
    #[derive(Default)]
    CpfChangeKind, "change", "one of set, add, remove" {
        /// Another value for what is there.
        #[default]
        Set = "set",
        /// One more entry of a list such as `[Namespaces]`.
        Add = "add",
        /// An entry of a list goes.
        Remove = "remove",
    }
}

words! {
    /// What a restart does about users who do not leave in time.
    WhenUsersStay, "when_users_stay", "one of answer, stop" {
        /// Nothing is stopped; the answer lists them.
        Answer = "answer",
        /// The instance is stopped all the same, which ends their sessions and rolls back what is open.
        Stop = "stop",
    }
}

words! {
    /// The three agents, by the name of their process.
    AgentKind, "agent", "one of config-agent, os-agent, restart-agent" {
        Config = "config-agent",
        Os = "os-agent",
        Restart = "restart-agent",
    }
}

words! {
    /// Where a message comes from: read from the log of an instance, or replayed or invented.
    Origin, "origin", "one of observed, emulated" {
        Observed = "observed",
        Emulated = "emulated",
    }
}

words! {
    /// Where in the story of an incident a message stands.
    Phase, "phase", "baseline, before, incident or recovery" {
        /// All is well: only severity 0.
        Baseline = "baseline",
        /// First signs: severity 0 and 1.
        Before = "before",
        /// Trouble: severity 2 and 3.
        Incident = "incident",
        /// It is over: only severity 0 again.
        Recovery = "recovery",
    }
}

impl Tool {
    pub const fn agent(self) -> AgentKind {
        match self {
            Self::IrisConfig => AgentKind::Config,
            Self::OsConfig => AgentKind::Os,
            Self::IrisRestart => AgentKind::Restart,
        }
    }

    /// Time limit of one attempt, in seconds, when the command names none
    /// (restart: 60 s for users, 120 s for the stop, 60 s for the start).
    pub const fn default_limit_seconds(self) -> u32 {
        match self {
            Self::IrisConfig | Self::OsConfig => 60,
            Self::IrisRestart => 240,
        }
    }
}

impl AgentKind {
    pub const fn tool(self) -> Tool {
        match self {
            Self::Config => Tool::IrisConfig,
            Self::Os => Tool::OsConfig,
            Self::Restart => Tool::IrisRestart,
        }
    }
}

/// Time limit of a step in seconds, 10..=300.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u32", into = "u32")]
#[schemars(with = "u32", extend("minimum" = 10, "maximum" = 300))]
pub struct TimeoutSeconds(u32);

impl TimeoutSeconds {
    pub const RULE: &'static str = "an integer from 10 to 300 (seconds)";
    /// What a command without `timeout_seconds` gets.
    pub const DEFAULT: Self = Self(60);

    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for TimeoutSeconds {
    type Error = InvalidName;
    fn try_from(seconds: u32) -> Result<Self, InvalidName> {
        if (10..=300).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(InvalidName { kind: "timeout", value: seconds.to_string(), rule: Self::RULE })
        }
    }
}

impl From<TimeoutSeconds> for u32 {
    fn from(timeout: TimeoutSeconds) -> u32 {
        timeout.0
    }
}
