//! The rules of the house: who may ask for what, when, how often, and what a person must agree to.

mod asker;
mod setting; // As settings name it.
mod window;

use instance_contract::{Action, Carriers, Fault, Faults, InstanceName, Tool};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

pub use asker::Asker;
pub use window::{Day, TimeOfDay, UtcOffset, Window};

/// What a site allows. Every field has a default that asks a person before anything is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each action is approved or not, on its own")]
pub struct Policy {
    /// A restart, or anything that stops the instance, needs a person's approval. Default true.
    pub approve_restarts: bool,
    /// A change that its agent calls dangerous needs a person's approval. Default true.
    pub approve_dangerous: bool,
    /// Every change of a CPF needs a person's approval. Default false: it is undone as easily as it is done.
    pub approve_config: bool,
    /// Every change of the kernel needs a person's approval. Default false.
    pub approve_os: bool,
    /// How long a person has to answer, in seconds, 10..=86400. No answer means no. Default 1800.
    #[serde(deserialize_with = "number")]
    pub approval_seconds: u32,
    /// Steps of one remediation that may run side by side, 1..=16. Default 4.
    #[serde(deserialize_with = "number")]
    pub parallel_steps: u32,
    /// For how long the conditions must stay silent before a remediation counts as verified, in seconds, 0..=240.
    /// Default 10.
    #[serde(deserialize_with = "number")]
    pub quiet_seconds: u32,
    /// Time limit of a whole remediation in seconds, 60..=86400. Default 3600.
    #[serde(deserialize_with = "number")]
    pub remediation_seconds: u32,
    /// Attempts at one step, the first included, 1..=10. Default 3.
    #[serde(deserialize_with = "number")]
    pub attempts: u32,
    /// Restarting and dangerous steps in one remediation, 0..=64. Plain reversible changes do not count. Default 3.
    #[serde(deserialize_with = "number")]
    pub drastic_steps: u32,
    /// Restarts of one instance within any hour, 0..=60. Default 3.
    #[serde(deserialize_with = "number")]
    pub restarts_per_hour: u32,
    /// Least time between two restarts of one instance in minutes, 0..=1440. Default 15.
    #[serde(deserialize_with = "number")]
    pub minutes_between_restarts: u32,
    /// The fault that is planted, for `cargo xtask mutants`.
    #[cfg(feature = "mutants")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mutant: Option<String>,
    /// May a command ask for `iris force`, which kills an instance as a crash does? Where it does, a person must agree,
    /// whatever else policy lets pass unasked, and restart-agent must allow it too (`allow_force` in its settings). Default
    /// false.
    pub allow_force: bool,
    /// May a command that says `allow_unknown` change CPF parameters that the catalogue does not know, so that nobody
    /// checks their values? Default false.
    pub allow_unknown_parameters: bool,
    /// Is a CPF of a version that nobody has described left alone? Otherwise the values that it holds can be changed,
    /// with a warning. Default false.
    pub refuse_unknown_version: bool,
    /// Instances that are never touched. Default none.
    pub never: Vec<InstanceName>,
    /// What carries Instance itself. Not a setting of the policy: the router puts the common setting `carriers` here,
    /// so that a replay knows it.
    #[serde(skip_serializing_if = "Carriers::is_empty")]
    pub carriers: Carriers,
    /// When actions are allowed. Default: at any time.
    pub windows: Vec<Window>,
    /// Who may ask for what. Default: whoever may publish commands.
    pub askers: Vec<Asker>,
    /// Who may grant an approval: `by` of the answer, exactly, or its beginning when an entry ends in `*`. Default:
    /// whoever may publish answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            approve_restarts: true,
            approve_dangerous: true,
            approve_config: false,
            approve_os: false,
            approval_seconds: 1800,
            parallel_steps: 4,
            quiet_seconds: 10,
            remediation_seconds: 3600,
            attempts: 3,
            drastic_steps: 3,
            restarts_per_hour: 3,
            minutes_between_restarts: 15,
            #[cfg(feature = "mutants")]
            mutant: None,
            allow_force: false,
            allow_unknown_parameters: false,
            refuse_unknown_version: false,
            never: Vec::new(),
            carriers: Carriers::default(),
            windows: Vec::new(),
            askers: Vec::new(),
            approvers: Vec::new(),
        }
    }
}

/// What policy speaks of: one word for each kind of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionWord {
    Config,
    Os,
    Restart,
    License,
}

impl ActionWord {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Os => "os",
            Self::Restart => "restart",
            Self::License => "license",
        }
    }

    /// `None` for what the router adds by itself: looking and taking back are always allowed.
    pub const fn of(action: &Action) -> Option<Self> {
        match action {
            Action::SetCpf(_) | Action::ChangeCpf(_) => Some(Self::Config),
            Action::SetKernel(_) => Some(Self::Os),
            Action::Restart(_) => Some(Self::Restart),
            Action::CheckLicense(_) => Some(Self::License),
            Action::Verify(_) | Action::Undo(_) => None,
        }
    }
}

/// A policy that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("could not read the policy: {0}")]
    Unreadable(String),
    #[error("the policy is not valid: {0}")]
    Invalid(Faults),
}

