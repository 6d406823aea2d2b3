//! Who asks: a bearer token, or a signature over time, method, path and body. Compared in constant time.

use std::{fs, path::Path};

use axum::http::{HeaderMap, Method, Uri, header};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::{
    config::{CallerSettings, Limits, Right},
    error::Error,
    limit::Limit,
};

/// `sha256=<hex>` of the HMAC over four parts with a line feed between them: `Instance-Timestamp`, method, path with
/// query as sent, body. The first three cannot hold a line feed, so none can end elsewhere.
pub(crate) const SIGNATURE: &str = "instance-signature";
/// Unix seconds at which it was signed.
pub(crate) const SIGNED_AT: &str = "instance-timestamp";

/// A signature is good for as long, before and after.
const SIGNED_WITHIN_SECONDS: u64 = 300;
const SHORTEST_SECRET: usize = 16;

/// Everybody who may ask for something.
pub(crate) struct Callers(Vec<Caller>);

pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) limit: Limit,
    may: Vec<Right>,
    /// SHA-256 of its tokens: of one length, whatever theirs is.
    tokens: Vec<[u8; 32]>,
    keys: Vec<Vec<u8>>,
}

impl Caller {
    pub(crate) fn may(&self, right: Right) -> bool {
        self.may.contains(&right)
    }
}

impl Callers {
    /// Reads the secrets.
    pub(crate) fn read(settings: &[CallerSettings], limits: Limits) -> Result<Self, Error> {
        let mut callers: Vec<Caller> = Vec::new();
        for caller in settings {
            if callers.iter().any(|other| other.name == caller.name) {
                return Err(Error::SameCaller(caller.name.clone()));
            }
            let secrets = |file: Option<&Path>| match file {
                Some(file) => secrets(&caller.name, file),
                None => Ok(Vec::new()),
            };
            let tokens = secrets(caller.token_file.as_deref())?;
            callers.push(Caller {
                name: caller.name.clone(),
                limit: Limit::new(limits.requests_per_second, limits.burst),
                may: caller.may.clone(),
                tokens: tokens.iter().map(|token| Sha256::digest(token).into()).collect(),
                keys: secrets(caller.key_file.as_deref())?,
            });
        }
        Ok(Self(callers))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token it is. No token is compared as an empty one: a missing and a wrong one take the same way.
    pub(crate) fn by_token(&self, headers: &HeaderMap) -> Option<&Caller> {
        let presented: [u8; 32] = Sha256::digest(bearer(headers)).into();
        let equal = |caller: &Caller| caller.tokens.iter().map(|token| token.ct_eq(&presented)).collect();
        self.chosen(equal)
    }

    /// Whose signature it is.
    pub(crate) fn by_signature(
        &self,
        headers: &HeaderMap,
        asked: &Asked<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Option<&Caller> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let signed_at = text(SIGNED_AT);
        let presented = hex(text(SIGNATURE).strip_prefix("sha256=").unwrap_or_default());
        let fresh = is_fresh(signed_at, now);
        let equal = |caller: &Caller| {
            let ours = caller.keys.iter().map(|key| signature(key, signed_at, asked, body));
            ours.map(|ours| ours.ct_eq(&presented) & Choice::from(u8::from(fresh))).collect()
        };
        self.chosen(equal)
    }

    /// Compares with every secret of every caller, whatever came out before.
    fn chosen(&self, equal: impl Fn(&Caller) -> Vec<Choice>) -> Option<&Caller> {
        let nobody = u64::MAX;
        let mut found = nobody;
        for (index, caller) in (0..).zip(&self.0) {
            for is_equal in equal(caller) {
                found.conditional_assign(&index, is_equal);
            }
        }
        usize::try_from(found).ok().and_then(|index| self.0.get(index))
    }
}

/// Could there be a body that this is the signature of? A look at the head alone, before a body is read.
pub(crate) fn may_be_signed(headers: &HeaderMap, now: Timestamp) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let digits = text(SIGNATURE).strip_prefix("sha256=").unwrap_or_default();
    is_fresh(text(SIGNED_AT), now)
        && digits.len() == 64
        && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn is_fresh(signed_at: &str, now: Timestamp) -> bool {
    signed_at.parse::<i64>().is_ok_and(|seconds| now.as_second().abs_diff(seconds) <= SIGNED_WITHIN_SECONDS)
}

/// What a request asks for, beside its body.
pub(crate) struct Asked<'a> {
    method: &'a str,
    /// With the query, as it was sent.
    path: &'a str,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(method: &'a Method, uri: &'a Uri) -> Self {
        Self { method: method.as_str(), path: uri.path_and_query().map_or("", |path| path.as_str()) }
    }
}

/// The HMAC that a caller sends.
fn signature(key: &[u8], signed_at: &str, asked: &Asked<'_>, body: &[u8]) -> [u8; 32] {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in [signed_at, asked.method, asked.path] {
        hmac.update(part.as_bytes());
        hmac.update(b"\n");
    }
    hmac.update(body);
    hmac.finalize().into_bytes().into()
}

fn bearer(headers: &HeaderMap) -> &[u8] {
    let value = headers.get(header::AUTHORIZATION).map(axum::http::HeaderValue::as_bytes).unwrap_or_default();
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token,
        _ => b"",
    }
}

/// 32 bytes from 64 hex digits; anything else is no signature of anybody.
fn hex(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    if text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digit = |at: usize| char::from(digits[at]).to_digit(16).unwrap_or_default();
            *byte = u8::try_from(digit(0) * 16 + digit(1)).unwrap_or_default();
        }
    }
    bytes
}

/// One secret a line.
fn secrets(caller: &str, file: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let text = fs::read_to_string(file).map_err(|source| Error::ReadSecret {
        caller: caller.to_owned(),
        path: file.to_owned(),
        source,
    })?;
    let lines: Vec<Vec<u8>> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| line.as_bytes().to_vec())
        .collect();
    let refused = |rule| Error::Secret { caller: caller.to_owned(), path: file.to_owned(), rule };
    match lines.iter().map(Vec::len).min() {
        None => Err(refused("is empty")),
        Some(shortest) if shortest < SHORTEST_SECRET => Err(refused("is shorter than 16 characters")),
        Some(_) => {
            for line in &lines {
                // Also what no shape of secrets is like must not come out in a log or an answer.
                instance_redaction::learn(&String::from_utf8_lossy(line));
            }
            Ok(lines)
        }
    }
}

#[cfg(test)]
mod tests;
