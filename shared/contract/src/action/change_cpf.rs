//! Several changes of one `iris.cpf`, made together or not at all.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{action::SetCpf, words::CpfChangeKind};

/// Parameters of `iris_config`: several changes of `iris.cpf` in one atomic write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeCpf {
    /// Each names a parameter; the file has all of them or none.
    #[schemars(length(min = 1, max = 64))]
    pub changes: Vec<CpfChange>,
    /// Through `iris merge` into the running instance, so that no restart is needed. Only for parameters that take
    /// effect without one, and only to set values. Default false: the file is written.
    #[serde(default, skip_serializing_if = "is_false")]
    pub live: bool,
    /// Also change parameters that the catalogue does not know, when the router's policy allows it
    /// (`allow_unknown_parameters`). Default false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_unknown: bool,
}

/// One change of a [`ChangeCpf`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpfChange {
    /// Section without brackets, exactly as in the file, e.g. `Namespaces`.
    #[schemars(length(min = 1, max = 128))]
    pub cpf_section: String,
    /// Name exactly as in the file, e.g. `USER`.
    #[schemars(length(min = 1, max = 256))]
    pub parameter: String,
    /// What becomes of it. Default `set`.
    #[serde(default)]
    pub change: CpfChangeKind,
    /// The whole new value, or one figure of it with `block_size_kb`. With `set` and `add` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), extend("type" = ["string", "integer", "null"]))]
    pub new_value: Option<String>,
    /// What the value must be now; anything else refuses the change. With `set` and `remove` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), extend("type" = ["string", "integer", "null"]))]
    pub current_value: Option<String>,
    /// Of `[config] globals`, the size for buffers of this many KB alone: 8, 16, 32 or 64. With `set` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [8, 16, 32, 64, null]))]
    pub block_size_kb: Option<u32>,
}

/// One value, as the simple form of a command says it.
impl From<&SetCpf> for CpfChange {
    fn from(set: &SetCpf) -> Self {
        Self {
            cpf_section: set.cpf_section.clone(),
            parameter: set.parameter.clone(),
            change: CpfChangeKind::Set,
            new_value: Some(set.new_value.clone()),
            current_value: set.current_value.clone(),
            block_size_kb: None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl ChangeCpf {
    /// The most changes in one step.
    pub const MAX_CHANGES: usize = 64;

    /// What the plan names: every parameter once, in the order of the command.
    pub fn target(&self) -> String {
        let names: Vec<String> =
            self.parameters().iter().map(|(section, name)| format!("[{section}] {name}")).collect();
        format!("cpf {}", names.join(", "))
    }

    /// Section and name of every parameter once, in the order of the command.
    pub fn parameters(&self) -> Vec<(&str, &str)> {
        let mut names = Vec::new();
        for change in &self.changes {
            let name = (change.cpf_section.as_str(), change.parameter.as_str());
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The parameters as a forecast tells them, one a line: `[config] globals=0,0,512,0,0,0`, or without `=` what is
    /// not in the file.
    pub fn state<'a>(&self, value_of: impl Fn(&str, &str) -> Option<&'a str>) -> String {
        let mut state = String::new();
        for (section, name) in self.parameters() {
            let end = if state.is_empty() { "" } else { "\n" };
            let value = value_of(section, name).map(|value| format!("={value}")).unwrap_or_default();
            write!(state, "{end}[{section}] {name}{value}").expect("a string takes everything");
        }
        state
    }

    /// The value of a parameter in a text that [`state`](Self::state) made; `Some(None)` says that it is not in the
    /// file, `None` that the text does not speak of it.
    pub fn value_in<'a>(state: &'a str, section: &str, name: &str) -> Option<Option<&'a str>> {
        let start = format!("[{section}] {name}");
        state.lines().find_map(|line| match line.strip_prefix(&start)? {
            "" => Some(None),
            rest => rest.strip_prefix('=').map(Some),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(section: &str, name: &str) -> CpfChange {
        CpfChange {
            cpf_section: section.to_owned(),
            parameter: name.to_owned(),
            change: CpfChangeKind::Set,
            new_value: Some("1".to_owned()),
            current_value: None,
            block_size_kb: None,
        }
    }

    #[test]
    fn what_a_state_tells_can_be_read_again() {
        let changes = vec![set("config", "globals"), set("Namespaces", "USER"), set("config", "globals")];
        let change = ChangeCpf { changes, live: false, allow_unknown: false };
        assert_eq!(change.target(), "cpf [config] globals, [Namespaces] USER");
        let state = change.state(|section, _| (section == "config").then_some("a=b"));
        assert_eq!(state, "[config] globals=a=b\n[Namespaces] USER");
        assert_eq!(ChangeCpf::value_in(&state, "config", "globals"), Some(Some("a=b")));
        assert_eq!(ChangeCpf::value_in(&state, "Namespaces", "USER"), Some(None));
        assert_eq!(ChangeCpf::value_in(&state, "Namespaces", "USE"), None);
        assert_eq!(ChangeCpf::value_in(&state, "config", "global"), None);
    }
}
