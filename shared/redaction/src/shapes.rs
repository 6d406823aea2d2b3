//! What a secret looks like.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Regex, RegexSet};

/// What stands in the place of a secret.
pub const BLACK: &str = "[secret]";

/// Shapes of secrets, each with what is kept in front of it. The order matters: a wider shape comes before one that would
/// leave a part of it.
const SHAPES: &[(&str, &str)] = &[
    // A private key block, also one whose end is missing; `s`: over line breaks too.
    (r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)", ""),
    // User and password in an address.
    (r"(?P<keep>[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@]+@", "$keep"),
    // Authorization: Bearer ..., Basic ...
    (r"(?i)(?P<keep>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}", "$keep"),
    // JSON web tokens.
    (r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?", ""),
    // Keys of clouds and forges, by their prefixes.
    (r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}", ""),
    (r"\bAIza[A-Za-z0-9_-]{20,}", ""),
    (r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}", ""),
    (r"\b(?:gh[pousr]_|github_pat_|glpat-)[A-Za-z0-9_-]{16,}", ""),
    (r"\bxox[abeprs]-[A-Za-z0-9-]{8,}", ""),
    // NATS seeds.
    (r"\bS[UAOCNX][A-Z2-7]{40,}", ""),
    // name=value and "name": "value", also with a word in front of the name (db_password).
    (
        r#"(?i)(?P<keep>[a-z0-9_.-]*(?:password|passwd|passphrase|pwd|passwordhash|secret|api[_-]?key|access[_-]?key|license[_-]?key|licensekey|credential|private[_-]?key)[a-z0-9_-]*\\?["']?\s*(?:=>|[:=]|\bis\b)\s*)(?:\[secret\]|\\"[^"]*"|"[^"]*"|'[^']*'|[^\s,;"'\\]+)"#,
        "$keep",
    ),
    // A token by its name; "tokens: 512" is a number of them, and "the token is stale" no value.
    (
        r#"(?i)(?P<keep>(?:[a-z0-9_.-]*[_.-])?token\\?["']?\s*(?:=>|[:=])\s*)(?:\[secret\]|\\"[^"]*"|"[^"]*"|'[^']*'|[^\s,;"'\\]+)"#,
        "$keep",
    ),
    (r#"(?i)(?P<keep>\btoken\s+is\s+)[^\s,;"']*[0-9][^\s,;"']*"#, "$keep"),
];

/// Trace ids and digests look like this too.
const LONG_HEX: &str = r"(?i)\b[0-9a-f]{32,}\b";

struct Shape {
    pattern: Regex,
    replacement: String,
}

static SET: LazyLock<RegexSet> =
    LazyLock::new(|| RegexSet::new(SHAPES.iter().map(|(shape, _)| shape)).expect("the shapes are tested"));

static ALL: LazyLock<Vec<Shape>> = LazyLock::new(|| {
    let compiled = |(shape, keep): &(&str, &str)| Shape {
        pattern: Regex::new(shape).expect("the shapes are tested"),
        replacement: format!("{keep}{BLACK}"),
    };
    SHAPES.iter().map(compiled).collect()
});

static HEX: LazyLock<Regex> = LazyLock::new(|| Regex::new(LONG_HEX).expect("the shape is tested"));

pub fn black_out(text: &str) -> Cow<'_, str> {
    // One pass over an ordinary text, which holds none.
    if !SET.is_match(text) {
        return Cow::Borrowed(text);
    }
    let mut told = text.to_owned();
    for shape in ALL.iter() {
        if let Cow::Owned(changed) = shape.pattern.replace_all(&told, shape.replacement.as_str()) {
            told = changed;
        }
    }
    Cow::Owned(told)
}

pub fn black_out_hex(text: &str) -> Cow<'_, str> {
    HEX.replace_all(text, BLACK)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{redact, redact_strictly};

    /// A text with a secret in it, and a part of the secret.
    const SAMPLES: [(&str, &str); 17] = [
        ("-----BEGIN RSA PRIVATE KEY----- MIIEowIBAAKCAQEA -----END RSA PRIVATE KEY----- x", "MIIEow"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvAIBADAN\nBgkqhkiG", "BgkqhkiG"),
        ("connect to nats://app:hunter2pass@db:4222", "hunter2pass"),
        ("Authorization: Bearer abc.def-ghi12345", "ghi12345"),
        ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpw"),
        ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "eyJzdWIi"),
        ("id AKIAIOSFODNN7EXAMPLE", "IOSFODNN"),
        ("maps AIzaSyA1234567890abcdefghijklmnop", "SyA1234567890"),
        ("key sk-proj-AbCdEf0123456789AbCdEf", "AbCdEf0123456789"),
        ("push ghp_0123456789abcdefghijABCDEFGHIJ012345", "0123456789abcdef"),
        ("hook xoxb-123456789012-abcdefghij", "123456789012"),
        ("seed SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY", "UDXKFSN"),
        ("db_password = hunter2, next", "hunter2"),
        ("PasswordHash: \"a b c\" end", "a b c"),
        ("{\"LicenseKey\": \"0123-ABCD-9999\"}", "ABCD"),
        ("the token is Zx81Zx81", "Zx81"),
        ("access_token=Qw9Qw9Qw9&next", "Qw9Qw9"),
    ];

    #[test]
    fn every_kind_of_secret_is_blacked_out() {
        for (text, secret) in SAMPLES {
            let told = redact(text);
            assert!(!told.contains(secret) && told.contains(BLACK), "{told}");
        }
        let (text, secret) = ("key 0123456789abcdef0123456789abcdef", "89abcdef01");
        assert_eq!(redact(text), text, "it may be a trace id");
        assert!(!redact_strictly(text).contains(secret));
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "WRTDMN: write to /db/user/IRIS.DAT failed with error 28",
            "No license available for user 4711; 25 of 25 units in use",
            "CPF parameter globals=0,0,4096,0,0,0 in iris.cpf",
            "Journal file /iris/mgr/journal/20260901.001 is full (2147483648 bytes)",
            "trace_id 4bf92f3577b34da6a3ce929d0e0e4736",
            "a newer token acts here; the token is stale; max_tokens: 512",
        ] {
            assert!(matches!(redact(text), Cow::Borrowed(_)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_secret_anywhere_in_a_text_is_found(
            before in "[a-z0-9 .,/-]{0,40}", after in "[a-z0-9 .,/-]{0,40}", which in 0..SAMPLES.len()
        ) {
            let (sample, secret) = SAMPLES[which];
            let told = redact(&format!("{before} {sample} {after}")).into_owned();
            prop_assert!(!told.contains(secret), "{told}");
            prop_assert_eq!(redact(&told).into_owned(), told);
        }
    }
}
