//! What a remediation waits for: that a person agrees to its changes.

use instance_contract::{ApprovalAsked, InstanceName};
use serde_json::{Value, json};

use crate::{output::when, story::Story};

/// A remediation that goes on when a person agrees.
pub struct Question {
    asked: ApprovalAsked,
    action: String,
}

impl Question {
    /// Those that wait now, oldest first; of one instance where one is named.
    pub fn open(stories: &[Story], instance: Option<&InstanceName>) -> Vec<Self> {
        let question = |story: &Story| {
            let (_, asked) = story.open_question()?;
            let action = story.command().map(|command| command.recommended_action).unwrap_or_default();
            instance.is_none_or(|wanted| asked.instance == *wanted).then_some(Self { asked, action })
        };
        stories.iter().rev().filter_map(question).collect()
    }

    pub fn row(&self) -> [String; 4] {
        let Self { asked, action } = self;
        let action = instance_redaction::redacted(action.replace('\n', " "));
        [asked.remediation_id.to_string(), when(asked.expires_at), asked.instance.to_string(), action]
    }

    pub fn document(&self) -> Value {
        let Self { asked, action } = self;
        let mut document = json!({
            "remediation_id": asked.remediation_id, "trace_id": asked.trace_id, "instance": asked.instance,
            "action": action, "changes": asked.changes, "digest": asked.digest, "reasons": asked.reasons,
            "expires_at": asked.expires_at,
        });
        instance_redaction::redact_document(&mut document);
        document
    }
}
