//! What a step does, as data that knows nothing of commands and agents.

use serde::Deserialize;

/// What a step changes or looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
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
    /// The running instance as a whole: it is stopped and started.
    Instance,
}

impl Target {
    /// The tool of a command that does it.
    pub fn tool(&self) -> &'static str {
        match self {
            Self::Cpf { .. } | Self::License { .. } => "iris_config",
            Self::Kernel { .. } => "os_config",
            Self::Instance => "iris_restart",
        }
    }

    /// In words that compare: `cpf [config] globals`, `kernel vm.nr_hugepages`, `license validate_key`, `instance`.
    pub fn label(&self) -> String {
        match self {
            Self::Cpf { section, parameter } => format!("cpf [{section}] {parameter}"),
            Self::Kernel { name } => format!("kernel {name}"),
            Self::License { action } => format!("license {action}"),
            Self::Instance => "instance".to_owned(),
        }
    }
}

/// What a planned step does, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Set a value of `iris.cpf`.
    SetCpf {
        /// Section without brackets.
        section: String,
        /// Key.
        parameter: String,
        /// The whole new value.
        new_value: String,
        /// What it must be now, so that nobody else's change is overwritten; `None` where nobody knows.
        current_value: Option<String>,
    },
    /// Set a kernel parameter.
    SetKernel {
        /// Name with dots.
        name: String,
        /// The new value.
        new_value: String,
    },
    /// Look at the license.
    CheckLicense {
        /// `check_expiry`, `validate_key` or `report_usage`.
        action: String,
    },
    /// Stop and start the instance.
    Restart,
}

impl Change {
    /// The tool of a command that does it.
    pub fn tool(&self) -> &'static str {
        match self {
            Self::SetCpf { .. } | Self::CheckLicense { .. } => "iris_config",
            Self::SetKernel { .. } => "os_config",
            Self::Restart => "iris_restart",
        }
    }

    /// What it acts on.
    pub fn target(&self) -> Target {
        match self {
            Self::SetCpf { section, parameter, .. } => {
                Target::Cpf { section: section.clone(), parameter: parameter.clone() }
            }
            Self::SetKernel { name, .. } => Target::Kernel { name: name.clone() },
            Self::CheckLicense { action } => Target::License { action: action.clone() },
            Self::Restart => Target::Instance,
        }
    }
}
