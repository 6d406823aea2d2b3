//! From an entry to an IrisMessage.

use instance_contract::{
    ConditionId, ErrorType, HostName, InstanceName, IrisMessage, MessageId, MessageText, Origin, Severity,
    TraceId,
};
use instance_iris::messages_log;
use instance_knowledge::{Matcher, classify_error_type};
use jiff::Timestamp;

/// Bytes that `message_text` and `raw` may take each as JSON. A message must stay under 256 KiB with its headers, and
/// control characters take six bytes each.
const JSON_BYTES: usize = 110 * 1024;

/// For whom a message speaks.
#[derive(Debug, Clone, Copy)]
pub struct Speaker<'a> {
    pub host: &'a HostName,
    pub instance: &'a InstanceName,
    pub origin: Origin,
}

/// What makes a message this one.
#[derive(Debug, Clone)]
pub struct Label {
    pub message_id: MessageId,
    pub trace_id: TraceId,
    pub occurred_at: Option<Timestamp>,
    pub generated_at: Timestamp,
}

/// What the log says.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// The stamp as written.
    pub timestamp: Option<String>,
    pub process_id: Option<u32>,
    pub severity: Severity,
    pub category: Option<String>,
    pub text: String,
    /// Whether something was left out of `text`.
    pub truncated: bool,
    pub raw: String,
    pub repeated: u32,
}

/// What it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    pub error_type: ErrorType,
    pub condition: Option<ConditionId>,
}

impl Said {
    /// What an entry says, without anything that may stand in for its header.
    pub fn by(entry: &messages_log::Entry) -> Self {
        let said = Self {
            text: entry.message_text().into_owned(),
            truncated: entry.truncated(),
            raw: String::from_utf8_lossy(&entry.raw).into_owned(),
            repeated: entry.repeated(),
            ..Self::default()
        };
        entry.header.as_ref().map_or(said.clone(), |header| said.under(header))
    }

    /// The same under a header.
    #[must_use]
    pub fn under(self, header: &messages_log::Header) -> Self {
        Self {
            timestamp: Some(header.timestamp.to_string()),
            // Linux knows no higher one; another system's is left out.
            process_id: u32::try_from(header.process_id).ok().filter(|pid| *pid <= 4_194_304),
            severity: header.severity.map_or(Severity::Info, severity),
            category: header.category.clone(),
            ..self
        }
    }
}

impl Meaning {
    /// What a text means, all parts of an entry together.
    pub fn of(text: &str, severity: Severity, category: Option<&str>) -> Self {
        if let Some(row) = Matcher::in_force().classify(text) {
            return Self { error_type: error_type(row.class), condition: row.id.parse().ok() };
        }
        let class = classify_error_type(text, severity.as_u8(), category);
        Self { error_type: error_type(class), condition: None }
    }
}

/// Puts a message together, small enough for the bus.
pub fn compose(speaker: Speaker<'_>, label: Label, said: Said, meaning: Meaning) -> IrisMessage {
    let (text, cut_for_json) = cut(said.text);
    let (message_text, cut_at_limit) = MessageText::cut(text);
    let (raw, _) = cut(said.raw);
    IrisMessage {
        schema: IrisMessage::SCHEMA.to_owned(),
        message_id: label.message_id,
        trace_id: label.trace_id,
        host: speaker.host.clone(),
        instance: speaker.instance.clone(),
        origin: speaker.origin,
        timestamp: said.timestamp,
        occurred_at: label.occurred_at,
        generated_at: label.generated_at,
        process_id: said.process_id,
        severity: said.severity,
        category: said.category,
        message_text,
        truncated: said.truncated || cut_for_json || cut_at_limit,
        raw,
        error_type: meaning.error_type,
        condition: meaning.condition,
        repeated: said.repeated,
    }
}

/// The contract's severity.
pub fn severity(severity: messages_log::Severity) -> Severity {
    Severity::try_from(severity.as_u8()).expect("both are the same four digits")
}

/// The contract's error type.
pub fn error_type(class: instance_knowledge::ErrorType) -> ErrorType {
    class.as_str().parse().expect("both are the same eight words")
}

/// Cuts a text that would take too many bytes as JSON; tells whether it had to.
fn cut(mut text: String) -> (String, bool) {
    if text.len() * 6 <= JSON_BYTES {
        return (text, false);
    }
    let mut taken = 0;
    let end = text.char_indices().find_map(|(at, character)| {
        taken += match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            control if control < ' ' => 6,
            other => other.len_utf8(),
        };
        (taken > JSON_BYTES).then_some(at)
    });
    match end {
        Some(end) => {
            text.truncate(end);
            (text, true)
        }
        None => (text, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_entry_still_fits_the_bus() {
        let host: HostName = "h".parse().unwrap();
        let instance: InstanceName = "IRIS".parse().unwrap();
        let log =
            [b"11/14/25-09:45:55:657 (9999999) 2 [A.b] ".as_slice(), &vec![1_u8; 100_000], b"\n"].concat();
        let mut reader = messages_log::Reader::new(messages_log::Options::bounded());
        assert!(reader.push(&log).is_empty());
        let said = Said::by(&reader.finish().unwrap());
        assert_eq!((said.process_id, said.truncated), (None, true));
        let meaning = Meaning::of(&said.text, said.severity, said.category.as_deref());
        let label = Label {
            message_id: "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8".parse().unwrap(),
            trace_id: TraceId::from_bytes([1; 16]),
            occurred_at: None,
            generated_at: Timestamp::UNIX_EPOCH,
        };
        let speaker = Speaker { host: &host, instance: &instance, origin: Origin::Observed };
        let message = compose(speaker, label, said, meaning);
        let bytes = serde_json::to_vec(&message).unwrap();
        assert!(bytes.len() < 250_000, "{}", bytes.len());
        assert_eq!(IrisMessage::decode(&bytes), Ok(message));
    }
}
