//! The pure core of the analyst: what is made of the entries of a log.
//!
//! [`Incidents`] takes events (an entry, facts, the end of a remediation, the passing of time) and gives actions (ask the
//! agents, write a record, publish a command). It groups entries into incidents, keeps repeats out the cheapest way
//! first, raises severities, and decides: a command, a person, nothing, or wait. Unknown is a legal answer.
//!
//! Invariant: no clock, no async, no input or output. The same events in the same order give the same actions.
//! Invariant: memory is bounded by [`Limits`], whatever a log says.
//! Invariant: what a record says is enough to go on from it: the command of a finding follows from the finding alone
//! ([`command_of`]), so a process that dies between the two asks for the same command again.
//! Invariant: text from a log is data. It chooses a row of the catalogue, and with it an authored answer; it is never
//! obeyed, and no part of it becomes a part of a command but figures that the answer itself looks for.
//!
//! Invariant: what a model is offered has passed policy already ([`Incidents::held_to`]), and passes it again when it was chosen.
//!
//! May be imported by the analyst, cli and tests. Imports contract, knowledge and planner.

mod event; // Read this first: what goes in and what comes out.
mod incidents; // The state and its transitions.

mod answer; // From a condition and facts to work.
mod conclude;
mod consult; // Where the rules are unsure.
mod entry;
mod fold;
mod follow;
mod incident;
mod learning;
mod limits;
mod next_steps;
mod permitted; // What policy leaves of answers, before a model hears of them.
mod record;
mod remediations;
mod repeats;
mod replay;
mod severity;
mod work;

pub use crate::{
    answer::{Answer, Need, Verdict, answer, command_of, facts_of, targets, verdict},
    consult::{Advice, Consultation},
    event::{Action, Event, FactMap, Gathered, Record},
    fold::{fingerprint, folded, similarity},
    incidents::Incidents,
    learning::{Learned, Learning},
    limits::Limits,
    severity::{confidence, least_to_act, least_to_tell, matters},
};
