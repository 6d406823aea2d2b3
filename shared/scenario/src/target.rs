//! What a change is made to, in words that compare.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a change is made to. Written `cpf [config] globals`, `kernel vm.nr_hugepages`, `file mgr/iris.key`, `instance`
/// (a stop or start).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// A parameter of `iris.cpf`.
    Cpf {
        /// Without brackets.
        section: String,
        /// Key.
        parameter: String,
    },
    /// A kernel value of the host.
    Kernel(String),
    /// Any other file: below the instance's folder, or below the host's when it begins with `host/`.
    File(String),
    /// The running instance: stopped, started, killed.
    Instance,
}

/// Words that name no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no target: write \"cpf [section] parameter\", \"kernel name\", \"file path\" or \"instance\""
)]
pub struct InvalidTarget(String);

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidTarget(text.to_owned());
        if text == "instance" {
            return Ok(Self::Instance);
        }
        let (kind, rest) = text.split_once(' ').ok_or_else(invalid)?;
        let rest = rest.trim();
        match kind {
            "cpf" => {
                let (section, parameter) =
                    rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(invalid)?;
                let parameter = parameter.trim();
                if section.is_empty() || parameter.is_empty() || parameter.contains(' ') {
                    return Err(invalid());
                }
                Ok(Self::Cpf { section: section.to_owned(), parameter: parameter.to_owned() })
            }
            "kernel" if !rest.is_empty() && !rest.contains(' ') => Ok(Self::Kernel(rest.replace('/', "."))),
            "file" if !rest.is_empty() => Ok(Self::File(rest.to_owned())),
            _ => Err(invalid()),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = InvalidTarget;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpf { section, parameter } => write!(f, "cpf [{section}] {parameter}"),
            Self::Kernel(name) => write!(f, "kernel {name}"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Instance => f.write_str("instance"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn targets_are_written_as_they_are_read() {
        for text in ["cpf [config] globals", "kernel vm.nr_hugepages", "file mgr/iris.key", "instance"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for text in ["", "cpf", "cpf config globals", "cpf [config]", "kernel ", "the instance", "kernel a b"]
        {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
