//! Making a stream or consumer, reading it back, and comparing each field that we rely on.

use serde_json::{Value, json};

use super::table::{ConsumerSpec, StreamSpec};
use crate::{Bus, BusError};

impl Bus {
    /// True when it was made now.
    pub(super) async fn ensure_stream(&self, spec: &StreamSpec) -> Result<bool, BusError> {
        let missing = self.stream_info(&spec.name).await?.is_none();
        if missing {
            let thing = spec.thing();
            let subject = format!("STREAM.CREATE.{}", spec.name);
            if let Err(refusal) = self.api::<Value>("create", &thing, &subject, &spec.config()).await? {
                return Err(BusError::refused("create", thing, refusal.text));
            }
        }
        self.compare_stream(spec).await?;
        Ok(missing)
    }

    pub(super) async fn compare_stream(&self, spec: &StreamSpec) -> Result<(), BusError> {
        let missing = || BusError::TopologyMissing { thing: spec.thing() };
        let info = self.stream_info(&spec.name).await?.ok_or_else(missing)?;
        self.compare(&spec.thing(), &spec.fields, &info["config"])
    }

    /// True when it was made now. An existing one that differs is left alone and reported.
    pub(crate) async fn ensure_consumer(&self, stream: &str, spec: &ConsumerSpec) -> Result<bool, BusError> {
        let missing = self.consumer_info(stream, &spec.name).await?.is_none();
        if missing {
            let thing = spec.thing(stream);
            // With the filter in the subject, a permission can allow an agent its own consumer and no other.
            let subject = format!("CONSUMER.CREATE.{stream}.{}.{}", spec.name, spec.filter);
            let request = json!({ "stream_name": stream, "config": spec.config(), "action": "create" });
            if let Err(refusal) = self.api::<Value>("create", &thing, &subject, &request).await? {
                if refusal.code == crate::api::STREAM_NOT_FOUND {
                    return Err(BusError::TopologyMissing { thing: format!("stream {stream}") });
                }
                return Err(BusError::refused("create", thing, refusal.text));
            }
        }
        self.compare_consumer(stream, spec).await?;
        Ok(missing)
    }

    pub(crate) async fn compare_consumer(&self, stream: &str, spec: &ConsumerSpec) -> Result<(), BusError> {
        let missing = || BusError::TopologyMissing { thing: spec.thing(stream) };
        let info = self.consumer_info(stream, &spec.name).await?.ok_or_else(missing)?;
        self.compare(&spec.thing(stream), &spec.fields(), &info["config"])
    }

    fn compare(&self, thing: &str, wanted: &[(&'static str, Value)], found: &Value) -> Result<(), BusError> {
        for (field, expected) in wanted {
            let found = found.get(field).unwrap_or(&Value::Null);
            if !same(expected, found) {
                return Err(BusError::TopologyMismatch {
                    thing: thing.to_owned(),
                    field: (*field).to_owned(),
                    expected: expected.to_string(),
                    found: found.to_string(),
                    server: self.server_version(),
                });
            }
        }
        Ok(())
    }
}

/// The server leaves out what is false, zero or empty.
fn same(expected: &Value, found: &Value) -> bool {
    let nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    expected == found || (nothing(expected) && nothing(found))
}
