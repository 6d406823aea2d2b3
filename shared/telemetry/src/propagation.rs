//! How trace context travels: `OTEL_PROPAGATORS`, which the SDK does not read.

use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

use crate::destinations::{Lookup, value_of};
use crate::start::Error;

const VARIABLE: &str = "OTEL_PROPAGATORS";
const DEFAULT: &str = "tracecontext,baggage";

/// The propagators that the environment names. `none` alone: no context travels, and each process has traces of its own.
pub(crate) fn propagator(lookup: Lookup<'_>) -> Result<TextMapCompositePropagator, Error> {
    let named = value_of(lookup, VARIABLE).unwrap_or_else(|| DEFAULT.to_owned());
    let mut all: Vec<Box<dyn TextMapPropagator + Send + Sync>> = Vec::new();
    for name in named.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "tracecontext" => all.push(Box::new(TraceContextPropagator::new())),
            "baggage" => all.push(Box::new(BaggagePropagator::new())),
            "none" => {}
            _ => {
                return Err(Error::Variable {
                    name: VARIABLE.to_owned(),
                    value: named,
                    rule: "a list of `tracecontext`, `baggage` or `none`",
                });
            }
        }
    }
    Ok(TextMapCompositePropagator::new(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: &str) -> Result<Vec<String>, Error> {
        let propagator = propagator(&|name| (name == VARIABLE).then(|| value.to_owned()))?;
        Ok(propagator.fields().map(str::to_owned).collect())
    }

    #[test]
    fn what_travels_is_named_in_the_environment() {
        let all = fields("").unwrap();
        assert!(all.iter().any(|field| field == "traceparent") && all.iter().any(|field| field == "baggage"));
        assert!(fields("baggage").unwrap().iter().all(|field| field == "baggage"));
        assert_eq!(fields("none").unwrap(), Vec::<String>::new());
        assert!(fields("b3").unwrap_err().to_string().contains("b3"));
    }
}
