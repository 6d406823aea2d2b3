//! What comes out on stderr, and what goes over the wire to a receiver of our own.

use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use opentelemetry_sdk::propagation::TraceContextPropagator;
use serde_json::Value;
use tracing::dispatcher::with_default;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::*;

mod secured; // Over TLS.

const DEADLINE: Duration = Duration::from_secs(20);

fn service() -> Service<'static> {
    Service { role: "config-agent", version: "0.0.0", host: "db-1", process_id: Uuid::nil(), profile: None }
}

fn settings(json: &str) -> Settings {
    serde_json::from_str(json).unwrap()
}

/// A stderr that can be read back.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(settings: &Settings, work: impl FnOnce()) -> Captured {
    let stderr = Captured::default();
    let writer = stderr.clone();
    let (dispatch, telemetry) = build(&service(), settings, &|_| None, move || writer.clone()).unwrap();
    telemetry.meter().u64_counter("instance.steps").build().add(1, &[]);
    with_default(&dispatch, work);
    telemetry.shutdown(DEADLINE).unwrap();
    stderr
}

#[derive(Debug, thiserror::Error)]
#[error("could not write")]
struct Broken(#[source] io::Error);

#[test]
fn a_line_inside_a_span_carries_its_ids_and_one_outside_none() {
    let stderr = logged(&Settings::default(), || {
        tracing::info!(count = 3, ratio = f64::NAN, "outside");
        let span = tracing::info_span!("step");
        let _inside = span.enter();
        let error = Broken(io::Error::other("disk full"));
        tracing::warn!(error = &error as &(dyn std::error::Error + 'static), "inside {}", 1);
    });
    let [outside, inside] = stderr.lines().try_into().unwrap();
    assert_eq!(outside["message"], "outside");
    assert_eq!(outside["level"], "INFO");
    assert_eq!(outside["service"], "instance-config-agent");
    assert_eq!(outside["fields"], serde_json::json!({"count": 3, "ratio": "NaN"}));
    assert!(outside.get("trace_id").is_none() && outside.get("span_id").is_none());
    let time = outside["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time} is RFC 3339 in UTC");

    assert_eq!(inside["message"], "inside 1");
    assert_eq!(inside["fields"]["error"], "could not write: disk full");
    assert_eq!(inside["target"], "instance_telemetry::start::tests");
    for (name, digits) in [("trace_id", 32), ("span_id", 16)] {
        let id = inside[name].as_str().unwrap();
        assert_eq!(id.len(), digits);
        assert!(
            id.bytes().all(|byte| byte.is_ascii_hexdigit()) && id.bytes().any(|byte| byte != b'0'),
            "{id}"
        );
    }
}

#[test]
fn a_trace_that_came_from_elsewhere_goes_on() {
    let stderr = logged(&Settings::default(), || {
        let carrier = std::collections::HashMap::from([(
            "traceparent".to_owned(),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        )]);
        let parent =
            opentelemetry::propagation::TextMapPropagator::extract(&TraceContextPropagator::new(), &carrier);
        let span = tracing::info_span!("process");
        span.set_parent(parent).unwrap();
        span.in_scope(|| {
            tracing::info_span!("step").in_scope(|| tracing::info!("here"));
        });
    });
    assert_eq!(stderr.lines()[0]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
}

#[test]
fn a_quiet_log_still_has_trace_ids() {
    let stderr = logged(&settings(r#"{"log_filter": "error"}"#), || {
        tracing::info_span!("step").in_scope(|| {
            tracing::info!("not wanted");
            tracing::error!("wanted");
        });
    });
    let [only] = stderr.lines().try_into().unwrap();
    assert_eq!(only["message"], "wanted");
    assert_eq!(only["trace_id"].as_str().unwrap().len(), 32);
}

#[test]
fn the_sdk_speaks_only_of_trouble_unless_it_is_asked() {
    let speak = || {
        tracing::info!(target: "opentelemetry_sdk", "a greeting");
        tracing::warn!(target: "opentelemetry_sdk", "trouble");
    };
    let messages = |filter: &str| {
        let lines = logged(&settings(&format!(r#"{{"log_filter": "{filter}"}}"#)), speak).lines();
        lines.iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(messages("info"), ["trouble"]);
    assert!(messages("info,opentelemetry_sdk=info").contains(&"a greeting".to_owned()));
    assert!(messages("error").is_empty());
}

#[test]
fn text_is_for_people() {
    let stderr = logged(&settings(r#"{"log_format": "text"}"#), || tracing::info!(count = 3, "hello"));
    let text = stderr.text();
    assert!(text.contains("INFO") && text.contains("hello") && text.contains("count=3"), "{text}");
    assert!(!text.starts_with('{'));
}

#[test]
fn a_receiver_gets_all_three_signals_and_no_echo_of_the_exporter() {
    let receiver = Receiver::start();
    let endpoint = format!(r#"{{"otlp_endpoint": "http://{}"}}"#, receiver.address);
    let stderr = logged(&settings(&endpoint), || {
        tracing::info_span!("step").in_scope(|| tracing::info!("inside"));
        tracing::info!(target: "hyper::client", "what an exporter would say");
        tracing::info_span!(target: "reqwest::connect", "connect").in_scope(|| {});
    });
    let requests = receiver.requests();
    for path in ["/v1/traces", "/v1/logs", "/v1/metrics"] {
        let body = requests.iter().find(|(at, _)| at == path).map(|(_, body)| body);
        assert!(body.is_some_and(|body| !body.is_empty()), "{path} was asked: {requests:?}");
    }
    let holds = |wanted: &str| {
        requests.iter().any(|(_, body)| body.windows(wanted.len()).any(|at| at == wanted.as_bytes()))
    };
    assert!(holds("step") && holds("inside") && holds("instance.steps") && holds("instance-config-agent"));
    assert!(!holds("what an exporter would say") && !holds("connect"));
    assert_eq!(stderr.lines().len(), 2, "on stderr the exporter may speak: it loops nowhere");
}

#[test]
fn nothing_is_sent_when_every_signal_is_switched_off() {
    let receiver = Receiver::start();
    let endpoint = format!("http://{}", receiver.address);
    let lookup = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        "OTEL_SDK_DISABLED" => Some("true".to_owned()),
        _ => None,
    };
    let (dispatch, telemetry) = build(&service(), &Settings::default(), &lookup, io::sink).unwrap();
    telemetry.meter().u64_counter("instance.steps").build().add(1, &[]);
    with_default(&dispatch, || tracing::info_span!("step").in_scope(|| tracing::info!("inside")));
    telemetry.shutdown(DEADLINE).unwrap();
    assert_eq!(receiver.requests(), [], "shutdown has flushed, so anything to send would be here");
}

#[test]
fn a_dead_receiver_does_not_hold_the_end_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!(r#"{{"otlp_endpoint": "http://{}"}}"#, silent.local_addr().unwrap());
    let (dispatch, telemetry) = build(&service(), &settings(&endpoint), &|_| None, io::sink).unwrap();
    with_default(&dispatch, || tracing::info_span!("step").in_scope(|| {}));
    let begun = Instant::now();
    let told = telemetry.shutdown(Duration::from_millis(300)).unwrap_err().to_string();
    assert!(begun.elapsed() < Duration::from_secs(5), "{told} after {:?}", begun.elapsed());
}

/// Path and body of each request.
type Requests = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// An HTTP server that answers 200 to everything and remembers what it was asked.
struct Receiver {
    address: SocketAddr,
    requests: Requests,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Requests::default();
        let kept = requests.clone();
        // Ends with the test process; each connection has a thread, since the exporters speak side by side.
        thread::spawn(move || {
            for connection in listener.incoming() {
                let kept = kept.clone();
                thread::spawn(move || serve(connection.unwrap(), &kept));
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<(String, Vec<u8>)> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(connection: impl io::Read + Write, kept: &Requests) {
    let mut reader = BufReader::new(connection);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        kept.lock().unwrap().push((path, body));
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}
