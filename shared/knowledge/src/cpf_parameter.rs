//! The parameters of `iris.cpf`: what each may hold, and what it takes to make a change felt.

mod check;
mod load;
mod own;
mod release; // Which releases hold it.
mod suggest;
mod table;

use serde::Deserialize;

use crate::catalogue::Catalogue;

pub use suggest::suggest;
pub use table::Table;

/// The parameter of that exact section and name; IRIS writes both in mixed case.
pub fn parameter(section: &str, name: &str) -> Option<&'static Parameter> {
    Catalogue::in_force().cpf.get(section, name)
}

/// All parameters known, by section, then name.
pub fn parameters() -> &'static [Parameter] {
    Catalogue::in_force().parameters()
}

/// The parameters of one section, sorted as IRIS sorts them: upper case before lower case.
pub fn parameters_of(section: &str) -> impl Iterator<Item = &'static Parameter> {
    parameters().iter().filter(move |parameter| parameter.section == section)
}

/// One parameter of a section with fixed keys.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Parameter {
    /// Section without brackets, as IRIS spells it.
    pub section: String,
    /// Key, as IRIS spells it.
    pub name: String,
    /// What its value may be.
    pub kind: ParameterKind,
    /// Unit of the numbers: `MB`, `KB`, `bytes`, `s`, `days`; `None` where there is none.
    pub unit: Option<String>,
    /// What a new instance holds, when it is the same everywhere.
    pub default: Option<String>,
    /// Legal values outside the range, each with a meaning of its own: `0` for automatic, `-1` for unlimited.
    pub special: Vec<String>,
    /// IRIS refuses to start with nothing behind the `=`.
    pub required_non_empty: bool,
    /// Written by IRIS alone.
    pub read_only: bool,
    /// Its value must never be printed.
    pub secret: bool,
    /// Oldest release whose files are known to hold it, when it came later than the oldest files at hand.
    pub since: Option<String>,
    /// Newest release whose files are known to hold it, when newer ones do not.
    pub until: Option<String>,
    /// When a change takes effect.
    pub activation: Activation,
    /// What it is for.
    pub meaning: String,
    /// Tag of the source; explained in the crate's README.
    pub source: String,
}

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterKind {
    /// A whole number from `min` to `max`.
    Integer {
        /// Lowest legal value, besides the special ones.
        min: i64,
        /// Highest legal value.
        max: i64,
    },
    /// A number with or without a fraction.
    Decimal {
        /// Lowest legal value.
        min: f64,
        /// Highest legal value.
        max: f64,
    },
    /// `0` or `1`.
    Boolean,
    /// A sum of powers of two, each of them in `mask`.
    Bits {
        /// All legal bits.
        mask: u64,
    },
    /// Whole numbers separated by commas.
    Integers {
        /// Lowest and highest legal value of each place.
        ranges: Vec<(i64, i64)>,
        /// How many numbers there may be.
        counts: Vec<usize>,
        /// Lowest and highest legal value of a number that stands alone, where that has a meaning of its own.
        alone: Option<(i64, i64)>,
    },
    /// One or more of the choices, separated by commas, none twice.
    ChoiceList {
        /// The legal words.
        choices: Vec<String>,
    },
    /// One of the choices.
    Choice {
        /// The legal words.
        choices: Vec<String>,
    },
    /// Text on one line.
    Text {
        /// Greatest length in characters.
        max_length: usize,
    },
    /// An absolute path of a directory, or nothing.
    Directory {
        /// Greatest length in characters.
        max_length: usize,
    },
    /// Letters and digits alone, or nothing.
    Alphanumeric {
        /// Greatest length in characters.
        max_length: usize,
    },
    /// The address of a network interface, version 4 or 6, or nothing.
    Address,
    /// Nothing and a comma, then nothing or the absolute path of a file that is called `messages.log`.
    LogPlace {
        /// Greatest length of the path in characters.
        max_length: usize,
    },
    /// An absolute path of a file, or nothing.
    File {
        /// Greatest length in characters.
        max_length: usize,
    },
}

/// When a change of a parameter takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// After a restart of the instance.
    #[serde(rename = "yes")]
    Restart,
    /// At once.
    #[serde(rename = "no")]
    Immediate,
    /// For processes that start afterwards.
    #[serde(rename = "new")]
    NewProcesses,
    /// It is looked at only while the instance starts.
    #[serde(rename = "next")]
    NextStart,
    /// The sources do not say; counts as [`Activation::Restart`].
    Unknown,
}

impl Parameter {
    /// How an operator names it: `[config] globals`.
    pub fn label(&self) -> String {
        format!("[{}] {}", self.section, self.name)
    }

    /// Whether a change is felt only after a restart. What nobody knows counts as yes.
    pub fn needs_restart(&self) -> bool {
        matches!(self.activation, Activation::Restart | Activation::Unknown)
    }

    /// Why a restart is needed, or why not.
    pub fn restart_reason(&self) -> &'static str {
        match self.activation {
            Activation::Restart => "takes effect only after a restart of the instance",
            Activation::Immediate => "takes effect at once",
            Activation::NewProcesses => "takes effect for processes that start afterwards",
            Activation::NextStart => {
                "is looked at only while the instance starts, so it can wait for the next start"
            }
            Activation::Unknown => "is not documented to take effect without a restart, so one is assumed",
        }
    }
}

#[cfg(test)]
mod tests;
