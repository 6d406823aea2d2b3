//! Blacking out what looks like a secret.

use std::sync::LazyLock;

use regex::Regex;

const BLACK: &str = "[secret]";

/// Shapes of secrets, each with what is kept in front of it. The order matters: a wider shape comes before one that would
/// leave a part of it.
const SHAPES: &[(&str, &str)] = &[
    // A private key block, also one whose end is missing or that stands in one line.
    (r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)", ""),
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
        r#"(?i)(?P<keep>[a-z0-9_.-]*(?:password|passwd|passphrase|pwd|passwordhash|secret|token|api[_-]?key|access[_-]?key|license[_-]?key|licensekey|credential|private[_-]?key)[a-z0-9_-]*["']?\s*(?:=>|[:=]|\bis\b)\s*)(?:"[^"]*"|'[^']*'|[^\s,;"']+)"#,
        "$keep",
    ),
    // The license key of IRIS in an iris.key: long groups of hex.
    (r"(?i)\b[0-9a-f]{32,}\b", ""),
];

static PATTERNS: LazyLock<Vec<(Regex, String)>> = LazyLock::new(|| {
    let compiled = |(shape, keep): &(&str, &str)| {
        (Regex::new(shape).expect("the shapes are tested"), format!("{keep}{BLACK}"))
    };
    SHAPES.iter().map(compiled).collect()
});

/// The text with `[secret]` in the place of everything that looks like one. Takes time linear in the text.
pub fn redact(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, replacement) in PATTERNS.iter() {
        if let std::borrow::Cow::Owned(changed) = pattern.replace_all(&text, replacement.as_str()) {
            text = changed;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_kinds_of_secrets_are_blacked_out() {
        for (text, secret) in [
            ("-----BEGIN RSA PRIVATE KEY----- MIIEowIBAAKCAQEA -----END RSA PRIVATE KEY----- x", "MIIEow"),
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
            ("LicenseKey=0123-ABCD-9999", "ABCD"),
            ("key 0123456789abcdef0123456789abcdef", "89abcdef01"),
            ("the token is Zx81Zx81", "Zx81"),
        ] {
            let told = redact(text);
            assert!(!told.contains(secret) && told.contains(BLACK), "{told}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "WRTDMN: write to /db/user/IRIS.DAT failed with error 28",
            "No license available for user 4711; 25 of 25 units in use",
            "CPF parameter globals=0,0,4096,0,0,0 in iris.cpf",
            "Journal file /iris/mgr/journal/20260901.001 is full (2147483648 bytes)",
        ] {
            assert_eq!(redact(text), text);
        }
    }
}
