//! What a step asks for, as data. One variant per effect, nothing left to decide.

mod change_cpf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{ConditionId, StepId},
    plan::Risk,
    words::{Tool, WhenUsersStay},
};

pub use change_cpf::{ChangeCpf, CpfChange};

/// What one step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// config-agent: one value of `iris.cpf`.
    SetCpf(SetCpf),
    /// config-agent: several changes of `iris.cpf` at once, list entries among them, or through `iris merge`.
    ChangeCpf(ChangeCpf),
    /// config-agent, read-only: the license.
    CheckLicense(LicenseCheck),
    /// os-agent: one kernel parameter, or the CPUs of the instance's processes.
    SetKernel(SetKernel),
    /// restart-agent: stop and start the instance.
    Restart(RestartInstance),
    /// Any agent, read-only: proof that the remediation did what it promised.
    Verify(Verify),
    /// Any agent: take back what the named step of the same remediation did.
    Undo(Undo),
}

/// Parameters of `iris_config`: set one CPF parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetCpf {
    /// Section without brackets, exactly as in the file, e.g. `config`.
    #[schemars(length(min = 1, max = 128))]
    pub cpf_section: String,
    /// Parameter name exactly as in the file, e.g. `globals`.
    #[schemars(length(min = 1, max = 256))]
    pub parameter: String,
    /// The whole new value, e.g. `0,0,512,0,0,0`.
    #[schemars(length(max = 1024), extend("type" = ["string", "integer"]))]
    pub new_value: String,
    /// What the value must be now; anything else refuses the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), extend("type" = ["string", "integer", "null"]))]
    pub current_value: Option<String>,
}

/// Parameters of `iris_config` under error type `license`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LicenseCheck {
    pub action: LicenseAction,
}

/// The read-only license actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LicenseAction {
    CheckExpiry,
    ValidateKey,
    ReportUsage,
}

impl LicenseAction {
    pub const RULE: &'static str = "one of check_expiry, validate_key, report_usage";

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CheckExpiry => "check_expiry",
            Self::ValidateKey => "validate_key",
            Self::ReportUsage => "report_usage",
        }
    }
}

/// Parameters of `os_config`: set one kernel parameter of the allowed list, or what CPUs the processes of the instance get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetKernel {
    /// Name with dots (slashes are understood too), e.g. `vm.nr_hugepages`. `process.cpu_affinity` and
    /// `process.cpu_weight` belong to the running processes of the instance.
    #[schemars(length(min = 1, max = 128))]
    pub kernel_param: String,
    /// Decimal number; several separated by one blank for a vector; a word where the kernel has words; a list of CPUs
    /// such as `0-3,8` for `process.cpu_affinity`; 1 to 10000 for `process.cpu_weight`. For `vm.nr_hugepages` also a size
    /// such as `3580 MB`, or `cpf`: as many pages as the CPFs of the host's instances ask for.
    #[schemars(length(max = 256), extend("type" = ["string", "integer"]))]
    pub new_value: String,
    /// The asker's own lower bound for the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_value: Option<i64>,
    /// The asker's own upper bound for the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_value: Option<i64>,
    /// What the same plan changes in the instance's CPF: a need that follows from the CPF is reckoned as if it were done,
    /// whichever of the steps comes first. Written by the planner; no command may name it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub with_cpf: Vec<CpfChange>,
}

/// Parameters of `iris_restart`. None is needed: what is left away is as the settings of restart-agent say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct RestartInstance {
    /// How long users may take to leave, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 300))]
    pub users_seconds: Option<u32>,
    /// How long the stop may take, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300))]
    pub stop_seconds: Option<u32>,
    /// How long the start may take until logons are possible, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300))]
    pub start_seconds: Option<u32>,
    /// What to do about users who are still there then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_users_stay: Option<WhenUsersStay>,
    /// May an instance that does not stop be killed as by a crash (`iris force`)? Only where policy and the settings
    /// of restart-agent allow it too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
    /// May the primary of a mirror hand over to its partner? Else it is stopped with `nofailover`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub failover: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl RestartInstance {
    /// The longest that each of the three waits can be asked to be, in seconds.
    pub const LONGEST_SECONDS: u32 = 300;
}

/// What must be true at the end, read from IRIS and the host, never from our own log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    pub expect: Vec<Expectation>,
    /// Conditions of the error catalogue that must stay silent.
    pub quiet: Vec<ConditionId>,
    /// For how long they must stay silent, in seconds.
    pub quiet_seconds: u32,
}

/// One thing that must be true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Expectation {
    /// `iris.cpf` holds the value.
    CpfValue { section: String, parameter: String, value: String },
    /// `iris.cpf` does not hold the parameter.
    CpfAbsent { section: String, parameter: String },
    /// The instance started with the value (`_LastGood_.cpf`, the copy IRIS makes of the CPF that started).
    CpfInForce { section: String, parameter: String, value: String },
    /// The kernel holds the value.
    KernelValue { name: String, value: String },
    /// `iris qlist` says running and neither alert nor hung, and the superserver accepts.
    InstanceHealthy {},
}

/// Take back what a step did, from the agent's own ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    pub step: StepId,
    /// What the step was asked to do.
    pub tool: Tool,
}

impl Action {
    /// How much can go wrong.
    pub const fn risk(&self) -> Risk {
        match self {
            Self::CheckLicense(_) | Self::Verify(_) => Risk::Low,
            Self::SetCpf(_) | Self::ChangeCpf(_) => Risk::Medium,
            Self::SetKernel(_) | Self::Restart(_) => Risk::High,
            Self::Undo(undo) => match undo.tool {
                Tool::IrisConfig => Risk::Medium,
                Tool::OsConfig | Tool::IrisRestart => Risk::High,
            },
        }
    }

    /// The rule by which a command that names no tools comes to this action.
    pub(crate) const fn rule(&self) -> &'static str {
        match self {
            Self::SetCpf(_) => "routed to iris_config by rule, as the parameters name a CPF parameter",
            Self::ChangeCpf(_) => "routed to iris_config by rule, as the parameters hold changes of the CPF",
            Self::CheckLicense(_) => {
                "routed to iris_config by rule, as the parameters name an action on the license"
            }
            Self::SetKernel(_) => "routed to os_config by rule, as the parameters name a kernel parameter",
            Self::Restart(_) => "routed to iris_restart by rule, as requires_restart is true",
            Self::Verify(_) | Self::Undo(_) => "added by the router",
        }
    }

    /// Does this action change anything?
    pub const fn has_effect(&self) -> bool {
        !matches!(self, Self::CheckLicense(_) | Self::Verify(_))
    }
}
