//! Where our own spans, log records and metrics would go: does somebody listen there? (Those of services: `outside`.)

use std::env;

use super::{Check, reach};

const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// `None` where the environment names no collector.
pub async fn check() -> Option<Check> {
    const NAME: &str = "collector";
    let endpoint = env::var(VARIABLE).ok().filter(|value| !value.is_empty())?;
    let next = format!("nothing waits for it, but what is told is lost; start it, or correct {VARIABLE}");
    let Some(address) = reach::address(&endpoint) else {
        return Some(Check::warn(NAME, "its address is none", next));
    };
    Some(match reach::connect(&address).await {
        Ok(()) => Check::ok(NAME, format!("somebody listens at {address}")),
        Err(why) => Check::warn(NAME, format!("{address}: {why}"), next),
    })
}
