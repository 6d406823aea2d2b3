//! Where each signal goes: the settings and the standard environment variables, decided before anything is built.

use std::fmt;

use crate::settings::{Endpoint, Settings};
use crate::start::Error;

/// How an environment variable is looked up. An empty value counts as unset, as OpenTelemetry asks.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Traces,
    Logs,
    Metrics,
}

impl Signal {
    /// The last part of the path that OTLP over HTTP gives it.
    fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
            Self::Metrics => "/v1/metrics",
        }
    }

    fn upper(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Logs => "LOGS",
            Self::Metrics => "METRICS",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        })
    }
}

/// The full address for each signal that is exported.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Destinations {
    pub traces: Option<String>,
    pub logs: Option<String>,
    pub metrics: Option<String>,
}

impl Destinations {
    /// Reads `OTEL_SDK_DISABLED`, `OTEL_<SIGNAL>_EXPORTER`, `OTEL_EXPORTER_OTLP_[<SIGNAL>_]ENDPOINT` and `..._PROTOCOL`:
    /// the SDK itself reads neither the first nor the second.
    pub fn decide(settings: &Settings, lookup: Lookup<'_>) -> Result<Self, Error> {
        let disabled =
            value_of(lookup, "OTEL_SDK_DISABLED").is_some_and(|raw| raw.eq_ignore_ascii_case("true"));
        if disabled {
            return Ok(Self::default());
        }
        Ok(Self {
            traces: destination(Signal::Traces, settings, lookup)?,
            logs: destination(Signal::Logs, settings, lookup)?,
            metrics: destination(Signal::Metrics, settings, lookup)?,
        })
    }
}

pub(crate) fn value_of(lookup: Lookup<'_>, name: &str) -> Option<String> {
    lookup(name).filter(|raw| !raw.is_empty())
}

fn destination(signal: Signal, settings: &Settings, lookup: Lookup<'_>) -> Result<Option<String>, Error> {
    let exporter = format!("OTEL_{}_EXPORTER", signal.upper());
    match value_of(lookup, &exporter).as_deref() {
        None | Some("otlp") => {}
        Some("none") => return Ok(None),
        Some(other) => {
            return Err(Error::Variable {
                name: exporter,
                value: other.to_owned(),
                rule: "`otlp` or `none`",
            });
        }
    }
    let Some(address) = address(signal, settings, lookup)? else { return Ok(None) };
    check_protocol(signal, lookup)?;
    check_unsupported(signal, lookup)?;
    Ok(Some(address))
}

fn address(signal: Signal, settings: &Settings, lookup: Lookup<'_>) -> Result<Option<String>, Error> {
    let own = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.upper());
    // The variable for one signal is used as it stands, without a path of ours.
    if let Some(raw) = value_of(lookup, &own) {
        checked(&own, &raw)?;
        return Ok(Some(raw));
    }
    let general = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let base = match value_of(lookup, general) {
        Some(raw) => Some(checked(general, &raw)?),
        None => settings.otlp_endpoint.clone(),
    };
    Ok(base.map(|base| format!("{base}{}", signal.path())))
}

fn checked(name: &str, raw: &str) -> Result<Endpoint, Error> {
    Endpoint::try_from(raw.to_owned()).map_err(|_| Error::Variable {
        name: name.to_owned(),
        value: raw.to_owned(),
        rule: "http://HOST[:PORT] (there is no TLS here: use a collector on this host)",
    })
}

/// A collector that waits for gRPC would refuse every export later, one log line at a time; say it at the start.
fn check_protocol(signal: Signal, lookup: Lookup<'_>) -> Result<(), Error> {
    for name in
        [format!("OTEL_EXPORTER_OTLP_{}_PROTOCOL", signal.upper()), "OTEL_EXPORTER_OTLP_PROTOCOL".to_owned()]
    {
        match value_of(lookup, &name) {
            None => {}
            Some(value) if value == "http/protobuf" => return Ok(()),
            Some(value) => return Err(Error::Variable { name, value, rule: "`http/protobuf`" }),
        }
    }
    Ok(())
}

/// What the exporters of this build cannot do, and would pass over in silence.
fn check_unsupported(signal: Signal, lookup: Lookup<'_>) -> Result<(), Error> {
    let prefixes = ["OTEL_EXPORTER_OTLP_".to_owned(), format!("OTEL_EXPORTER_OTLP_{}_", signal.upper())];
    for prefix in prefixes {
        for what in ["CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"] {
            let name = format!("{prefix}{what}");
            if let Some(value) = value_of(lookup, &name) {
                let rule = "unset (there is no TLS here: use a collector on this host)";
                return Err(Error::Variable { name, value, rule });
            }
        }
        let name = format!("{prefix}COMPRESSION");
        match value_of(lookup, &name) {
            Some(value) if value != "none" => return Err(Error::Variable { name, value, rule: "`none`" }),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(settings: &Settings, variables: &[(&str, &str)]) -> Result<Destinations, String> {
        let lookup = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Destinations::decide(settings, &lookup).map_err(|error| error.to_string())
    }

    fn with_endpoint(raw: &str) -> Settings {
        Settings { otlp_endpoint: Some(Endpoint::try_from(raw.to_owned()).unwrap()), ..Settings::default() }
    }

    #[test]
    fn nothing_set_means_nothing_sent() {
        assert_eq!(decide(&Settings::default(), &[]).unwrap(), Destinations::default());
        let empty = [("OTEL_EXPORTER_OTLP_ENDPOINT", "")];
        assert_eq!(decide(&Settings::default(), &empty).unwrap(), Destinations::default());
    }

    #[test]
    fn the_nearest_word_wins() {
        let settings = with_endpoint("http://settings:4318/");
        assert_eq!(decide(&settings, &[]).unwrap().logs.unwrap(), "http://settings:4318/v1/logs");
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:9/in"),
            ("OTEL_METRICS_EXPORTER", "none"),
        ];
        let expected = Destinations {
            traces: Some("http://traces:9/in".to_owned()),
            logs: Some("http://general:4318/v1/logs".to_owned()),
            metrics: None,
        };
        assert_eq!(decide(&settings, &variables).unwrap(), expected);
    }

    #[test]
    fn the_sdk_can_be_switched_off() {
        let settings = with_endpoint("http://settings:4318");
        assert_eq!(decide(&settings, &[("OTEL_SDK_DISABLED", "TRUE")]).unwrap(), Destinations::default());
        assert_ne!(decide(&settings, &[("OTEL_SDK_DISABLED", "1")]).unwrap(), Destinations::default());
    }

    #[test]
    fn what_this_build_cannot_speak_is_refused_by_name() {
        let settings = with_endpoint("http://settings:4318");
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
            ("OTEL_TRACES_EXPORTER", "console"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip"),
        ] {
            let refusal = decide(&settings, &[(name, value)]).unwrap_err();
            assert!(refusal.contains(name) && refusal.contains(value), "{refusal}");
        }
        let unused = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        assert!(decide(&Settings::default(), &unused).is_ok(), "nothing is exported, so nothing is wrong");
    }
}
