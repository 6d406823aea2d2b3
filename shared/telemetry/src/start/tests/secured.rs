//! OTLP over TLS, to a receiver with a certificate made for the test.

use std::path::PathBuf;
use std::{fs, task};

use bytes::Bytes;
use opentelemetry_http::HttpClient as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, crypto::ring};

use super::*;
use crate::destinations::{Named, Trust};

/// An authority, and what it has signed, in a folder that ends with the test.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Its own certificate.
    fn certificate(&self) -> PathBuf {
        self.file("authority.pem", &self.issuer.pem())
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// A receiver that shows a certificate of the authority, and wants one of it where `wants_ours` says so.
fn receiver(authority: &Authority, wants_ours: bool) -> Receiver {
    let (certificate, key) = authority.sign("127.0.0.1");
    let builder = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), ring::default_provider().into());
    let builder = if wants_ours {
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, requests) = (listener.local_addr().unwrap(), Requests::default());
    let kept = requests.clone();
    // Ends with the test process; each connection has a thread, since the exporters speak side by side.
    thread::spawn(move || {
        for connection in listener.incoming() {
            let (kept, config) = (kept.clone(), config.clone());
            thread::spawn(move || {
                let session = ServerConnection::new(config).unwrap();
                serve(StreamOwned::new(session, connection.unwrap()), &kept);
            });
        }
    });
    Receiver { address, requests }
}

/// All three signals are sent to the receiver.
fn sent(receiver: &Receiver, variables: &[(&str, PathBuf)]) -> Result<(), Error> {
    let settings = settings(&format!(r#"{{"otlp_endpoint": "https://{}"}}"#, receiver.address));
    let lookup = |name: &str| {
        let known = variables.iter().find(|(known, _)| *known == name);
        known.map(|(_, value)| value.display().to_string())
    };
    let (dispatch, telemetry) = build(&service(), &settings, &lookup, io::sink).unwrap();
    telemetry.meter().u64_counter("instance.steps").build().add(1, &[]);
    with_default(&dispatch, || tracing::info_span!("step").in_scope(|| tracing::info!("inside")));
    telemetry.shutdown(DEADLINE)
}

const TRUSTED: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";

#[test]
fn a_receiver_with_a_trusted_certificate_gets_all_three_signals() {
    let authority = Authority::new();
    let receiver = receiver(&authority, false);
    sent(&receiver, &[(TRUSTED, authority.certificate())]).unwrap();
    let requests = receiver.requests();
    for path in ["/v1/traces", "/v1/logs", "/v1/metrics"] {
        assert!(requests.iter().any(|(at, body)| at == path && !body.is_empty()), "{path}: {requests:?}");
    }
}

#[test]
fn a_receiver_that_wants_our_certificate_gets_it() {
    let authority = Authority::new();
    let receiver = receiver(&authority, true);
    let (own, key) = authority.sign("instance");
    let variables = [
        (TRUSTED, authority.certificate()),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", authority.file("own.pem", &own.pem())),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", authority.file("own.key", &key.serialize_pem())),
    ];
    sent(&receiver, &variables).unwrap();
    assert!(receiver.requests().iter().any(|(path, _)| path == "/v1/traces"));
    assert!(sent(&receiver, &variables[..1]).is_err(), "without it the receiver takes nothing");
}

#[test]
fn a_receiver_of_another_authority_gets_nothing_and_one_warning_says_why() {
    let (authority, other) = (Authority::new(), Authority::new());
    let receiver = receiver(&authority, false);
    assert!(sent(&receiver, &[(TRUSTED, other.certificate())]).is_err());
    assert_eq!(receiver.requests(), []);

    let authorities = Named { name: TRUSTED.to_owned(), value: other.certificate().display().to_string() };
    let trust = Trust { authorities: Some(authorities), own: None, limit: DEADLINE };
    let client = tls::Client::new(Signal::Traces, &trust).unwrap();
    let stderr = Captured::default();
    let writer = stderr.clone();
    let (dispatch, telemetry) =
        build(&service(), &Settings::default(), &|_| None, move || writer.clone()).unwrap();
    with_default(&dispatch, || {
        for _ in 0..3 {
            let request = http::Request::post(format!("https://{}/v1/traces", receiver.address));
            let mut answer = client.send_bytes(request.body(Bytes::from_static(b"spans")).unwrap());
            let answer = answer.as_mut().poll(&mut task::Context::from_waker(task::Waker::noop()));
            assert!(matches!(answer, task::Poll::Ready(Err(_))), "it blocks until it is answered");
        }
    });
    telemetry.shutdown(DEADLINE).unwrap();
    let [warning] = stderr.lines().try_into().unwrap();
    assert_eq!(warning["level"], "WARN");
    assert!(warning.to_string().contains("invalid peer certificate"), "{warning}");
    assert_eq!(receiver.requests(), []);
}

#[test]
fn a_file_that_holds_no_certificate_is_named_at_the_start() {
    let authority = Authority::new();
    let missing = authority.folder.path().join("missing.pem");
    for (file, rule) in
        [(missing, "may read"), (authority.file("empty.pem", "no certificate"), "certificates in PEM")]
    {
        let settings = settings(r#"{"otlp_endpoint": "https://collector:4318"}"#);
        let value = file.display().to_string();
        let lookup = |name: &str| (name == TRUSTED).then(|| value.clone());
        let refusal = check(&settings, &lookup).unwrap_err().to_string();
        assert!([TRUSTED, &value, rule].iter().all(|word| refusal.contains(word)), "{refusal}");
    }
}
