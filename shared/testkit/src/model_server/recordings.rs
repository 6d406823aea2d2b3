//! Answers by what was asked: one JSON line a call, keyed by a digest of the request.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::ModelAnswer;

#[derive(Default)]
pub(super) struct Recordings(BTreeMap<String, ModelAnswer>);

impl Recordings {
    pub fn load(file: &Path) -> Self {
        let text = fs::read_to_string(file)
            .unwrap_or_else(|error| panic!("could not read recordings \"{}\": {error}", file.display()));
        let read = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            let answer = ModelAnswer::text(line["answer"].as_str()?)
                .costing(line["input_tokens"].as_u64()?, line["output_tokens"].as_u64()?);
            Some((line["request"].as_str()?.to_owned(), answer))
        };
        let each = |line| read(line).unwrap_or_else(|| panic!("no recording: {line}"));
        Self(text.lines().map(each).collect())
    }

    pub fn save(&self, file: &Path) {
        let lines = self.0.iter().filter_map(|(request, answer)| {
            let (text, input_tokens, output_tokens) = answer.recordable()?;
            let line = json!({"request": request, "answer": text, "input_tokens": input_tokens, "output_tokens": output_tokens});
            Some(format!("{line}\n"))
        });
        fs::write(file, lines.collect::<String>())
            .unwrap_or_else(|error| panic!("could not write recordings \"{}\": {error}", file.display()));
    }

    pub fn find(&self, body: &Value) -> Option<ModelAnswer> {
        self.0.get(&digest(body)).cloned()
    }

    pub fn keep(&mut self, body: &Value, answer: &ModelAnswer) {
        if answer.recordable().is_some() {
            self.0.insert(digest(body), answer.clone());
        }
    }
}

/// SHA-256 of the request in lower-case hex. Whether it is streamed does not change the answer.
fn digest(body: &Value) -> String {
    let mut body = body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|name, _| name != "stream" && name != "stream_options");
    }
    Sha256::digest(body.to_string()).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
