//! The public contract IrisMessage: one entry of messages.log on the wire. Evidence, not yet a problem.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    decode::{self, Fault, Faults, Fields, Node},
    ids::{ConditionId, HostName, InstanceName, InvalidName, MessageId, TraceId},
    words::{ErrorType, Origin, Severity},
};

/// One entry of messages.log, or one that the generator invented in its form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "IrisMessage")]
pub struct IrisMessage {
    /// Always `instance.v1.iris_message`.
    #[schemars(extend("const" = "instance.v1.iris_message"))]
    pub schema: String,
    /// For a tailed file derived from host, instance, file identity and byte offset: reading twice publishes once.
    pub message_id: MessageId,
    pub trace_id: TraceId,
    pub host: HostName,
    pub instance: InstanceName,
    pub origin: Origin,
    /// The stamp as written, `MM/DD/YY-HH:MM:SS:mmm` in the instance's local time; null where the log has none
    /// (a recovery banner, text before the first stamp).
    #[schemars(extend("pattern" = r"^\d\d/\d\d(/\d\d)?-\d\d:\d\d:\d\d:\d{3}$"))]
    pub timestamp: Option<String>,
    /// The same instant in RFC 3339, or null when the zone of the instance is unknown.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub occurred_at: Option<Timestamp>,
    /// When the generator published it, RFC 3339, UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub generated_at: Timestamp,
    /// Process that wrote the entry, 0..=4194304; null where the log has none.
    #[schemars(range(min = 0, max = 4_194_304))]
    pub process_id: Option<u32>,
    /// 0 where the log has none.
    pub severity: Severity,
    /// Without brackets, e.g. `Utility.Event`; null when absent.
    #[schemars(extend("pattern" = r"^[A-Za-z0-9_.]{1,128}$"))]
    pub category: Option<String>,
    /// First line and continuations, at most 64 KiB.
    pub message_text: MessageText,
    /// Was `message_text` cut?
    #[serde(default)]
    pub truncated: bool,
    /// The original bytes as text; bytes that are not UTF-8 are replaced.
    pub raw: String,
    pub error_type: ErrorType,
    /// Row of the error catalogue, or null.
    pub condition: Option<ConditionId>,
    /// How often IRIS says that the entry was repeated.
    #[serde(default)]
    pub repeated: u32,
}

impl IrisMessage {
    pub const SCHEMA: &'static str = "instance.v1.iris_message";

    /// Read a message that somebody else wrote; every fault is told.
    pub fn decode(bytes: &[u8]) -> Result<Self, Faults> {
        let node = decode::tree(bytes, decode::MAX_PAYLOAD_BYTES)?;
        let fields = Fields::root(&node)?;
        fields.constant("schema", Self::SCHEMA);
        let message_id = fields.text("message_id", fields.required("message_id"));
        let trace_id = fields.text("trace_id", fields.required("trace_id"));
        let host = fields.text("host", fields.required("host"));
        let instance = fields.text("instance", fields.required("instance"));
        let origin = fields.text("origin", fields.required("origin"));
        let timestamp = stamp(&fields);
        let occurred_at = fields.instant("occurred_at", fields.optional("occurred_at"));
        let generated_at = fields.instant("generated_at", fields.required("generated_at"));
        let process_id = process_id(&fields);
        let severity =
            fields.integer::<Severity, u8>("severity", fields.required("severity"), Severity::RULE);
        let category = category(&fields);
        let message_text =
            fields.free_text("message_text", fields.required("message_text"), MessageText::MAX_BYTES);
        let truncated = fields.boolean("truncated", fields.optional("truncated")).unwrap_or(false);
        let raw = fields.free_text("raw", fields.required("raw"), decode::MAX_PAYLOAD_BYTES);
        let error_type = fields.text("error_type", fields.required("error_type"));
        let condition = fields.text("condition", fields.optional("condition"));
        let rule = "an integer from 0 to 4294967295";
        let repeated = fields.integer::<u32, u32>("repeated", fields.optional("repeated"), rule).unwrap_or(0);
        fields.close();
        fields.verdict()?;
        let complete = "every fault was noted above";
        Ok(Self {
            schema: Self::SCHEMA.to_owned(),
            message_id: message_id.expect(complete),
            trace_id: trace_id.expect(complete),
            host: host.expect(complete),
            instance: instance.expect(complete),
            origin: origin.expect(complete),
            timestamp,
            occurred_at,
            generated_at: generated_at.expect(complete),
            process_id,
            severity: severity.expect(complete),
            category,
            message_text: MessageText(message_text.expect(complete)),
            truncated,
            raw: raw.expect(complete),
            error_type: error_type.expect(complete),
            condition,
            repeated,
        })
    }
}

fn stamp(fields: &Fields<'_>) -> Option<String> {
    let node = fields.optional("timestamp")?;
    let shape = |raw: &str| {
        let digits: String = raw.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        matches!(digits.as_str(), "99/99/99-99:99:99:999" | "99/99-99:99:99:999")
    };
    match node.as_str() {
        Some(raw) if shape(raw) => Some(raw.to_owned()),
        _ => {
            fields.note(Fault::new("timestamp", node, "must be null or have the form MM/DD/YY-HH:MM:SS:mmm"));
            None
        }
    }
}

fn process_id(fields: &Fields<'_>) -> Option<u32> {
    let node = fields.optional("process_id")?;
    match node {
        Node::Integer(pid) if (0..=4_194_304).contains(pid) => u32::try_from(*pid).ok(),
        _ => {
            fields.note(Fault::new("process_id", node, "must be null or an integer from 0 to 4194304"));
            None
        }
    }
}

fn category(fields: &Fields<'_>) -> Option<String> {
    let node = fields.optional("category")?;
    let legal = |raw: &str| {
        (1..=128).contains(&raw.len())
            && raw.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
    };
    match node.as_str() {
        Some(raw) if legal(raw) => Some(raw.to_owned()),
        _ => {
            let rule = "must be null or 1 to 128 letters, digits, dots and underscores, without brackets";
            fields.note(Fault::new("category", node, rule));
            None
        }
    }
}

/// Text of at most 64 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("maxLength" = 65_536))]
pub struct MessageText(String);

impl MessageText {
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Cuts at the limit; tells whether it had to.
    pub fn cut(mut text: String) -> (Self, bool) {
        if text.len() <= Self::MAX_BYTES {
            return (Self(text), false);
        }
        let end = (0..=Self::MAX_BYTES).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0);
        text.truncate(end);
        (Self(text), true)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for MessageText {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        if text.len() <= Self::MAX_BYTES {
            return Ok(Self(text));
        }
        let value = format!("{} bytes", text.len());
        Err(InvalidName { kind: "message text", value, rule: "at most 65536 bytes" })
    }
}

impl From<MessageText> for String {
    fn from(text: MessageText) -> String {
        text.0
    }
}
