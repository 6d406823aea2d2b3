//! From bytes to a contract type, with every fault found, not only the first.
//!
//! serde stops at the first fault and lets the last of two equal keys win; an operator wants the whole list, and a
//! command with a doubled key must not be guessed at. So text is read into a tree that keeps every key, and each
//! contract takes its fields from it.

mod fields;
mod tree;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use fields::Fields;
pub use tree::Node;

/// Largest payload of a command, in bytes.
pub const MAX_COMMAND_BYTES: usize = 64 * 1024;
/// Largest payload of any other contract, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;
/// Deepest nesting of objects and arrays.
pub const MAX_DEPTH: usize = 32;

/// One thing wrong with an input: where, what was there, and the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Path of the field with dots and indexes, e.g. `steps[2].id`; `payload` for the whole.
    pub field: String,
    /// The value as JSON text, cut at 100 characters; empty when the field is missing.
    pub value: String,
    /// The rule, in words.
    pub rule: String,
}

impl Fault {
    pub fn new(field: impl Into<String>, value: impl fmt::Display, rule: impl Into<String>) -> Self {
        Self { field: field.into(), value: cut(&value.to_string()), rule: rule.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_empty() {
            write!(f, "{}: {}", self.field, self.rule)
        } else {
            write!(f, "{} = {}: {}", self.field, self.value, self.rule)
        }
    }
}

/// All faults of one input, at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    pub fn one(field: impl Into<String>, value: impl fmt::Display, rule: impl Into<String>) -> Self {
        Self(vec![Fault::new(field, value, rule)])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

/// Parse a payload of at most `limit` bytes into a tree.
pub fn tree(bytes: &[u8], limit: usize) -> Result<Node, Faults> {
    if bytes.len() > limit {
        return Err(Faults::one(
            "payload",
            format!("{} bytes", bytes.len()),
            format!("at most {limit} bytes"),
        ));
    }
    let node: Node = serde_json::from_slice(bytes)
        .map_err(|error| Faults::one("payload", "", format!("must be one JSON document: {error}")))?;
    let depth = node.depth();
    if depth > MAX_DEPTH {
        let rule = format!("objects and arrays nested at most {MAX_DEPTH} deep");
        return Err(Faults::one("payload", format!("depth {depth}"), rule));
    }
    Ok(node)
}

fn cut(text: &str) -> String {
    if text.chars().count() <= 100 {
        return text.to_owned();
    }
    text.chars().take(97).chain("...".chars()).collect()
}
