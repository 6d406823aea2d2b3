//! Chat completions as they go over the wire: only the fields that matter here, so that odd endpoints are understood.

use serde_json::{Value, json};

use super::{Reply, Usage};
use crate::settings::{self, Structure};

/// One question, ready to be sent to any provider.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub system: String,
    pub user: String,
    /// Why the answers before this one were not taken, in our words.
    pub objections: Vec<String>,
    pub temperature: f64,
    pub seed: u32,
    /// Name and JSON Schema of the answer.
    pub form: String,
    pub schema: Value,
    pub answer_tokens: Option<u32>,
}

impl Request {
    /// What is sent. The same request and provider give the same bytes.
    pub fn body(&self, provider: &settings::Provider) -> Value {
        let mut system = self.system.clone();
        if provider.structure != Structure::Schema {
            system = format!(
                "{system}\n\nAnswer with one JSON object of this JSON Schema, and nothing else:\n{}",
                self.schema
            );
        }
        let mut messages =
            vec![json!({"role": "system", "content": system}), json!({"role": "user", "content": self.user})];
        for objection in &self.objections {
            messages.push(json!({"role": "user", "content": objection}));
        }
        let mut body = json!({
            "model": provider.model,
            "messages": messages,
            "temperature": self.temperature,
            "seed": self.seed,
            "max_completion_tokens": self.longest_answer(provider),
            "stream": provider.stream,
        });
        match provider.structure {
            Structure::Schema => {
                let schema = json!({"name": self.form, "strict": true, "schema": self.schema});
                body["response_format"] = json!({"type": "json_schema", "json_schema": schema});
            }
            Structure::Object => body["response_format"] = json!({"type": "json_object"}),
            Structure::Prompt => {}
        }
        if provider.stream {
            body["stream_options"] = json!({"include_usage": true});
        }
        body
    }

    pub fn longest_answer(&self, provider: &settings::Provider) -> u32 {
        self.answer_tokens.unwrap_or(u32::MAX).min(provider.answer_tokens)
    }

    /// Tokens of the question, guessed high: endpoints count about four characters of English as one.
    pub fn guessed_tokens(&self) -> u64 {
        let bytes = self.system.len()
            + self.user.len()
            + self.schema.to_string().len()
            + self.objections.iter().map(String::len).sum::<usize>();
        guessed_tokens(bytes)
    }
}

pub(crate) fn guessed_tokens(bytes: usize) -> u64 {
    u64::try_from(bytes / 3 + 16).unwrap_or(u64::MAX)
}

/// A whole answer. `None`: it is no chat completion.
pub(super) fn reply(answer: &Value) -> Option<Reply> {
    let choice = answer.get("choices")?.get(0)?;
    let message = choice.get("message")?;
    let refused = message.get("refusal").is_some_and(|refusal| !refusal.is_null());
    let text = message.get("content").and_then(Value::as_str);
    Some(Reply {
        text: text.or(refused.then_some(""))?.to_owned(),
        usage: usage(answer),
        model: text_at(answer, "model"),
        id: text_at(answer, "id"),
        finish: text_at(choice, "finish_reason"),
        fingerprint: text_at(answer, "system_fingerprint"),
        refused,
    })
}

/// The pieces of a streamed answer, put together.
#[derive(Debug, Default)]
pub(super) struct Collected {
    text: String,
    usage: Option<Usage>,
    model: Option<String>,
    id: Option<String>,
    finish: Option<String>,
    fingerprint: Option<String>,
    refused: bool,
}

