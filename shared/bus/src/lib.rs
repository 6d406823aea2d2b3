//! Durable work queues, leases and dead letters over NATS.
//!
//! Invariant: no other crate names `async_nats` (testkit and tests excepted).
//! Invariant: nothing here knows what an action does.
//! Invariant: every stream, consumer and bucket stands once in [`topology`]; what the server holds is read back and
//! compared field by field before anybody relies on it.
//! Invariant: a write that timed out is *unknown*, never assumed; it is read again through the stream's leader and
//! compared ([`Bus::publish_once_confirmed`], [`Lease`]).
//! Invariant: a list is complete or an error ([`Bus::read_log`]).
//! Invariant: this crate spawns nothing; whoever owns a [`Deliveries`], [`LogFollow`] or [`Service`] polls it. (The
//! client library keeps a task for the connection and one for each open pull.)
//!
//! Absent on purpose: a second broker, an in-memory imitation of `JetStream`, object stores, atomic batches, message
//! schedules, priority groups, per-key time to live. The words ack, nak, term and in-progress stay inside this crate.
//!
//! May be imported by transport, story, chassis, agent, services (but iris-sim), cli, testkit and tests. Imports
//! contract, clock and signals.

mod delivery; // Read this first: what a service receives.
mod publish;

mod api;
mod audit;
mod connect;
mod consume;
mod dead_letter;
mod discovery;
mod error;
mod first;
mod headers;
mod healing;
mod hosts;
mod kill_switch;
mod kv;
mod lease;
mod log;
mod measure;
mod owned;
mod reader;
mod request;
mod settings;
mod shares;
mod story;
mod template;

pub mod topology;
pub mod trace;

pub use crate::{
    audit::Reading,
    connect::Bus,
    consume::{Deliveries, Durability, StartAt},
    dead_letter::{DeadLetter, DeadLetterReason},
    delivery::Delivery,
    discovery::{FoundEndpoint, FoundService, Request, Service, ServiceBuilder, ServiceError},
    error::BusError,
    headers::Headers,
    hosts::Hosts,
    kill_switch::KillSwitch,
    kv::{AlreadyServed, HaltChange, HaltOrder, OpenHint, ServedBy},
    lease::{Lease, LeaseHolder},
    log::LogFollow,
    owned::Ownership,
    publish::{PublishError, Written},
    reader::LogMessage,
    request::{Inbox, Reply, RequestError},
    settings::{InvalidSettings, Resolved, Settings},
    shares::ShardWish,
    story::{begin_in, continue_from, is_elsewhere},
    topology::{Finding, InitOutcome, Topology, TopologyOptions},
    trace::{continue_traces, current_trace_id, current_traceparent, parent_from, tell_in_full},
};
