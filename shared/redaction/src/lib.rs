//! Blacks out what looks like a secret, at every way out: log lines, exported log records and spans, metric labels,
//! prompts, audit records, and the errors that a person sees.
//!
//! Invariant: one list of shapes for all of them; a new kind of secret is one row and one sample.
//! Invariant: takes time linear in the text; a text without a secret is handed back as it is, without a copy.
//! Invariant: what was redacted once stays the same when it is redacted again.
//!
//! May be imported by telemetry, llm, engine, story, transport, chassis, gateway and cli. Imports nothing of ours.
//!
//! Absent on purpose: personal data in free text (nothing tells a name from a word), and 32 or more hex digits alone: trace
//! ids and digests look like that, and a log without them helps nobody. [`redact_strictly`] takes them too.

mod shapes; // Read this first: what a secret looks like.

mod known;

use std::borrow::Cow;

use serde_json::Value;

pub use crate::known::{SHORTEST_KNOWN, learn};
pub use crate::shapes::BLACK;

/// The text with `[secret]` in the place of everything that looks like one, and of every value that was [`learn`]ed.
pub fn redact(text: &str) -> Cow<'_, str> {
    match known::black_out(text) {
        None => shapes::black_out(text),
        Some(text) => Cow::Owned(shapes::black_out(&text).into_owned()),
    }
}

/// As [`redact`], without the learned values: the same text gives the same words in every process.
pub fn redact_by_shape(text: &str) -> Cow<'_, str> {
    shapes::black_out(text)
}

/// As [`redact`], and long runs of hex digits too (the license key of an `iris.key`): for text on its way to a model, which
/// needs no digest.
pub fn redact_strictly(text: &str) -> Cow<'_, str> {
    match redact(text) {
        Cow::Borrowed(text) => shapes::black_out_hex(text),
        Cow::Owned(text) => Cow::Owned(shapes::black_out_hex(&text).into_owned()),
    }
}

/// As [`redact`], for text that is owned already.
pub fn redacted(text: String) -> String {
    match redact(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(blackened) => blackened,
    }
}

/// As [`redact`], for every text in a document on its way out; names of fields stay.
pub fn redact_document(document: &mut Value) {
    match document {
        Value::String(text) => {
            if let Cow::Owned(blackened) = redact(text) {
                *text = blackened;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(redact_document),
        Value::Object(fields) => fields.values_mut().for_each(redact_document),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
