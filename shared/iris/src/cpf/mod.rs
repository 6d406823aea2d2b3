//! The configuration parameter file of an IRIS instance (`iris.cpf`) and merge files.
//!
//! ```
//! use instance_iris::cpf::Document;
//!
//! let mut document = Document::parse(b"[config]\r\nglobals=0,0,256,0,0,0\r\nroutines=64");
//! let edited = document.set("config", "routines", "128").unwrap();
//! assert_eq!((edited.line, edited.before.as_str()), (3, "64"));
//! assert_eq!(document.to_bytes(), b"[config]\r\nglobals=0,0,256,0,0,0\r\nroutines=128");
//! ```

mod check;
mod diff;
mod document; // Read this first: bytes in, lines and values, bytes out.
mod edit;
mod line;
pub mod memory;
mod merge;

pub use check::{Fault, Rule, check};
pub use diff::{Difference, diff};
pub use document::{Document, Entry, Operation};
pub use edit::{EditError, Edited, InvalidText};
pub use merge::{MergeError, merge};
