//! What a scenario is, and how a file of it is read.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::check::{self, Fault};
use crate::seed::Amount;
use crate::step::Step;
use crate::truth::Truth;

/// The commit at which the rules (catalogue, facts, runbooks) were frozen: scenarios that say `added_after_rules` were
/// written after it, and no rule was changed for them.
pub const RULES_FROZEN_AT: &str = "4813994";

/// One scenario, as its file has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name of its file without `.toml`; not in the file itself.
    #[serde(skip)]
    pub name: String,
    /// One sentence for people.
    pub title: String,
    /// Which part of an instance it is about.
    pub category: Category,
    /// The trouble comes and goes by itself. Default false.
    #[serde(default)]
    pub flapping: bool,
    /// Written after the rules were frozen ([`RULES_FROZEN_AT`]), so that nobody could fit them to it; its score is
    /// told apart. Default false.
    #[serde(default)]
    pub added_after_rules: bool,
    /// What a model has to do with it. Default: nothing, the rules are sure.
    #[serde(default)]
    pub model: Option<ModelPart>,
    /// The instance and its host before anything happens.
    #[serde(default)]
    pub world: World,
    /// Done before the instance is started for the first time.
    #[serde(default)]
    pub setup: Vec<Step>,
    /// What breaks it, in order. Steps that change files or kernel values come first.
    pub fault: Vec<Step>,
    /// How anybody can see it on the instance: one for each truth, in the same order.
    pub symptom: Vec<Symptom>,
    /// Sealed: what is wrong, and what the right answer is. One for each fault.
    pub truth: Vec<Truth>,
    /// A shell script that takes the cause away with plain tools, as a person would; for the controls.
    pub by_hand: String,
    /// How long what may take.
    #[serde(default)]
    pub limits: Limits,
}

/// What a model has to do with a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelPart {
    /// The rules alone cannot know what it is, and rightly leave it to a person: without a model it is missed. One that reads what
    /// it is shown finds the remedy.
    Needed,
    /// The rules alone are right; a model that only goes by words chooses what must not be done, and no harm may come of it.
    Misled,
}

impl ModelPart {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Needed => "needed",
            Self::Misled => "misled",
        }
    }
}

/// Which part of an instance a scenario is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// `iris.cpf`.
    Config,
    /// Key and license units.
    License,
    /// Memory, huge pages, processes.
    Os,
    /// Journal.
    Journal,
    /// Database files and their disks.
    Database,
    /// What ends a start.
    Startup,
    /// Keys and certificates.
    Security,
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "config",
            Self::License => "license",
            Self::Os => "os",
            Self::Journal => "journal",
            Self::Database => "database",
            Self::Startup => "startup",
            Self::Security => "security",
        })
    }
}

/// An instance that is well, on a made-up host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    /// `2025.2` or `2024.2`. Default `2025.2`.
    pub version: String,
    /// 8 KB global buffers, MB; 0 lets IRIS decide. Default 256.
    pub globals_mb: Amount,
    /// Memory of the host, MB. Default 16384.
    pub memory_mb: Amount,
    /// Huge pages of 2 MB in the host's pool. Default 0.
    pub huge_pages: Amount,
    /// How many times faster than with a real instance its waits pass: 80 makes the cycle of the write daemon one
    /// second. 1 to 1000. Default 80.
    pub speed: u32,
    /// Has it a private web server? Default false.
    pub web_server: bool,
    /// What its users do before the trouble.
    pub users: Users,
}

impl Default for World {
    fn default() -> Self {
        Self {
            version: "2025.2".to_owned(),
            globals_mb: Amount::Exactly(256),
            memory_mb: Amount::Exactly(16384),
            huge_pages: Amount::Exactly(0),
            speed: 80,
            web_server: false,
            users: Users::default(),
        }
    }
}

/// What users do all the time. MB between two passes of the write daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Users {
    /// Connections to the superserver that are held, and opened again when they break. Default 0.
    pub sessions: u32,
    /// Changed blocks. Default 0.
    pub dirty_mb: u32,
    /// Written to the journal. Default 0.
    pub journal_mb: u32,
    /// By which the database USER fills. Default 0.
    pub database_mb: u32,
}

/// How a fault shows on the instance itself. It shows when all that is named is so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Symptom {
    /// The log holds this text since the last start.
    pub log: Option<String>,
    /// The log of the start before the last one holds this text.
    pub earlier: Option<String>,
    /// The log goes on getting this text: more of it comes while one watches.
    pub grows: Option<String>,
    /// First word of the state in `iris qlist`: `running`, `down`, `sign-on`.
    pub state: Option<String>,
    /// Health in `iris qlist`: `warn`, `alert`, `hung`.
    pub health: Option<String>,
    /// A parameter of `iris.cpf` still has this value: for what is cured without the start that would say no more of it.
    pub cpf: Option<CpfValue>,
}

/// A parameter of `iris.cpf` with its value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CpfValue {
    /// Without brackets, like `Journal`.
    pub section: String,
    pub parameter: String,
    /// Places as in steps: `{mgr}`.
    pub value: String,
}

/// How long what may take, in seconds of the clock on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// From the fault until it shows on the instance; and until it is gone once the cause was taken away by hand.
    /// Default 30.
    pub show: u64,
    /// From when it shows until the pipeline has seen it; also how long the pipeline may think before it acts.
    /// Default 30.
    pub detect: u64,
    /// From the fault to the end of all remediations. Default 120.
    pub repair: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { show: 30, detect: 30, repair: 120 }
    }
}

/// Why a file is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is not TOML, or a key or value is not one of ours.
    #[error("scenario \"{name}\" cannot be read: {}", source.to_string().trim())]
    Unreadable {
        /// The scenario.
        name: String,
        /// What the TOML reader says, with line and column.
        #[source]
        source: toml::de::Error,
    },
    /// It can be read and makes no sense; every fault is told.
    #[error("scenario \"{name}\": {}", list(faults))]
    Senseless {
        /// The scenario.
        name: String,
        /// What is wrong.
        faults: Vec<Fault>,
    },
}

impl Scenario {
    /// Reads the text of a file; `name` is the file's name without `.toml`.
    pub fn read(name: &str, text: &str) -> Result<Self, Problem> {
        let mut scenario: Self =
            toml::from_str(text).map_err(|source| Problem::Unreadable { name: name.to_owned(), source })?;
        name.clone_into(&mut scenario.name);
        let faults = check::faults(&scenario);
        if faults.is_empty() {
            return Ok(scenario);
        }
        Err(Problem::Senseless { name: name.to_owned(), faults })
    }

    /// The rows of the error catalogue that it is about.
    pub fn conditions(&self) -> impl Iterator<Item = &str> {
        self.truth.iter().map(|truth| truth.condition.as_str())
    }

    /// The same world with the truth of another scenario: what the pipeline does must not change by it.
    #[must_use]
    pub fn with_truth_of(&self, other: &Self) -> Self {
        Self { truth: other.truth.clone(), ..self.clone() }
    }
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
