//! Where spans, log records and metrics go: does somebody listen there?

use std::{env, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use super::Check;

const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PATIENCE: Duration = Duration::from_secs(2);

/// `None` where the environment names no collector.
pub async fn check() -> Option<Check> {
    const NAME: &str = "collector";
    let endpoint = env::var(VARIABLE).ok().filter(|value| !value.is_empty())?;
    let authority =
        endpoint.strip_prefix("http://").unwrap_or(&endpoint).split('/').next().unwrap_or_default();
    let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    Some(match timeout(PATIENCE, TcpStream::connect(&address)).await {
        Ok(Ok(_)) => Check::ok(NAME, format!("somebody listens at {address}")),
        found => {
            let why = match found {
                Ok(Err(error)) => error.to_string(),
                _ => "no answer in time".to_owned(),
            };
            let next =
                format!("nothing waits for it, but what is told is lost; start it, or correct {VARIABLE}");
            Check::warn(NAME, format!("{address}: {why}"), next)
        }
    })
}
