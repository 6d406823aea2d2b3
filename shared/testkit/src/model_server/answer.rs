//! What the endpoint can answer.

use serde_json::{Value, json};

/// In front of a stream of events.
const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// One answer of the test endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelAnswer {
    kind: Kind,
    input_tokens: u64,
    output_tokens: u64,
    pub(super) once_called: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Text(String),
    Refusal(String),
    Status {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    Hang,
    /// The connection ends in the middle of this text.
    Cut(String),
    /// Status 200 with a body that is no completion.
    Raw(String),
    /// The same, as a stream of events.
    RawStream(String),
}

impl ModelAnswer {
    /// The model says this. 100 tokens in, 50 out.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(Kind::Text(text.into()))
    }

    /// The model says this JSON.
    pub fn json(value: &Value) -> Self {
        Self::text(value.to_string())
    }

    /// The model declines.
    pub fn refusal(text: impl Into<String>) -> Self {
        Self::of(Kind::Refusal(text.into()))
    }

    /// An error with that HTTP status.
    pub fn status(status: u16) -> Self {
        let body = json!({"error": {"message": "scripted", "type": "server_error", "code": "scripted"}});
        Self::of(Kind::Status { status, headers: Vec::new(), body: body.to_string() })
    }

    /// Status 429: come back after that many seconds.
    pub fn too_many(retry_after_seconds: u64) -> Self {
        Self::status(429).header("retry-after", retry_after_seconds.to_string())
    }

    /// Takes the call and never answers.
    pub fn hang() -> Self {
        Self::of(Kind::Hang)
    }

    /// Ends the connection in the middle of an answer.
    pub fn cut(text: impl Into<String>) -> Self {
        Self::of(Kind::Cut(text.into()))
    }

    /// Status 200, and this instead of a completion.
    pub fn raw(body: impl Into<String>) -> Self {
        Self::of(Kind::Raw(body.into()))
    }

    /// Status 200, and this as a stream of events.
    pub fn raw_stream(events: impl Into<String>) -> Self {
        Self::of(Kind::RawStream(events.into()))
    }

    /// Says what the call has cost.
    #[must_use]
    pub const fn costing(mut self, input_tokens: u64, output_tokens: u64) -> Self {
        self.input_tokens = input_tokens;
        self.output_tokens = output_tokens;
        self
    }

    /// Is given when that many calls have come in: proves that they ran side by side.
    #[must_use]
    pub const fn once_called(mut self, calls: usize) -> Self {
        self.once_called = calls;
        self
    }

    fn header(mut self, name: &'static str, value: String) -> Self {
        if let Kind::Status { headers, .. } = &mut self.kind {
            headers.push((name, value));
        }
        self
    }

    const fn of(kind: Kind) -> Self {
        Self { kind, input_tokens: 100, output_tokens: 50, once_called: 0 }
    }

    /// The text that can be kept in a recording.
    pub(super) fn recordable(&self) -> Option<(&str, u64, u64)> {
        match &self.kind {
            Kind::Text(text) => Some((text, self.input_tokens, self.output_tokens)),
            _ => None,
        }
    }

    /// What goes over the wire. `None`: nothing ever does.
    pub(super) fn bytes(&self, streamed: bool) -> Option<Vec<u8>> {
        let usage = json!({"prompt_tokens": self.input_tokens, "completion_tokens": self.output_tokens,
            "total_tokens": self.input_tokens + self.output_tokens});
        Some(match &self.kind {
            Kind::Hang => return None,
            Kind::Raw(body) => whole(200, &[], body),
            Kind::RawStream(events) => [EVENTS.as_bytes(), events.as_bytes()].concat(),
            Kind::Status { status, headers, body } => whole(*status, headers, body),
            Kind::Refusal(text) => whole(200, &[], &completion(None, Some(text), &usage)),
            Kind::Text(text) if streamed => stream(text, Some(&usage)),
            Kind::Cut(text) if streamed => stream(text, None),
            Kind::Text(text) => whole(200, &[], &completion(Some(text), None, &usage)),
            Kind::Cut(text) => {
                let mut bytes = whole(200, &[], &completion(Some(text), None, &usage));
                bytes.truncate(bytes.len() - 20);
                bytes
            }
        })
    }
}

fn completion(text: Option<&str>, refusal: Option<&str>, usage: &Value) -> String {
    json!({
        "id": "chatcmpl-test", "object": "chat.completion", "created": 1, "model": "test-model",
        "system_fingerprint": "fp_test", "usage": usage,
        "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": text, "refusal": refusal}}],
    })
    .to_string()
}

/// Piece by piece. Without a usage the last half never comes.
fn stream(text: &str, usage: Option<&Value>) -> Vec<u8> {
    let piece = |choices: Value, usage: Option<&Value>| {
        let event = json!({"id": "chatcmpl-test", "object": "chat.completion.chunk", "created": 1,
            "model": "test-model", "choices": choices, "usage": usage});
        format!("data: {event}\n\n")
    };
    let delta = |text: &str, finish: Option<&str>| {
        piece(json!([{"index": 0, "delta": {"content": text}, "finish_reason": finish}]), None)
    };
    let middle = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let (first, second) = text.split_at(middle);
    let mut events = delta(first, None);
    if let Some(usage) = usage {
        events += &delta(second, None);
        events += &delta("", Some("stop"));
        events += &piece(json!([]), Some(usage));
        events += "data: [DONE]\n\n";
    }
    [EVENTS.as_bytes(), events.as_bytes()].concat()
}

fn whole(status: u16, headers: &[(&'static str, String)], body: &str) -> Vec<u8> {
    let more =
        headers.iter().fold(String::new(), |lines, (name, value)| lines + name + ": " + value + "\r\n");
    format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n{more}\r\n{body}",
        body.len()
    )
    .into_bytes()
}
