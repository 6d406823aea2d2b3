//! Why a CPF is not changed as asked.

use instance_contract::Failure;
use instance_iris::cpf::EditError;
use instance_knowledge::ValueFault;

/// Why a CPF is not changed as asked. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Neither IRIS nor this file knows it; a line that IRIS does not know stops its next start.
    #[error("{label} is not a parameter of this CPF{hint}")]
    Unknown {
        /// As asked for: `[config] globals`.
        label: String,
        /// What was probably meant, as the end of the sentence.
        hint: String,
    },
    /// The file has it, and nobody can say what it may hold.
    #[error("{label} is in the file but not in the catalogue, so its value cannot be checked{hint}")]
    Unchecked {
        /// As asked for.
        label: String,
        /// What would allow it, as the end of the sentence.
        hint: &'static str,
    },
    /// Of a release that nobody has described.
    #[error("the CPF has version \"{version}\", of which not every parameter is known; {rule}")]
    UnknownVersion {
        /// As `[ConfigFile] Version` has it.
        version: String,
        /// What is not done with such a file.
        rule: &'static str,
    },
    /// Somebody else changed it since, or the asker was wrong.
    #[error("{label} is {found}, the command expects \"{expected}\"")]
    Drifted {
        /// As asked for.
        label: String,
        /// The value that the command expects.
        expected: String,
        /// The value in the file, or that there is none.
        found: String,
    },
    /// The value is not one that IRIS takes.
    #[error("{0}")]
    Value(#[from] ValueFault),
    /// The value does not fit the rest of the file.
    #[error("{label}: {rule}")]
    Unfit {
        /// As asked for.
        label: String,
        /// What is wrong, with the value.
        rule: String,
    },
    /// The parameter is not ours to change.
    #[error("{label} must not be changed: {reason}")]
    Forbidden {
        /// As asked for.
        label: String,
        /// Why.
        reason: &'static str,
    },
    /// The instance cannot take it up while it runs.
    #[error("{label} cannot be changed live: it {reason}")]
    NotLive {
        /// As asked for.
        label: String,
        /// What the catalogue says of a change.
        reason: String,
    },
    /// The line cannot be edited.
    #[error("{0}")]
    Edit(#[from] EditError),
    /// The edit came out as something other than the named lines.
    #[error("the edit of {label} would change more than its own lines")]
    NotOneLine {
        /// As asked for.
        label: String,
    },
}

impl From<Conflict> for Failure {
    fn from(conflict: Conflict) -> Self {
        use Conflict as C;
        let code = match &conflict {
            C::Unknown { .. } | C::Unchecked { .. } => "unknown_parameter",
            C::UnknownVersion { .. } => "unknown_version",
            C::Drifted { .. } => "current_value_differs",
            C::Value(_) | C::Unfit { .. } | C::Edit(EditError::Value { .. }) => "invalid_value",
            C::Forbidden { .. } => "forbidden_parameter",
            C::NotLive { .. } => "not_live",
            C::Edit(_) | C::NotOneLine { .. } => "cpf_not_editable",
        };
        Self::refused(code, conflict)
    }
}
