//! What an outside system asks of the generator: invent messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    decode::{self, Fault, Faults, Fields, Node},
    words::{ErrorType, Phase, Severity},
};

/// A request to the generator's endpoint `instance.v1.generate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "MessageGenerationRequest")]
pub struct GenerationRequest {
    /// Kind of trouble. Absent: any. `os` is the older word for `resource`.
    #[schemars(with = "Option<String>", extend("enum" = ["config", "license", "resource", "os", "journal", "database", "security", "mirror", "other", null]))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_category: Option<ErrorType>,
    /// How many, 1..=100. Default 1.
    #[schemars(range(min = 1, max = 100))]
    pub count: u32,
    /// Lowest and highest severity. Default 0 to 3.
    pub severity_range: (Severity, Severity),
    /// Default json.
    pub output_format: OutputFormat,
    /// Only this template (see `instance generate --list-templates`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub template_name: Option<String>,
    /// Only messages of this part of an incident's story: it narrows the severities. Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Same seed, same bytes. Absent: drawn, and told in the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Leave the stamps out when false. Default true.
    pub include_timestamps: bool,
}

/// How the messages come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    /// Lines as IRIS writes them.
    Raw,
    /// IrisMessages.
    #[default]
    Json,
}

impl Default for GenerationRequest {
    fn default() -> Self {
        Self {
            error_category: None,
            count: 1,
            severity_range: (Severity::Info, Severity::Fatal),
            output_format: OutputFormat::Json,
            template_name: None,
            phase: None,
            seed: None,
            include_timestamps: true,
        }
    }
}

impl GenerationRequest {
    pub const COUNT_RULE: &'static str = "an integer from 1 to 100";

    /// Read a request; every fault is told. An empty payload asks for one message of any kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, Faults> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let node = decode::tree(bytes, decode::MAX_COMMAND_BYTES)?;
        let fields = Fields::root(&node)?;
        let default = Self::default();
        let error_category = fields.text("error_category", fields.optional("error_category"));
        let count = count(&fields).unwrap_or(default.count);
        let severity_range = severity_range(&fields).unwrap_or(default.severity_range);
        let output_format = output_format(&fields).unwrap_or_default();
        let template_name = fields.string("template_name", fields.optional("template_name"), 1, 64);
        let phase = fields.text("phase", fields.optional("phase"));
        let seed =
            fields.integer::<u64, u64>("seed", fields.optional("seed"), "an integer of 64 bits, 0 or more");
        let include_timestamps = fields
            .boolean("include_timestamps", fields.optional("include_timestamps"))
            .unwrap_or(default.include_timestamps);
        fields.close();
        fields.verdict()?;
        Ok(Self {
            error_category,
            count,
            severity_range,
            output_format,
            template_name,
            phase,
            seed,
            include_timestamps,
        })
    }
}

fn count(fields: &Fields<'_>) -> Option<u32> {
    let node = fields.optional("count")?;
    match node {
        Node::Integer(count) if (1..=100).contains(count) => u32::try_from(*count).ok(),
        _ => {
            let rule = format!("must be {}", GenerationRequest::COUNT_RULE);
            fields.note(Fault::new("count", node, rule));
            None
        }
    }
}

fn severity_range(fields: &Fields<'_>) -> Option<(Severity, Severity)> {
    let node = fields.optional("severity_range")?;
    let digit = |node: &Node| match node {
        Node::Integer(digit) => u8::try_from(*digit).ok().and_then(|digit| Severity::try_from(digit).ok()),
        _ => None,
    };
    let range = match node {
        Node::Array(items) if items.len() == 2 => digit(&items[0]).zip(digit(&items[1])),
        _ => None,
    };
    match range {
        Some((low, high)) if low <= high => Some((low, high)),
        _ => {
            let rule = "must be two severities from 0 to 3, the lower first, e.g. [2, 3]";
            fields.note(Fault::new("severity_range", node, rule));
            None
        }
    }
}

fn output_format(fields: &Fields<'_>) -> Option<OutputFormat> {
    let node = fields.optional("output_format")?;
    match node.as_str() {
        Some("raw") => Some(OutputFormat::Raw),
        Some("json") => Some(OutputFormat::Json),
        _ => {
            fields.note(Fault::new("output_format", node, "must be raw or json"));
            None
        }
    }
}
