//! An answer as it is kept: with what shows that it is whole, ours and fresh.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::hex_digest;

const SCHEMA: &str = "instance.model.v1.answer";
/// No answer that was kept is longer.
const LONGEST: usize = 1024 * 1024;
/// Clocks of hosts that share a store may differ by so much.
const SKEW: Duration = Duration::from_mins(1);

/// A kept answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    schema: String,
    key: String,
    kept_at: Timestamp,
    until: Timestamp,
    digest: String,
    /// What the model said, after repair.
    pub answer: String,
}

impl Entry {
    pub fn new(key: &str, answer: &str, now: Timestamp, life: Duration) -> Self {
        let until = now.saturating_add(life).unwrap_or(Timestamp::MAX);
        let mut entry = Self {
            schema: SCHEMA.to_owned(),
            key: key.to_owned(),
            kept_at: now,
            until,
            digest: String::new(),
            answer: answer.to_owned(),
        };
        entry.digest = entry.content_digest();
        entry
    }

    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an entry is plain texts")
    }

    /// `None`: not an entry, of another key, damaged, from the future or too old.
    pub fn decode(key: &str, bytes: &[u8], now: Timestamp) -> Option<Self> {
        if bytes.len() > LONGEST {
            return None;
        }
        let entry: Self = serde_json::from_slice(bytes).ok()?;
        let fresh = now < entry.until && entry.kept_at <= now.saturating_add(SKEW).ok()?;
        let whole = entry.schema == SCHEMA && entry.key == key && entry.digest == entry.content_digest();
        (fresh && whole).then_some(entry)
    }

    fn content_digest(&self) -> String {
        let times = format!("{} {}", self.kept_at, self.until);
        let parts = [&self.schema, &self.key, &times, &self.answer].map(String::as_str);
        hex_digest(&parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_fresh_entry_of_that_key_is_one() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-09-01T10:00:00Z");
        let entry = Entry::new("k", "{\"a\":1}", now, Duration::from_mins(1));
        let bytes = entry.encode();
        assert_eq!(Entry::decode("k", &bytes, now), Some(entry.clone()));
        assert_eq!(Entry::decode("other", &bytes, now), None);
        assert_eq!(Entry::decode("k", &bytes, at("2026-09-01T10:01:00Z")), None, "too old");
        assert_eq!(Entry::decode("k", &bytes, at("2026-09-01T09:00:00Z")), None, "from the future");
        for length in 0..bytes.len() {
            assert_eq!(Entry::decode("k", &bytes[..length], now), None);
        }
        for changed in [
            Entry { answer: "{\"a\":2}".to_owned(), ..entry.clone() },
            Entry { until: Timestamp::MAX, ..entry },
        ] {
            assert_eq!(Entry::decode("k", &changed.encode(), now), None);
        }
    }
}
