//! What an operator may say about telemetry.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// The table `[telemetry]` of every service's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which log lines are written, as `level` or `target=level` with commas between, e.g. `info,instance_bus=debug`.
    /// Holds for the lines on stderr and for the exported log records; spans are always made. Default: `info`.
    pub log_filter: LogFilter,
    /// How a line on stderr looks: `json` for machines, `text` for people. Default: `json`.
    pub log_format: LogFormat,
    /// Where OTLP over http/protobuf goes, e.g. `http://localhost:4318`; `/v1/traces`, `/v1/logs` and `/v1/metrics`
    /// are appended. `OTEL_EXPORTER_OTLP_ENDPOINT` and its forms for one signal beat it. Default: nothing is exported.
    pub otlp_endpoint: Option<Endpoint>,
    /// Where HTTP answers `/livez`, `/readyz` and `/metrics`, e.g. `127.0.0.1:9464`; no password, so an address that only
    /// the scraper reaches. Default: nowhere.
    pub listen: Option<SocketAddr>,
    /// What the span of handling a message hangs on: `creation`, the span that published it, so that an incident is one
    /// trace; `link-only`, nothing, so that each handling is a trace of its own with a link. Default: `creation`.
    pub process_parent: ProcessParent,
}

/// What the span of handling a message hangs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessParent {
    /// The span that published the message.
    #[default]
    Creation,
    /// Nothing; it is linked to that span.
    LinkOnly,
}

/// How a log line on stderr looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// One readable line; coloured on a terminal unless `NO_COLOR` is set.
    Text,
}

/// A log filter. Invariant: it can be parsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogFilter(String);

impl LogFilter {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn to_env_filter(&self) -> EnvFilter {
        EnvFilter::builder().parse(&self.0).expect("it was parsed when it was made")
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl TryFrom<String> for LogFilter {
    type Error = InvalidSetting;

    fn try_from(raw: String) -> Result<Self, Self::Error> {
        // An empty filter would silence everything without a word; `off` says it.
        let parsed = EnvFilter::builder().parse(&raw).is_ok() && !raw.trim().is_empty();
        if parsed { Ok(Self(raw)) } else { Err(InvalidSetting::LogFilter(raw)) }
    }
}

impl From<LogFilter> for String {
    fn from(filter: LogFilter) -> Self {
        filter.0
    }
}

/// The base address of an OTLP receiver. Invariant: `http://` or `https://` with a host, no slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(String);

impl Endpoint {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for Endpoint {
    type Error = InvalidSetting;

    fn try_from(raw: String) -> Result<Self, Self::Error> {
        let host = raw.strip_prefix("http://").or_else(|| raw.strip_prefix("https://")).unwrap_or_default();
        let usable = !host.is_empty() && !host.starts_with(['/', ':']) && !host.contains(char::is_whitespace);
        if usable {
            Ok(Self(raw.trim_end_matches('/').to_owned()))
        } else {
            Err(InvalidSetting::Endpoint(raw))
        }
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.0
    }
}

/// A setting that no telemetry can be started with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSetting {
    #[error("log filter {0:?} is not a list of `level` or `target=level`")]
    LogFilter(String),
    #[error("OTLP endpoint {0:?} is not http://HOST[:PORT] or https://HOST[:PORT]")]
    Endpoint(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Settings, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_said_means_info_json_and_no_export() {
        let settings = parse("{}").unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.log_filter.as_str(), "info");
        assert_eq!(settings.otlp_endpoint, None);
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_value() {
        for (json, said) in [
            (r#"{"log_filter": "info,=x=y"}"#, "\"info,=x=y\""),
            (r#"{"log_filter": " "}"#, "is not a list"),
            (r#"{"otlp_endpoint": "unix://collector:4318"}"#, "unix://collector:4318"),
            (r#"{"otlp_endpoint": "https:///x"}"#, "or https://HOST"),
            (r#"{"otlp_endpoint": "http://"}"#, "is not http://HOST"),
            (r#"{"listen": "9464"}"#, "socket address"),
            (r#"{"log_fromat": "json"}"#, "unknown field"),
        ] {
            let refusal = parse(json).unwrap_err();
            assert!(refusal.contains(said), "{json} gave {refusal}");
        }
    }
}
