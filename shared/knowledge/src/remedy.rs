//! The built-in rules that turn a condition into the shape of a RemediationCommand.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::catalogue::condition;
use crate::condition::Answer;
use crate::cpf_parameter::parameter;
use crate::error_type::ErrorType;
use crate::kernel_parameter::kernel_parameter;
use crate::rows::{self, DataError, fault};

/// The remedy of a condition; `None` where only a person, or nobody, has to act.
pub fn remedy_for(condition_id: &str) -> Option<&'static Remedy> {
    remedies().iter().find(|remedy| remedy.condition == condition_id)
}

/// All built-in remedies.
pub fn remedies() -> &'static [Remedy] {
    &REMEDIES
}

/// What is asked of the agents when a condition is met.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Remedy {
    /// Id of the condition that it answers.
    pub condition: String,
    /// False when it only looks, and a person has to do the rest.
    pub cures: bool,
    /// The `error_type` of the command.
    pub error_type: ErrorType,
    /// Tools in order of execution: `iris_config`, `os_config`, `iris_restart`.
    pub tools: Vec<String>,
    /// What is changed or looked at, apart from a restart.
    pub target: Target,
    /// How the new value is computed.
    pub formula: Formula,
    /// The `recommended_action` of the command, 1 to 200 characters.
    pub recommended_action: String,
    /// The `priority` of the command.
    pub priority: Priority,
    /// The `requires_restart` of the command: true exactly when the tools hold `iris_restart`.
    pub restart: bool,
    /// Tag of the source; explained in the crate's README.
    pub source: String,
}

/// What a remedy changes or looks at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Target {
    /// A parameter of `iris.cpf`.
    Cpf {
        /// Section without brackets.
        section: String,
        /// Key.
        parameter: String,
    },
    /// A kernel parameter.
    Kernel {
        /// Name with dots.
        name: String,
    },
    /// The license, which is only looked at.
    License {
        /// `check_expiry`, `validate_key` or `report_usage`.
        action: String,
    },
    /// The running instance as a whole.
    Instance,
}

/// How the new value follows from what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Formula {
    /// The third of six buffer pools (8 KB blocks) twice as large, but never above a bound.
    DoubleThirdPool {
        /// Greatest size of the pool in MB that is proposed without a person.
        max_mb: u64,
        /// Greatest share of the physical memory in percent, when that memory is known.
        max_percent_of_memory: u64,
    },
    /// Huge pages for the megabytes that the message names.
    PagesForMegabytesInText {
        /// Added to the megabytes before pages are counted.
        cushion_mb: u64,
        /// Greatest share of the physical memory in percent, when that memory is known.
        max_percent_of_memory: u64,
    },
    /// There is no value to compute.
    None,
}

/// The `priority` of a command; the most urgent is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Data or all users are at stake.
    Critical,
    /// Users notice.
    High,
    /// The usual case.
    Medium,
    /// May wait.
    Low,
}

impl Priority {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

static REMEDIES: LazyLock<Vec<Remedy>> = LazyLock::new(|| {
    read("remedies.toml", include_str!("../data/remedies.toml"))
        .expect("the built-in remedies are checked by a test")
});

fn read(file: &str, text: &str) -> Result<Vec<Remedy>, DataError> {
    let rows = rows::read::<Remedy>(file, text, "remedy", "condition", &["remedy"])?;
    for (index, row) in rows.iter().enumerate() {
        check(&row.value).map_err(|rule| fault(file, &row.label, rule))?;
        if rows[..index].iter().any(|earlier| earlier.value.condition == row.value.condition) {
            return Err(fault(file, &row.label, "the condition already has a remedy"));
        }
    }
    Ok(rows.into_iter().map(|row| row.value).collect())
}

const RESTART: &str = "iris_restart";

/// The rules that hold for each row alone, and against the rows it refers to.
fn check(remedy: &Remedy) -> Result<(), String> {
    let condition = condition(&remedy.condition).ok_or("no condition has that id")?;
    if remedy.cures != (condition.answer == Answer::Remedy) {
        return Err("the condition's answer must be \"remedy\" exactly when the row cures".to_owned());
    }
    if !(1..=200).contains(&remedy.recommended_action.chars().count()) {
        return Err("recommended_action must be 1 to 200 characters long".to_owned());
    }
    let first = match &remedy.target {
        Target::Cpf { .. } | Target::License { .. } => "iris_config",
        Target::Kernel { .. } => "os_config",
        Target::Instance => RESTART,
    };
    let expected: &[&str] = if remedy.restart && first != RESTART { &[first, RESTART] } else { &[first] };
    if remedy.tools != expected {
        return Err(format!(
            "tools must be {expected:?}: the target's tool, then {RESTART} exactly when restart is true"
        ));
    }
    if remedy.restart && condition.must_not_restart {
        return Err("the condition must not be answered by a restart".to_owned());
    }
    check_target(remedy)
}

fn check_target(remedy: &Remedy) -> Result<(), String> {
    match (&remedy.target, &remedy.formula) {
        (Target::Cpf { section, parameter: name }, Formula::DoubleThirdPool { .. }) => {
            parameter(section, name).map(|_| ()).ok_or("no such CPF parameter".to_owned())
        }
        (Target::Kernel { name }, Formula::PagesForMegabytesInText { .. }) => {
            kernel_parameter(name).map(|_| ()).ok_or("no such kernel parameter".to_owned())
        }
        (Target::License { action }, Formula::None) => {
            let known = ["check_expiry", "validate_key", "report_usage"].contains(&action.as_str());
            known.then_some(()).ok_or("no such license action".to_owned())
        }
        (Target::Instance, Formula::None) if remedy.restart => Ok(()),
        _ => Err("the formula does not fit the target".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, read, remedy_for};

    #[test]
    fn every_built_in_row_is_good() {
        read("remedies.toml", include_str!("../data/remedies.toml")).unwrap();
    }

    #[test]
    fn the_three_cures_use_the_three_tools() {
        let tools = |id: &str| remedy_for(id).unwrap().tools.join(" ");
        assert_eq!(tools("global-buffers-insufficient"), "iris_config iris_restart");
        assert_eq!(tools("huge-pages-too-few"), "os_config iris_restart");
        assert_eq!(tools("write-daemon-died"), "iris_restart");
        assert_eq!(remedy_for("write-daemon-died").unwrap().target, Target::Instance);
    }

    #[test]
    fn a_bad_row_is_refused_with_file_row_and_rule() {
        let good = include_str!("../data/remedies.toml");
        for (from, to, rule) in [
            ("\"write-daemon-died\"", "\"nobody-knows-it\"", "no condition has that id"),
            ("[\"iris_restart\"]", "[]", "tools must be [\"iris_restart\"]"),
            ("\"globals\"", "\"Globals\"", "no such CPF parameter"),
            ("\"vm.nr_hugepages\"", "\"kernel.core_pattern\"", "no such kernel parameter"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = read("mine.toml", &good.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains("mine.toml") && error.contains(rule), "{error}");
        }
    }
}
