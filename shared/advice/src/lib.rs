//! What may be done about the entries of a log, and which of it: the rules answer, and where they are unsure a model may
//! choose among what is allowed.
//!
//! Invariant: what is allowed is computed before any text reaches a model: catalogue ∩ policy ∩ what the evidence supports.
//! A condition supports its runbook; words that merely sound like trouble support nothing.
//! Invariant: instance, tool, target and value of an action come from catalogue, facts and arithmetic. Of an entry's text only
//! what the catalogue's matcher and formulas read in it counts; of a model's answer only a number of the list and numbers
//! inside ranges.
//! Invariant: without a model, or when it fails, the rules' answer stands.
//!
//! May be imported by analyst, cli and tests. Imports contract, knowledge, llm and planner.
//!
//! Absent on purpose: a bus, a clock, state; who asks decides when, and what becomes of the answer.

mod decide; // Read this first: rules, then a model.

mod allowed;

pub use crate::allowed::{Action, Evidence, Present, allowed};
pub use crate::decide::{Advisor, Decision, Source, decide};
