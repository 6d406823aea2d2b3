//! The last look at a text before it leaves the process: without secrets, and no longer than the operator allows.

use std::borrow::Cow;

use instance_redaction::redact;

use crate::destinations::{Lookup, value_of};
use crate::start::Error;

/// Longest value of an attribute, in characters, if there is a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limit(pub Option<usize>);

impl Limit {
    /// The text as it may leave.
    pub fn safe(self, text: &str) -> Cow<'_, str> {
        let redacted = redact(text);
        match self.0.and_then(|longest| redacted.char_indices().nth(longest)) {
            None => redacted,
            Some((end, _)) => Cow::Owned(redacted[..end].to_owned()),
        }
    }

    /// As [`Limit::safe`]; `None` when it may leave as it is.
    pub fn changed(self, text: &str) -> Option<String> {
        match self.safe(text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(changed) => Some(changed),
        }
    }
}

/// The limits of each signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub spans: Limit,
    pub records: Limit,
}

impl Limits {
    /// `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` and its forms for one signal, which the SDK does not read.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, Error> {
        let general = limit(lookup, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")?;
        Ok(Self {
            spans: limit(lookup, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT")?.or(general).into(),
            records: limit(lookup, "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT")?.or(general).into(),
        })
    }
}

impl From<Option<usize>> for Limit {
    fn from(longest: Option<usize>) -> Self {
        Self(longest)
    }
}

fn limit(lookup: Lookup<'_>, name: &str) -> Result<Option<usize>, Error> {
    let Some(value) = value_of(lookup, name) else { return Ok(None) };
    match value.parse() {
        Ok(longest) => Ok(Some(longest)),
        Err(_) => Err(Error::Variable { name: name.to_owned(), value, rule: "a number of characters" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_counts_characters_and_never_cuts_a_secret_in_two() {
        assert_eq!(Limit(None).changed("häuser"), None);
        assert_eq!(Limit(Some(3)).safe("häuser"), "häu");
        let set = |name: &str| (name == "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT").then(|| "3".to_owned());
        assert_eq!(Limits::read(&set).unwrap().records, Limit(Some(3)));
        assert!(Limits::read(&|_| Some("many".to_owned())).is_err());
        assert_eq!(Limit(Some(30)).safe("password=hunter2"), "password=[secret]");
    }
}
