//! What a service says on stderr, made readable: JSON log lines become short ones, anything else stays as it is.

use std::fmt::Write as _;

use serde_json::Value;

use crate::output::printable;

/// How much a line matters, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    Plain,
    Warning,
    Error,
}

/// A line for people: `warn  message key=value ...`.
pub fn shorten(line: &[u8]) -> (Weight, String) {
    let text = String::from_utf8_lossy(line);
    let Ok(Value::Object(log)) = serde_json::from_str::<Value>(&text) else {
        return (Weight::Plain, printable(text.trim_end()));
    };
    let word = |name: &str| log.get(name).and_then(Value::as_str).unwrap_or_default();
    let level = word("level").to_lowercase();
    let weight = match level.as_str() {
        "error" => Weight::Error,
        "warn" => Weight::Warning,
        _ => Weight::Plain,
    };
    let mut short = format!("{level:<5} {}", word("message"));
    let fields = log.get("fields").and_then(Value::as_object).into_iter().flatten();
    for (name, value) in fields {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        write!(short, " {name}={shown}").expect("writing to a string cannot fail");
    }
    (weight, printable(&short).replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_becomes_level_message_and_fields() {
        let line = br#"{"time":"2026-01-01T00:00:00Z","level":"WARN","target":"x","message":"lost the shard",
            "service":"instance-router","trace_id":"ab","fields":{"shard":"3","tries":2}}"#;
        assert_eq!(shorten(line), (Weight::Warning, "warn  lost the shard shard=3 tries=2".to_owned()));
    }

    #[test]
    fn anything_else_stays_and_cannot_command_the_terminal() {
        assert_eq!(shorten(b"router.x: unknown key"), (Weight::Plain, "router.x: unknown key".to_owned()));
        assert_eq!(shorten(b"\x1b[2J\xff").1, "\\u{1b}[2J\u{fffd}");
        assert_eq!(shorten(b"[1,2]").1, "[1,2]");
    }
}
