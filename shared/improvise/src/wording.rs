//! What text of a model is taken for an entry.

use instance_contract::{ErrorType, Severity};
use instance_invent::Meaning;
use instance_iris::messages_log::{self, NewEntry, Timestamp, write_entry};
use instance_llm::{Form, WrongAnswer};
use serde_json::{Value, json};

/// Shorter ones say nothing, longer ones nobody writes.
const CHARACTERS: std::ops::RangeInclusive<usize> = 10..=300;
const LINES: usize = 3;

/// The form of an entry's text, for one severity, category and kind of trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    pub kind: ErrorType,
    pub severity: Severity,
    /// Without brackets.
    pub category: Option<String>,
    /// What was shown to the model, and is not to come back.
    pub examples: Vec<String>,
}

impl Form for Wording {
    type Answer = String;

    fn name(&self) -> &'static str {
        "entry"
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "properties": {"text": {"type": "string", "maxLength": CHARACTERS.end()}},
            "required": ["text"],
            "additionalProperties": false,
        })
    }

    fn read(&self, answer: Value) -> Result<String, WrongAnswer> {
        let rule = |rule: &str| WrongAnswer::new(rule);
        let fields = answer.as_object().filter(|fields| fields.len() == 1);
        let text = fields.and_then(|fields| fields.get("text")?.as_str());
        let text = text.ok_or_else(|| rule("it must hold text and nothing else"))?.trim();
        if !CHARACTERS.contains(&text.chars().count()) || text.lines().count() > LINES {
            return Err(rule("text must have 10 to 300 characters in at most 3 lines"));
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
            return Err(rule("text must not hold control characters"));
        }
        if self.examples.iter().any(|example| example.eq_ignore_ascii_case(text)) {
            return Err(rule("text must not repeat an example"));
        }
        if !self.is_one_entry(text) {
            return Err(rule(
                "text must read back as the text of one entry, without stamp, process, severity or category",
            ));
        }
        if Meaning::of(text, self.severity, self.category.as_deref()).error_type != self.kind {
            return Err(rule("text must be of the kind of trouble that was asked for"));
        }
        Ok(text.to_owned())
    }
}

impl Wording {
    /// Written as IRIS writes it, does it read back as itself?
    fn is_one_entry(&self, text: &str) -> bool {
        let timestamp = Timestamp::new((2026, 1, 1), (0, 0, 0, 0)).expect("a legal stamp");
        let severity = messages_log::Severity::from_digit(self.severity.as_u8());
        let severity = severity.expect("both are the same four digits");
        let category = self.category.as_deref();
        let mut line = Vec::new();
        let entry = NewEntry { timestamp, process_id: 1, severity, category, text, repeated: 0 };
        write_entry(&mut line, &entry).is_ok()
            && matches!(messages_log::parse(&line).as_slice(), [only] if only.message_text() == text)
            // What a header of its own looks like, even where a reader takes it for text.
            && !text.starts_with(|c: char| c.is_ascii_digit()) && !text.starts_with('[')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let examples = vec!["Journal file has reached its maximum size".to_owned()];
        let kind = ErrorType::Journal;
        let category = Some("Generic.Event".to_owned());
        let wording = Wording { kind, severity: Severity::Severe, category, examples };
        wording.read(json!({ "text": text })).map_err(|wrong| wrong.rule)
    }

    #[test]
    fn a_text_of_that_kind_is_taken() {
        let text =
            "Journal switch to /iris/journal2/ failed: no space left, journaling continues on the old file";
        assert_eq!(read(&format!(" {text}\n")), Ok(text.to_owned()));
        assert!(read("Journal daemon is late\n\tlast block written 12 seconds ago").is_ok());
    }

    #[test]
    fn what_is_no_such_text_is_refused_with_its_rule() {
        for (text, rule) in [
            ("short", "10 to 300"),
            (&"journal ".repeat(50), "10 to 300"),
            ("journal\na\nb\nc of the journal", "at most 3 lines"),
            ("journal \u{1b}[2J is cleared", "control"),
            ("JOURNAL FILE HAS REACHED ITS MAXIMUM SIZE", "example"),
            ("journal is full\n11/21/26-10:00:00:000 (1) 3 and another entry", "one entry"),
            ("11/21/26-10:00:00:000 (1) 3 [Utility.Event] journal full", "one entry"),
            ("[Utility.Event] journal is full", "one entry"),
            ("journal is full...(repeated 3 times)", "one entry"),
            ("License limit exceeded 3 times since instance start.", "kind of trouble"),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains(rule), "{text}: {told}");
        }
        let wording =
            Wording { kind: ErrorType::Other, severity: Severity::Info, category: None, examples: vec![] };
        assert!(wording.read(json!({"text": "all is well here", "command": "iris force"})).is_err());
        assert!(wording.read(json!("all is well here")).is_err());
    }
}
