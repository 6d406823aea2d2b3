//! The settings of a service as JSON Schema, read off its type: which keys there are, of which type, which are required.
//!
//! serde tells a type's shape only by reading it. So a reader is given that answers whatever is asked for and notes what
//! that was; where a value is refused (a name, a duration, a list that must not be empty) another one is tried, and in the
//! end the key is left out. Ranges are rules of the service and not seen here: `--check-config` tells them.

mod probe;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use self::probe::{Notes, Path, Shape};
use super::Common;

/// No settings have so many keys; it bounds the search.
const MOST_ROUNDS: usize = 5000;

/// The schema of a settings file of this service, profiles left out.
pub(crate) fn of<C: DeserializeOwned>(service: &str) -> Value {
    let mut properties = object(&shape::<Common>());
    for (name, notes) in [
        ("nats", shape::<instance_bus::Settings>()),
        ("telemetry", shape::<instance_telemetry::Settings>()),
        (service, shape::<C>()),
    ] {
        properties["properties"][name] = object(&notes);
    }
    let file = properties.clone();
    for profile in ["default", "development", "staging", "production", "testing", "global"] {
        // What a profile says is laid over the rest, so nothing in it is required.
        properties["properties"][profile] = without_required(file.clone());
    }
    properties["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    properties["title"] = json!(format!("Settings of instance-{service}"));
    properties
}

fn shape<T: DeserializeOwned>() -> Notes {
    let mut notes = Notes::default();
    let mut tries: BTreeMap<Path, usize> = BTreeMap::new();
    for _ in 0..MOST_ROUNDS {
        if probe::read::<T>(&mut notes, &tries, None).is_ok() {
            break;
        }
        *tries.entry(notes.last.clone()).or_default() += 1;
    }
    // A key that cannot be left out is required.
    let keys: Vec<Path> = notes.shapes.keys().filter(|path| !path.is_empty()).cloned().collect();
    for key in keys {
        let mut unheard = Notes::default();
        if let Err(error) = probe::read::<T>(&mut unheard, &tries, Some(&key))
            && error.is_missing_field()
        {
            notes.required.insert(key);
        }
    }
    notes
}

fn object(notes: &Notes) -> Value {
    schema_at(notes, &Vec::new())
}

fn schema_at(notes: &Notes, path: &Path) -> Value {
    let Some(shape) = notes.shapes.get(path) else { return json!({}) };
    let below = |name: &str| [path.as_slice(), &[name.to_owned()]].concat();
    match shape {
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Integer { from_zero: true } => json!({"type": "integer", "minimum": 0}),
        Shape::Integer { from_zero: false } => json!({"type": "integer"}),
        Shape::Number => json!({"type": "number"}),
        Shape::Text => json!({"type": "string"}),
        Shape::OneOf(words) => json!({"enum": words}),
        Shape::List => json!({"type": "array", "items": schema_at(notes, &below(probe::ITEM))}),
        Shape::Table => {
            json!({"type": "object", "additionalProperties": schema_at(notes, &below(probe::ITEM))})
        }
        Shape::Struct(names) => {
            let properties: Map<String, Value> =
                names.iter().map(|name| ((*name).to_owned(), schema_at(notes, &below(name)))).collect();
            let required: Vec<&&str> =
                names.iter().filter(|name| notes.required.contains(&below(name))).collect();
            let mut schema =
                json!({"type": "object", "properties": properties, "additionalProperties": false});
            if !required.is_empty() {
                schema["required"] = json!(required);
            }
            schema
        }
        Shape::Any => json!({}),
    }
}

fn without_required(mut schema: Value) -> Value {
    if let Value::Object(fields) = &mut schema {
        fields.remove("required");
        if let Some(Value::Object(properties)) = fields.get_mut("properties") {
            for property in properties.values_mut() {
                *property = without_required(property.take());
            }
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    struct Config {
        folder: PathBuf,
        #[serde(default)]
        limit: Option<u32>,
        #[serde(default)]
        mode: Mode,
        items: Vec<Item>,
        #[serde(default)]
        words: BTreeMap<String, String>,
    }

    #[derive(Deserialize, Default)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        #[default]
        Quiet,
        Loud,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    struct Item {
        name: Name,
        #[serde(default)]
        share: f64,
        #[serde(default)]
        on: bool,
        #[serde(default)]
        never_seen_to_be_good: Option<Odd>,
        after: i16,
    }

    #[derive(Deserialize)]
    #[serde(try_from = "String")]
    struct Name;

    impl TryFrom<String> for Name {
        type Error = &'static str;

        fn try_from(text: String) -> Result<Self, Self::Error> {
            if text.starts_with('/') { Ok(Self) } else { Err("must begin with a slash") }
        }
    }

    #[derive(Deserialize)]
    #[serde(try_from = "u8")]
    struct Odd;

    impl TryFrom<u8> for Odd {
        type Error = &'static str;

        fn try_from(_: u8) -> Result<Self, Self::Error> {
            Err("no value is good")
        }
    }

    #[test]
    fn a_type_tells_its_keys_whatever_it_refuses() {
        let schema = of::<Config>("thing");
        let own = &schema["properties"]["thing"];
        assert_eq!(own["required"], json!(["folder", "items"]));
        assert_eq!(own["additionalProperties"], false);
        let property = |name: &str| own["properties"][name].clone();
        assert_eq!(property("folder"), json!({"type": "string"}));
        assert_eq!(property("limit"), json!({"type": "integer", "minimum": 0}));
        assert_eq!(property("mode"), json!({"enum": ["quiet", "loud"]}));
        assert_eq!(property("words")["additionalProperties"], json!({"type": "string"}));
        let item = property("items")["items"].clone();
        assert_eq!(item["required"], json!(["name", "after"]), "{item}");
        assert_eq!(item["properties"]["share"], json!({"type": "number"}));
        assert_eq!(item["properties"]["after"], json!({"type": "integer"}));
        assert_eq!(item["properties"]["never_seen_to_be_good"], json!({"type": "integer", "minimum": 0}));
        assert_eq!(schema["properties"]["nats"]["properties"]["url"], json!({"type": "string"}));
        assert_eq!(schema["properties"]["production"]["properties"]["thing"]["required"], Value::Null);
    }
}
