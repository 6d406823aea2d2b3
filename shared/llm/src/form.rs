//! What form an answer must have: a JSON Schema for the model, and a check for what it said.

use std::marker::PhantomData;

use jsonschema::Validator;
use schemars::{JsonSchema, generate::SchemaSettings, transform::RestrictFormats};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// An answer that does not have its form. Says which rule it broke, and nothing of the answer itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not as asked for: {rule}")]
pub struct WrongAnswer {
    pub rule: String,
}

impl WrongAnswer {
    pub fn new(rule: impl Into<String>) -> Self {
        Self { rule: rule.into() }
    }
}

/// A form.
pub trait Form: Send + Sync {
    /// What an answer is turned into.
    type Answer: Send;

    /// `[a-zA-Z0-9_-]{1,64}`.
    fn name(&self) -> &str;

    /// A JSON Schema of an object; part of what decides whether two questions are the same.
    fn schema(&self) -> Value;

    /// Turns an answer into its value, or says which rule it breaks. Everything that matters is checked here, whatever the
    /// model was told.
    fn read(&self, answer: Value) -> Result<Self::Answer, WrongAnswer>;
}

/// The form of a type: its JSON Schema, closed, with every field required (a field that may be absent is null).
pub struct Typed<T> {
    name: String,
    schema: Value,
    validator: Validator,
    answer: PhantomData<fn() -> T>,
}

impl<T: JsonSchema + DeserializeOwned> Typed<T> {
    /// # Panics
    /// When the type's schema is not one of an object; a test of the caller's notices that.
    pub fn new() -> Self {
        let settings = SchemaSettings::draft2020_12()
            .with(|settings| {
                settings.inline_subschemas = true;
                settings.meta_schema = None;
            })
            .with_transform(RestrictFormats::default());
        let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
        close(&mut schema);
        let validator = jsonschema::draft202012::new(&schema).expect("what schemars derives is a schema");
        assert_eq!(schema["type"], "object", "an answer is an object");
        Self { name: T::schema_name().into_owned(), schema, validator, answer: PhantomData }
    }
}

impl<T: JsonSchema + DeserializeOwned> Default for Typed<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: JsonSchema + DeserializeOwned + Send> Form for Typed<T> {
    type Answer = T;

    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> Value {
        self.schema.clone()
    }

    fn read(&self, answer: Value) -> Result<T, WrongAnswer> {
        check(&self.validator, &answer)?;
        // Its text may repeat what the model said.
        serde_json::from_value(answer).map_err(|_| WrongAnswer::new("it cannot be read as its type"))
    }
}

/// The first rule of a schema that a value breaks, by its place in the schema.
pub(crate) fn check(validator: &Validator, answer: &Value) -> Result<(), WrongAnswer> {
    match validator.iter_errors(answer).next() {
        None => Ok(()),
        Some(error) => Err(WrongAnswer::new(format!("it breaks {}", error.schema_path()))),
    }
}

/// Makes a schema one that strict endpoints take: no other fields, and all fields required.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                let names: Vec<Value> = properties.keys().map(|name| json!(name)).collect();
                fields.insert("required".to_owned(), Value::Array(names));
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            drop_defaults(fields);
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn drop_defaults(fields: &mut Map<String, Value>) {
    // A property may be called "default"; a keyword is never an object with a type.
    if fields.get("default").is_none_or(|value| value.get("type").is_none()) {
        fields.remove("default");
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    #[schemars(rename = "judgement")]
    struct Judgement {
        #[schemars(range(min = 0, max = 3))]
        severity: u8,
        #[schemars(length(max = 10))]
        title: String,
        #[serde(default)]
        note: Option<String>,
    }

    #[test]
    fn the_schema_of_a_type_is_closed_and_needs_every_field() {
        let form = Typed::<Judgement>::new();
        let schema = form.schema();
        assert_eq!(form.name(), "judgement");
        assert_eq!(schema["required"], json!(["severity", "title", "note"]));
        assert_eq!(schema["additionalProperties"], json!(false));
        assert!(schema["properties"]["note"].get("default").is_none());
    }

    #[test]
    fn an_answer_is_checked_and_a_wrong_one_is_not_repeated() {
        let form = Typed::<Judgement>::new();
        let right = form.read(json!({"severity": 2, "title": "t", "note": null})).unwrap();
        assert_eq!(right, Judgement { severity: 2, title: "t".to_owned(), note: None });
        for wrong in [
            json!({"severity": 4, "title": "t", "note": null}),
            json!({"severity": 2, "title": "hunter2 hunter2", "note": null}),
            json!({"severity": 2, "title": "t", "note": null, "hunter2": 1}),
            json!({"severity": "hunter2", "title": "t", "note": null}),
            json!({"title": "t", "note": null}),
        ] {
            let error = form.read(wrong).unwrap_err().to_string();
            assert!(
                error.starts_with("the answer is not as asked for: it breaks /")
                    && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
