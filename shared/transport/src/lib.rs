//! Brings IrisMessages to consumers outside, and RemediationCommands in from senders outside: over HTTP, through a
//! folder, or over NATS, behind one interface each.
//!
//! Invariant: a send answers delivered, away (it may work later) or refused (it never will); nothing is assumed.
//! Invariant: a message that is sent again is recognisable: same id in the header, same name of the file.
//! Invariant: a source hands nothing out again that was settled, also after a restart.
//!
//! Invariant: a finding that asks for a person is told to the webhook until it was taken or a person has acknowledged it.
//!
//! May be imported by the generator, the analyst, the CLI and tests. Imports bus, clock, contract and
//! redaction.
//!
//! Absent on purpose: TLS. A consumer behind `https` is reached through a proxy beside this process.

mod transport; // Read this first: what a transport is.

mod folder;
mod http;
mod nats;
mod queue; // NATS of somebody else; `nats` is our own.

mod destination;
mod retry;

mod escalate; // What a person has to look at, told to somebody outside.
mod webhook;

mod source; // The other way: commands that come in.
mod source_folder;
mod source_http;

pub use crate::destination::{Destination, InvalidDestination};
pub use crate::escalate::{Escalation, Told};
pub use crate::folder::Folder;
pub use crate::http::{DEFAULT_TIMEOUT, Http};
pub use crate::nats::Nats;
pub use crate::queue::Queue;
pub use crate::retry::{PAUSES, deliver};
pub use crate::source::{Found, Look, Settled, Source, SourceError, open};
pub use crate::transport::{InvalidOutgoing, Outgoing, SendError, Transport};
pub use crate::webhook::{InvalidWebhook, Webhook};
