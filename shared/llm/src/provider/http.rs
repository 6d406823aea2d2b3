//! The HTTP client under async-openai.
//!
//! Our own one, for four reasons: answers are bounded, `Retry-After` is seen, nothing is tried again behind our back,
//! and what an endpoint writes into an error reaches no log.

use std::{fmt, time::Duration};

use async_openai::{Client, config::Config, error::OpenAIError, middleware::HttpRequestFactory};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use reqwest::{
    Body, Response,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::IgnoredAny;

use super::CallError;
use crate::settings;

/// No answer that we ask for is near this.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;
const LONGEST_ERROR: usize = 64 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type HttpClient = legacy::Client<HttpsConnector<HttpConnector>, Body>;

pub(super) fn client(settings: &settings::Provider, key: Option<SecretString>) -> Client<Endpoint> {
    let http: HttpClient = legacy::Client::builder(TokioExecutor::new()).build(connector());
    let provider = settings.name.clone();
    let service = tower::service_fn(move |factory: HttpRequestFactory| {
        let (http, provider) = (http.clone(), provider.clone());
        async move {
            let sent = send(&http, &factory, &provider).await;
            sent.map_err(|error| OpenAIError::Boxed(Box::new(error)))
        }
    });
    let endpoint = Endpoint {
        base_url: settings.base_url.trim_end_matches('/').to_owned(),
        authorization: key.as_ref().map(authorization),
        key: key.unwrap_or_default(),
    };
    Client::build(reqwest::Client::default(), endpoint).with_http_service(service)
}

/// Trusts what the machine trusts. On one that trusts nobody, plain HTTP still works.
fn connector() -> HttpsConnector<HttpConnector> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring offers what the default versions need")
        .with_root_certificates(roots)
        .with_no_client_auth();
    HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build()
}

async fn send(
    http: &HttpClient,
    factory: &HttpRequestFactory,
    provider: &str,
) -> Result<Response, CallError> {
    let unreachable = |source: BoxError| CallError::Unreachable { provider: provider.to_owned(), source };
    let request = factory.build().await.map_err(|error| unreachable(Box::new(error)))?;
    let request = http::Request::<Body>::try_from(request).map_err(|error| unreachable(Box::new(error)))?;
    let answer = http.request(request).await.map_err(|error| unreachable(Box::new(error)))?;
    let (head, body) = answer.into_parts();
    if !head.status.is_success() {
        let told = Limited::new(body, LONGEST_ERROR).collect().await;
        return Err(CallError::Status {
            provider: provider.to_owned(),
            status: head.status.as_u16(),
            code: told.ok().and_then(|told| error_code(&told.to_bytes())),
            retry_after: retry_after(&head.headers),
        });
    }
    let body = Limited::new(body, LONGEST_ANSWER);
    if is_stream(&head.headers) {
        let events = readable_events(body.into_data_stream());
        return Ok(http::Response::from_parts(head, Body::wrap_stream(events)).into());
    }
    let whole = body.collect().await.map_err(|error| {
        let provider = provider.to_owned();
        if error.is::<LengthLimitError>() {
            CallError::TooLong { provider, limit: LONGEST_ANSWER }
        } else {
            CallError::CutOff { provider }
        }
    })?;
    let whole = whole.to_bytes();
    // async-openai would write what it cannot read into the log.
    if serde_json::from_slice::<IgnoredAny>(&whole).is_err() {
        return Err(CallError::NotACompletion { provider: provider.to_owned() });
    }
    Ok(http::Response::from_parts(head, Body::from(whole)).into())
}

/// Lets whole lines through, and ends at the first event that is no JSON: async-openai would write it into the log.
fn readable_events<S>(pieces: S) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static
where
    S: Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
{
    let mut pending = Vec::new();
    pieces.map(move |piece| {
        pending.extend_from_slice(&piece?);
        let whole = pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = pending.drain(..whole).collect();
        if lines.split(|byte| *byte == b'\n').all(is_readable) {
            Ok(Bytes::from(lines))
        } else {
            Err("an event of the stream is no JSON".into())
        }
    })
}

fn is_readable(line: &[u8]) -> bool {
    let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else { return true };
    data == b"[DONE]" || serde_json::from_slice::<IgnoredAny>(data).is_ok()
}

fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

/// Seconds, or a date (RFC 9110, 10.2.3). A date is compared to the endpoint's own one, so that no clock of ours counts.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp());
    let until = date(text)?;
    let now = date(headers.get(reqwest::header::DATE)?.to_str().ok()?)?;
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

/// The endpoint's own word for what is wrong, when it is a word.
fn error_code(body: &Bytes) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error")?;
    let word = |key: &str| error.get(key)?.as_str().filter(|code| is_word(code)).map(str::to_owned);
    word("code").or_else(|| word("type"))
}

fn is_word(code: &str) -> bool {
    (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Where to call, and as whom. Unlike the library's own one it looks at no variable of the environment.
pub(super) struct Endpoint {
    base_url: String,
    authorization: Option<HeaderValue>,
    key: SecretString,
}

fn authorization(key: &SecretString) -> HeaderValue {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
        .expect("a key is visible characters, which was checked when it was read");
    value.set_sensitive(true);
    value
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl Config for Endpoint {
    fn headers(&self) -> HeaderMap {
        self.authorization.iter().map(|value| (AUTHORIZATION, value.clone())).collect()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base_url
    }

    fn api_key(&self) -> &SecretString {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn when_to_come_back_is_seconds_or_a_date() {
        let seconds =
            |pairs: &[(&'static str, &str)]| retry_after(&headers(pairs)).map(|pause| pause.as_secs());
        assert_eq!(seconds(&[("retry-after", "7")]), Some(7));
        let date = ("date", "Tue, 01 Sep 2026 10:00:00 GMT");
        assert_eq!(seconds(&[("retry-after", "Tue, 01 Sep 2026 10:00:20 GMT"), date]), Some(20));
        assert_eq!(seconds(&[("retry-after", "Tue, 01 Sep 2026 09:00:00 GMT"), date]), Some(0));
        for bad in ["-1", "soon", "1.5", ""] {
            assert_eq!(seconds(&[("retry-after", bad), date]), None, "{bad}");
        }
        assert_eq!(seconds(&[]), None);
    }

    #[test]
    fn of_an_error_only_a_word_is_kept() {
        let code = |body: &str| error_code(&Bytes::copy_from_slice(body.as_bytes()));
        assert_eq!(code(r#"{"error":{"code":"rate_limit","type":"x"}}"#).as_deref(), Some("rate_limit"));
        assert_eq!(code(r#"{"error":{"code":null,"type":"server_error"}}"#).as_deref(), Some("server_error"));
        for other in [r#"{"error":{"code":"sk-SECRET says no"}}"#, r#"{"error":"x"}"#, "<html>", "[]"] {
            assert_eq!(code(other), None);
        }
    }
}
