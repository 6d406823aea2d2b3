//! Where each signal goes: the settings and the standard environment variables, decided before anything is built.

use std::{fmt, time::Duration};

use crate::settings::{Endpoint, Settings};
use crate::start::Error;

/// How an environment variable is looked up. An empty value counts as unset, as OpenTelemetry asks.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What OpenTelemetry says where nobody else does.
const DEFAULT_LIMIT: Duration = Duration::from_secs(10);

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

/// Where one signal goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// In full, with its path.
    pub address: String,
    /// For `https://` alone.
    pub trust: Option<Trust>,
}

/// What a TLS connection rests on: files of PEM, named by the variable that was set.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    /// Who may have signed the receiver's certificate; `None`: whom the machine trusts.
    pub authorities: Option<Named>,
    /// Our own certificate and its key.
    pub own: Option<(Named, Named)>,
    /// For one request, answer included. Default: 10 s, as OpenTelemetry has it.
    pub limit: Duration,
}

/// The value of a variable.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub name: String,
    pub value: String,
}

/// One for each signal that is exported.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Destinations {
    pub traces: Option<Destination>,
    pub logs: Option<Destination>,
    pub metrics: Option<Destination>,
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

fn destination(
    signal: Signal,
    settings: &Settings,
    lookup: Lookup<'_>,
) -> Result<Option<Destination>, Error> {
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
    let trust = address.starts_with("https://").then(|| trust(signal, lookup)).transpose()?;
    Ok(Some(Destination { address, trust }))
}

/// The variables for one signal go before those for all.
fn trust(signal: Signal, lookup: Lookup<'_>) -> Result<Trust, Error> {
    let named = |what: &str| {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.upper());
        [own, format!("OTEL_EXPORTER_OTLP_{what}")]
            .into_iter()
            .find_map(|name| value_of(lookup, &name).map(|value| Named { name, value }))
    };
    let own = match (named("CLIENT_CERTIFICATE"), named("CLIENT_KEY")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(alone), None) | (None, Some(alone)) => {
            let rule = "set together with the other one of CLIENT_CERTIFICATE and CLIENT_KEY";
            return Err(Error::Variable { name: alone.name, value: alone.value, rule });
        }
    };
    let limit = match named("TIMEOUT") {
        None => DEFAULT_LIMIT,
        Some(Named { name, value }) => match value.parse() {
            Ok(milliseconds) => Duration::from_millis(milliseconds),
            Err(_) => return Err(Error::Variable { name, value, rule: "a number of milliseconds" }),
        },
    };
    Ok(Trust { authorities: named("CERTIFICATE"), own, limit })
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
        rule: "http://HOST[:PORT] or https://HOST[:PORT]",
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

    #[expect(clippy::unnecessary_wraps, reason = "as it stands among the destinations")]
    fn plain(address: &str) -> Option<Destination> {
        Some(Destination { address: address.to_owned(), trust: None })
    }

    #[test]
    fn tls_rests_on_the_files_that_are_named_and_the_signal_goes_before_all() {
        let settings = with_endpoint("https://collector:4318");
        let variables = [
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/all.pem"),
            ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "/etc/logs.pem"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://plain:4318"),
            ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", "/etc/own.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/etc/own.key"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/etc/other.pem"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "2500"),
        ];
        let decided = decide(&settings, &variables).unwrap();
        assert_eq!(decided.traces, plain("http://plain:4318"));
        let value = |named: Option<Named>| named.unwrap_or_default().value;
        let logs = decided.logs.unwrap().trust.unwrap();
        assert_eq!((value(logs.authorities), logs.limit), ("/etc/logs.pem".to_owned(), DEFAULT_LIMIT));
        let metrics = decided.metrics.unwrap().trust.unwrap();
        assert_eq!(value(metrics.authorities), "/etc/all.pem");
        assert_eq!(metrics.own.unwrap().0.value, "/etc/own.pem");
        assert_eq!(metrics.limit, Duration::from_millis(2_500));
        for (name, value) in
            [("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/etc/own.key"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")]
        {
            let refusal = decide(&settings, &[(name, value)]).unwrap_err();
            assert!(refusal.contains(name) && refusal.contains(value), "{refusal}");
        }
    }

    #[test]
    fn the_nearest_word_wins() {
        let settings = with_endpoint("http://settings:4318/");
        assert_eq!(decide(&settings, &[]).unwrap().logs, plain("http://settings:4318/v1/logs"));
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:9/in"),
            ("OTEL_METRICS_EXPORTER", "none"),
        ];
        let expected = Destinations {
            traces: plain("http://traces:9/in"),
            logs: plain("http://general:4318/v1/logs"),
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
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "unix://collector"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip"),
        ] {
            let refusal = decide(&settings, &[(name, value)]).unwrap_err();
            assert!(refusal.contains(name) && refusal.contains(value), "{refusal}");
        }
        let unused = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        assert!(decide(&Settings::default(), &unused).is_ok(), "nothing is exported, so nothing is wrong");
    }
}
