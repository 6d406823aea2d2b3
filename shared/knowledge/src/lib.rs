//! What is known about InterSystems IRIS, as rows of data with types over them: log messages and their causes,
//! CPF parameters, kernel parameters, host settings, facts and runbooks.
//!
//! Invariant: knowledge is data. Every fact is a row of a TOML file under `data/`, compiled in, parsed once;
//! a bad row is a failed test, never a surprise in production.
//! Invariant: every row names its `source`; what nobody could tell is written `unknown`, never invented.
//! Invariant: pure functions of text and numbers. Nothing here knows NATS, the disk, or what becomes of a step.
//! Invariant: [`Matcher::classify`] costs time linear in the text, whatever the number of rows.
//!
//! May be imported by: invent, planner, diagnosis, scenario, agent, generator, router, analyst, the three agents,
//! iris-sim, cli, tests. Imports iris.
//!
//! ```
//! use instance_knowledge::runbook::{Change, runbooks_for};
//! use instance_knowledge::{FactValue, Facts, Matcher, parameter};
//!
//! let text = "Insufficient global buffers - WRTDMN in panic mode";
//! let condition = Matcher::builtin().classify(text).unwrap();
//! let mut facts = Facts::default();
//! facts.set("cpf.globals", FactValue::Text("0,0,256,0,0,0".to_owned())).unwrap();
//! facts.set("instance.health", FactValue::Text("alert".to_owned())).unwrap();
//! let work = runbooks_for(&condition.id)[0].plan(&facts).unwrap();
//! let Change::SetCpf { new_value, .. } = &work.steps[0].change else { panic!() };
//! assert_eq!(new_value, "0,0,512,0,0,0");
//! assert_eq!(parameter("config", "globals").unwrap().check(new_value), Ok(()));
//! assert_eq!(work.steps[1].change, Change::Restart);
//! ```
//!
//! # How to add a row
//!
//! - **A log message** ([`Condition`]): a `[[condition]]` in the file of its section in `data/conditions/`.
//!   `texts` are the fixed parts, in order; leave out what varies, and any severity or category. `example` is a
//!   whole message with the variable parts filled in: a test demands that exactly this row answers to it. Other
//!   wordings of the same condition go to `other_wordings`, each with its own `severities` and `categories` where it
//!   was seen with others than the first. The source tags are explained in `README.md`.
//! - **A CPF parameter** ([`Parameter`]): one line under its `[section]` in `data/cpf_parameters.toml`.
//!   A test holds a literal `default` against the row's own type and range.
//! - **A kernel parameter** ([`KernelParameter`]): a `[[parameter]]` in `data/kernel_parameters.toml`. What is
//!   not there cannot be written by any agent; names under `[[forbidden]]` say why they never will be.
//! - **A runbook** ([`runbook::Runbook`]): a file in `data/runbooks/`, as `docs/adding-a-runbook.md` says; the `answer`
//!   of its conditions must then say `remedy`. A new way to compute a value is a new case of [`runbook::Formula`].
//! - **A fact** ([`Fact`]): a `[[fact]]` in `data/facts.toml`, where preconditions, formulas and cases find it.
//!
//! Then `cargo test -p instance-knowledge`. Users extend conditions, CPF and kernel parameters without a build:
//! [`Catalogue::with_extra`], which the setting `knowledge_dir` of generator and agents reads a folder into.

mod catalogue;
mod census;
mod condition; // Read this first: what a row about a log message says.
mod error_type;
mod matcher;
mod severity;

mod cpf_danger;
mod cpf_list; // Whether an entry of a list fits the rest of the file.
mod cpf_parameter;
mod cpf_section;
mod cpf_version;
mod host_setting;
mod instance_fact;
mod kernel_parameter;

mod facts;
mod given;
pub mod runbook; // The answers to conditions: what is done, in which order, with which values.

mod rows;
mod text;
mod value;

pub use crate::catalogue::{Catalogue, condition, conditions};
pub use crate::census::{Count, census};
pub use crate::condition::{Answer, Case, Condition, Decision, Frequency, Place, Restart, Wording};
pub use crate::cpf_danger::{Danger, HostRoom, dangers};
pub use crate::cpf_list::list_fault;
pub use crate::cpf_parameter::{
    Activation, Parameter, ParameterKind, parameter, parameters, parameters_of, suggest,
};
pub use crate::cpf_section::{LIST_RESTART_REASON, Section, SectionKind, is_list_section, section, sections};
pub use crate::cpf_version::{CpfVersion, cpf_versions, is_known_cpf_version};
pub use crate::error_type::{ErrorType, classify_error_type, guess_error_type};
pub use crate::facts::{Asked, EntryText, Fact, FactKind, FactValue, Facts, UnknownFact, fact, facts};
pub use crate::given::{Given, Test};
pub use crate::host_setting::{HostSetting, host_settings};
pub use crate::instance_fact::{Door, InstanceFact, instance_facts};
pub use crate::kernel_parameter::{
    CpuList, Forbidden, InvalidCpuList, KernelKind, KernelParameter, KernelRoot, MEMORY_OF_CPF, Need,
    Recommended, forbidden, forbidden_names, kernel_parameter, kernel_parameters,
};
pub use crate::matcher::{AlreadyInForce, Matcher};
pub use crate::rows::DataError;
pub use crate::severity::{Raised, RaisedBy, raised};
pub use crate::value::ValueFault;