impl Collected {
    /// Adds one piece and gives the text in it. `None`: it is no piece of a chat completion.
    pub fn add(&mut self, piece: &Value) -> Option<String> {
        let choices = piece.get("choices")?.as_array()?;
        self.usage = usage(piece).or(self.usage);
        self.model = self.model.take().or_else(|| text_at(piece, "model"));
        self.id = self.id.take().or_else(|| text_at(piece, "id"));
        self.fingerprint = self.fingerprint.take().or_else(|| text_at(piece, "system_fingerprint"));
        // The last piece holds the usage and no choice.
        let Some(choice) = choices.first() else { return Some(String::new()) };
        self.finish = text_at(choice, "finish_reason").or(self.finish.take());
        let delta = choice.get("delta")?;
        self.refused |= delta.get("refusal").is_some_and(|refusal| !refusal.is_null());
        let text = text_at(delta, "content").unwrap_or_default();
        self.text.push_str(&text);
        Some(text)
    }

    /// The answer, when its end was announced.
    pub fn finish(self) -> Option<Reply> {
        let Self { text, usage, model, id, finish, fingerprint, refused } = self;
        finish.is_some().then_some(Reply { text, usage, model, id, finish, fingerprint, refused })
    }
}

fn text_at(value: &Value, key: &str) -> Option<String> {
    Some(value.get(key)?.as_str()?.to_owned())
}

/// Far more than any call takes: sums of what an endpoint claims must stay numbers.
const MOST_TOKENS: u64 = 1 << 40;

fn usage(answer: &Value) -> Option<Usage> {
    let usage = answer.get("usage")?;
    let count = |key: &str| usage.get(key).and_then(Value::as_u64).map(|count| count.min(MOST_TOKENS));
    Some(Usage { input_tokens: count("prompt_tokens")?, output_tokens: count("completion_tokens")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            system: "s".to_owned(),
            user: "u".to_owned(),
            objections: vec![],
            temperature: 0.0,
            seed: 7,
            form: "finding".to_owned(),
            schema: json!({"type": "object"}),
            answer_tokens: Some(200),
        }
    }

    #[test]
    fn what_is_sent_says_everything_that_decides_the_answer() {
        let provider = settings::Provider::new("main", "http://h/v1", "m-1");
        let body = request().body(&provider);
        let expected = r#"{"model":"m-1","messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}],"temperature":0.0,"seed":7,"max_completion_tokens":200,"stream":false,"response_format":{"type":"json_schema","json_schema":{"name":"finding","strict":true,"schema":{"type":"object"}}}}"#;
        assert_eq!(body.to_string(), expected);
    }

    #[test]
    fn an_endpoint_without_schemas_reads_the_schema_in_the_question() {
        let mut provider = settings::Provider::new("main", "http://h/v1", "m-1");
        provider.structure = Structure::Prompt;
        let body = request().body(&provider);
        assert!(body.get("response_format").is_none());
        assert!(body["messages"][0]["content"].as_str().unwrap().ends_with(r#"{"type":"object"}"#));
    }

    #[test]
    fn whole_answers_and_pieces_give_the_same_reply() {
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 2});
        let whole = json!({"id": "i", "model": "m", "usage": usage,
            "choices": [{"message": {"content": "{\"a\":1}"}, "finish_reason": "stop"}]});
        let mut collected = Collected::default();
        for piece in [
            json!({"id": "i", "model": "m", "choices": [{"delta": {"role": "assistant"}}]}),
            json!({"id": "i", "choices": [{"delta": {"content": "{\"a\""}}]}),
            json!({"id": "i", "choices": [{"delta": {"content": ":1}"}, "finish_reason": "stop"}]}),
            json!({"id": "i", "choices": [], "usage": usage}),
        ] {
            assert!(collected.add(&piece).is_some());
        }
        assert_eq!(collected.finish(), reply(&whole));
        assert!(reply(&whole).is_some());
    }

    #[test]
    fn an_end_that_nobody_announced_is_no_end() {
        let mut collected = Collected::default();
        collected.add(&json!({"choices": [{"delta": {"content": "{\"a\""}}]})).unwrap();
        assert_eq!(collected.finish(), None);
        assert_eq!(Collected::default().add(&json!({"error": "x"})), None);
        assert_eq!(reply(&json!({"choices": []})), None);
    }
}