impl Policy {
    /// Read a policy file (TOML) and check every value.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        let policy: Self =
            toml::from_str(text).map_err(|error| PolicyError::Unreadable(error.to_string()))?;
        policy.checked()
    }

    /// All values in range, or every fault.
    pub fn checked(self) -> Result<Self, PolicyError> {
        let ranges = [
            ("approval_seconds", self.approval_seconds, 10, 86_400),
            ("parallel_steps", self.parallel_steps, 1, 16),
            ("quiet_seconds", self.quiet_seconds, 0, 240),
            ("remediation_seconds", self.remediation_seconds, 60, 86_400),
            ("attempts", self.attempts, 1, 10),
            ("drastic_steps", self.drastic_steps, 0, 64),
            ("restarts_per_hour", self.restarts_per_hour, 0, 60),
            ("minutes_between_restarts", self.minutes_between_restarts, 0, 1440),
        ];
        let mut faults: Vec<Fault> = ranges
            .into_iter()
            .filter(|(_, value, low, high)| !(low..=high).contains(&value))
            .map(|(field, value, low, high)| {
                Fault::new(field, value, format!("must be from {low} to {high}"))
            })
            .collect();
        faults.extend(window::faults(&self.windows));
        faults.extend(asker::faults(&self.askers));
        faults.extend(asker::faults_of_approvers(&self.approvers));
        if faults.is_empty() { Ok(self) } else { Err(PolicyError::Invalid(Faults(faults))) }
    }

    /// As text for the remediation log, so that a replay needs nothing else.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a policy holds only numbers, booleans, names and times")
    }

    /// May this person grant an approval?
    pub fn lets_approve(&self, by: &str) -> bool {
        self.approvers.is_empty() || self.approvers.iter().any(|pattern| asker::is(pattern, by))
    }

    /// Is this fault planted? Only in builds with the feature `mutants`. It comes with the policy, so that planner and
    /// engine stay functions of what they are given, and a replay plants it again.
    #[cfg(feature = "mutants")]
    pub fn mutant(&self, name: &'static str) -> bool {
        self.mutant.as_deref() == Some(name)
    }

    /// Is this fault planted? Only in builds with the feature `mutants`.
    #[cfg(not(feature = "mutants"))]
    pub const fn mutant(&self, _name: &'static str) -> bool {
        false
    }

    /// Must a person agree to this action, and why?
    pub(crate) fn approval(&self, tool: Tool, action: &Action, dangerous: bool) -> Option<&'static str> {
        if is_forcing(action) {
            return Some(
                "an instance that does not stop would be killed, as by a crash: only where a person agrees",
            );
        }
        match tool {
            Tool::IrisRestart if self.approve_restarts => {
                Some("policy wants a person to approve every restart")
            }
            Tool::IrisConfig if self.approve_config => {
                Some("policy wants a person to approve every CPF change")
            }
            Tool::OsConfig if self.approve_os => Some("policy wants a person to approve every kernel change"),
            _ if dangerous && self.approve_dangerous && !self.mutant("planner.danger-not-asked-about") => {
                Some("policy wants a person to approve a dangerous change")
            }
            _ => None,
        }
    }
}

/// Would it kill an instance that does not stop?
pub(crate) const fn is_forcing(action: &Action) -> bool {
    matches!(action, Action::Restart(restart) if restart.force)
}

/// A whole number from 0 on, told in those words.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let number = i64::deserialize(from)?;
    u32::try_from(number).map_err(|_| D::Error::custom(format!("{number} must be a whole number from 0 on")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_survives_its_text() {
        let policy = Policy {
            approve_restarts: false,
            never: vec!["BUS".parse().unwrap()],
            carriers: Carriers(vec!["OPS".to_owned()]),
            windows: vec![Window {
                actions: vec![ActionWord::Restart],
                days: vec![Day::Sat, Day::Sun],
                from: "22:00".to_owned().try_into().unwrap(),
                to: "04:30".to_owned().try_into().unwrap(),
                utc_offset: "-05:00".to_owned().try_into().unwrap(),
            }],
            askers: vec![Asker { who: "ops-*".to_owned(), actions: vec![ActionWord::Config] }],
            approvers: vec!["lead".to_owned()],
            ..Policy::default()
        };
        assert_eq!(Policy::from_toml(&policy.to_toml()), Ok(policy));
    }

    #[test]
    fn every_fault_of_a_policy_is_told() {
        let text = r#"
            attempts = 0
            parallel_steps = 99
            [[windows]]
            actions = ["restart"]
            from = "20:00"
            to = "02:00"
            [[windows]]
            actions = ["restart", "os"]
            days = ["tue"]
            from = "01:00"
            to = "03:00"
            [[askers]]
            who = "*"
            actions = []
        "#
        .replace("attempts", "approvers = [\"*\"]\n attempts");
        let Err(PolicyError::Invalid(faults)) = Policy::from_toml(&text) else {
            panic!("it is full of faults")
        };
        let fields: Vec<&str> = faults.0.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "parallel_steps",
                "attempts",
                "windows[1]",
                "askers[0].who",
                "askers[0].actions",
                "approvers[0]"
            ]
        );
    }

    #[test]
    fn unknown_keys_negative_numbers_and_odd_times_are_refused_by_name() {
        for (text, part) in [
            ("restart = true", "restart"),
            ("attempts = -1", "attempts = -1"),
            ("quiet_seconds = -1", "-1 must be a whole number from 0 on"),
            ("[[windows]]\nactions = [\"restart\"]\nfrom = \"25:00\"\nto = \"02:00\"", "25:00"),
            ("[[windows]]\nactions = [\"reboot\"]\nfrom = \"22:00\"\nto = \"02:00\"", "reboot"),
        ] {
            let Err(PolicyError::Unreadable(told)) = Policy::from_toml(text) else {
                panic!("{text} is not a policy")
            };
            assert!(told.contains(part), "{told}");
        }
    }
}
