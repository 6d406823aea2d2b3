//! The messages log of an IRIS instance (`messages.log`, `alerts.log`, old `cconsole.log`).
//!
//! ```
//! use instance_iris::messages_log::{Severity, parse};
//!
//! let log = b"11/14/25-09:45:55:657 (50745) 2 [Utility.Event] LMF Error: No valid license key.\n";
//! let entries = parse(log);
//! let header = entries[0].header.as_ref().unwrap();
//! assert_eq!(header.severity, Some(Severity::Severe));
//! assert_eq!(header.category.as_deref(), Some("Utility.Event"));
//! assert_eq!(entries[0].message_text(), "LMF Error: No valid license key.");
//! ```
//!
//! Read with [`Reader`], which takes the bytes in chunks of any size, or [`parse`] for bytes that are all there;
//! write with [`write_entry`], or many at a time with [`Pen`].

mod entry;
mod header;
mod open;
mod pen;
mod print;
mod reader; // Read this first: bytes in, entries out.
mod severity;
mod timestamp;
mod usual;

pub use entry::{Entry, EntryRef, Header, HeaderRef};
pub use header::Category;
pub use pen::{Author, Pen};
pub use print::{NewEntry, WriteError, is_category, write_entry};
pub use reader::{Keep, Options, Pending, Reader, next_stamped_line, parse};
pub use severity::Severity;
pub use timestamp::{InvalidTimestamp, Timestamp};
