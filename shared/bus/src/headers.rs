//! Headers of a message, and the names that we use.

use std::fmt;

/// Headers beside a payload. Names are compared exactly, as NATS does.
#[derive(Clone, Default)]
pub struct Headers(async_nats::HeaderMap);

/// On a replayed message: where the dead letter lies, `INSTANCE_DEAD:<sequence>`.
pub(crate) const REPLAY_OF: &str = "Instance-Replay-Of";
/// On a dead letter: the subject under which it was stored first.
pub(crate) const DEAD_SUBJECT: &str = "Instance-Dead-Subject";
/// On a dead letter: the stream it comes from.
pub(crate) const DEAD_STREAM: &str = "Instance-Dead-Stream";
/// On a dead letter: its sequence in that stream.
pub(crate) const DEAD_SEQUENCE: &str = "Instance-Dead-Sequence";
/// On a dead letter: how often it had been delivered.
pub(crate) const DEAD_DELIVERIES: &str = "Instance-Dead-Deliveries";
/// On a dead letter: why nobody could handle it.
pub(crate) const DEAD_REASON: &str = "Instance-Dead-Reason";

pub(crate) const MESSAGE_ID: &str = "Nats-Msg-Id";
/// Id of the message that must be the newest of the stream.
pub(crate) const EXPECTED_LAST_MESSAGE_ID: &str = "Nats-Expected-Last-Msg-Id";
pub(crate) const EXPECTED_LAST_SUBJECT_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";
/// Of which subjects the expected last sequence is, when not of the message's own.
pub(crate) const EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";

impl Headers {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header. Line breaks in the value become blanks: a header is one line.
    ///
    /// # Panics
    /// When the name holds a colon, a control character or a byte outside ASCII; names are written in the source.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// As [`Headers::with`], in place.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.0.insert(name, value.replace(['\r', '\n'], " "));
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        // Asking with an illegal name would panic in the client; no header has one.
        let legal = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        if legal { self.0.get(name).map(async_nats::HeaderValue::as_str) } else { None }
    }

    /// Each name with its first value, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, values)| Some((name.as_ref(), values.first()?.as_str())))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn from_map(map: Option<async_nats::HeaderMap>) -> Self {
        Self(map.unwrap_or_default())
    }

    pub(crate) fn map_mut(&mut self) -> &mut async_nats::HeaderMap {
        &mut self.0
    }

    pub(crate) fn map(&self) -> &async_nats::HeaderMap {
        &self.0
    }

    pub(crate) fn into_map(self) -> async_nats::HeaderMap {
        self.0
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_cannot_add_a_header() {
        let headers = Headers::new().with("Instance-Dead-Reason", "bad\r\nNats-Rollup: all");
        assert_eq!(headers.get("Instance-Dead-Reason"), Some("bad  Nats-Rollup: all"));
        assert_eq!(headers.get("Nats-Rollup"), None);
        assert_eq!(headers.get("not: a name"), None);
    }
}
