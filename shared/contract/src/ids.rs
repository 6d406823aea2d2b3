//! Ids and names. Each is its own type with one fallible constructor; inside, nobody checks again.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A text that is not the name or id it was given as, with the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{value}\" is not a {kind}: {rule}")]
pub struct InvalidName {
    pub kind: &'static str,
    pub value: String,
    pub rule: &'static str,
}

/// A string type with a private field, one constructor, and serde through it.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        $(#[$doc])*
        pub struct $name(String);

        impl $name {
            /// What a text must be to become one.
            pub const RULE: &'static str = $rule;

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(raw: &str) -> Result<Self, InvalidName> {
                let check: fn(&str) -> bool = $check;
                if check(raw) {
                    Ok(Self(raw.to_owned()))
                } else {
                    Err(InvalidName { kind: $kind, value: raw.to_owned(), rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(raw: String) -> Result<Self, InvalidName> {
                raw.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn one_name(raw: &str) -> bool {
    (1..=64).contains(&raw.len())
        && !raw.chars().any(|c| c.is_control() || c.is_whitespace())
        && token(raw).len() <= 192
}

/// One subject token: `[A-Za-z0-9_-]` as they are, any other byte as `=XX`. Injective.
fn token(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for byte in raw.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            out.push(char::from(byte));
        } else {
            out.push('=');
            push_hex(&mut out, byte, b"0123456789ABCDEF");
        }
    }
    out
}

fn push_hex(out: &mut String, byte: u8, digits: &[u8; 16]) {
    out.push(char::from(digits[usize::from(byte >> 4)]));
    out.push(char::from(digits[usize::from(byte & 15)]));
}

/// The value of an upper-case hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    let value = char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    value.filter(|_| !byte.is_ascii_lowercase())
}

checked_text! {
    /// Name of an IRIS instance as `iris qlist` prints it. 1 to 64 bytes, no blanks, no control characters.
    #[schemars(extend("minLength" = 1, "maxLength" = 64, "pattern" = r"^[^\s\p{Cc}]+$"))]
    InstanceName, "instance name", "1 to 64 bytes without blanks or control characters", one_name
}

checked_text! {
    /// Name of a machine. 1 to 64 bytes, no blanks, no control characters.
    #[schemars(extend("minLength" = 1, "maxLength" = 64, "pattern" = r"^[^\s\p{Cc}]+$"))]
    HostName, "host name", "1 to 64 bytes without blanks or control characters", one_name
}

checked_text! {
    /// Id of a step, unique within its plan.
    #[schemars(extend("pattern" = "^[a-z0-9-]{1,48}$"))]
    StepId, "step id", "1 to 48 characters of a-z, 0-9 and -",
    |raw| (1..=48).contains(&raw.len())
        && raw.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

checked_text! {
    /// Id of a row of the error catalogue.
    #[schemars(extend("pattern" = "^[a-z0-9-]{1,64}$"))]
    ConditionId, "condition id", "1 to 64 characters of a-z, 0-9 and -",
    |raw| (1..=64).contains(&raw.len())
        && raw.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

checked_text! {
    /// The trace that everything about one incident belongs to: 32 lower-case hex digits, not all zero.
    #[schemars(extend("pattern" = "^(?!0{32})[0-9a-f]{32}$"))]
    TraceId, "trace id", "32 lower-case hex digits, not all zero",
    |raw| raw.len() == 32
        && raw.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        && raw.bytes().any(|b| b != b'0')
}

checked_text! {
    /// SHA-256 as 64 lower-case hex digits.
    #[schemars(extend("pattern" = "^[0-9a-f]{64}$"))]
    Digest, "digest", "64 lower-case hex digits",
    |raw| raw.len() == 64 && raw.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl InstanceName {
    /// Stands where there has to be one and there is none. IRIS allows no brackets in the name of an instance.
    pub fn none() -> Self {
        Self("(none)".to_owned())
    }

    /// From what [`InstanceName::token`] gives. `None` for anything else.
    pub fn from_token(raw: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(raw.len());
        let mut rest = raw.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(if byte == b'=' { digit(rest.next()?)? << 4 | digit(rest.next()?)? } else { byte });
        }
        let name: Self = String::from_utf8(bytes).ok()?.parse().ok()?;
        (name.token() == raw).then_some(name)
    }

    /// As one subject token.
    pub fn token(&self) -> String {
        token(&self.0)
    }
}

impl HostName {
    /// As one subject token.
    pub fn token(&self) -> String {
        token(&self.0)
    }
}

impl StepId {
    /// The step that takes this one back. Long ids are cut so that the suffix fits.
    #[must_use]
    pub fn undo(&self) -> Self {
        let stem: String = self.0.chars().take(43).collect();
        Self(format!("{stem}-undo"))
    }
}

impl TraceId {
    /// From 16 bytes; all zero becomes one, which no tracer ever draws.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let bits = u128::from_be_bytes(bytes).max(1);
        Self(format!("{bits:032x}"))
    }
}

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(64);
        for byte in Sha256::digest(bytes) {
            push_hex(&mut text, byte, b"0123456789abcdef");
        }
        Self(text)
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        $(#[$doc])*
        #[schemars(with = "String", extend("format" = "uuid", "pattern" =
            "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"))]
        pub struct $name(Uuid);

        impl $name {
            /// What a text must be to become one.
            pub const RULE: &'static str = "a UUID in the form 8-4-4-4-12";

            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(raw: &str) -> Result<Self, InvalidName> {
                let refused = || InvalidName { kind: $kind, value: raw.to_owned(), rule: Self::RULE };
                // Uuid takes braces, a URN and 32 bare digits too; one written form is enough here.
                if raw.len() != 36 { return Err(refused()); }
                Uuid::try_parse(raw).map(Self).map_err(|_| refused())
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(raw: String) -> Result<Self, InvalidName> {
                raw.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
    };
}

uuid_id! {
    /// Id that the asker gave a RemediationCommand. Asking twice with the same id and bytes does nothing twice.
    CommandId, "command id"
}
uuid_id! {
    /// Id of one run of a plan: UUIDv5 of the command id.
    RemediationId, "remediation id"
}
uuid_id! {
    /// Id of an IrisMessage. For a tailed file it follows from the place in the file.
    MessageId, "message id"
}

uuid_id! {
    /// Id of an incident: UUIDv5 of the instance, what it is about and the first message.
    IncidentId, "incident id"
}
uuid_id! {
    /// Id of a finding: UUIDv5 of the incident and the finding's number.
    FindingId, "finding id"
}

/// Namespace of incident ids; never change it, or what is read twice would be told twice.
const INCIDENTS: Uuid = Uuid::from_u128(0x2b0e_4f5d_91c7_4a86_b2ad_6f0c_43e8_1d97);

impl IncidentId {
    /// The same entries give the same incident, however often they are read.
    pub fn of(instance: &InstanceName, subject_matter: &str, first: MessageId) -> Self {
        let text = format!("{instance} {subject_matter} {first}");
        Self(Uuid::new_v5(&INCIDENTS, text.as_bytes()))
    }

    /// The finding of that number, counted from 1.
    pub fn finding(self, number: u32) -> FindingId {
        FindingId(Uuid::new_v5(&self.0, format!("finding {number}").as_bytes()))
    }

    /// The command of that try (counted from 1) with a runbook: asking again after a death is asking once.
    pub fn command(self, runbook: &str, attempt: u32) -> CommandId {
        CommandId(Uuid::new_v5(&self.0, format!("command {runbook} {attempt}").as_bytes()))
    }
}

/// Namespace of remediation ids; never change it, or repeated commands would run again.
const REMEDIATIONS: Uuid = Uuid::from_u128(0x6f1d_2c0a_52b7_4c43_9a3e_1b60_77a1_d5c8);

impl From<CommandId> for RemediationId {
    fn from(command: CommandId) -> Self {
        Self(Uuid::new_v5(&REMEDIATIONS, command.0.as_bytes()))
    }
}

/// Idempotency key of a step: the same on every attempt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepKey {
    pub remediation_id: RemediationId,
    pub step_id: StepId,
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.remediation_id, self.step_id)
    }
}

/// One part of the instances; all remediations of an instance live in one shard. Assigned by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Shard(pub u16);

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One try at a step, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    pub const FIRST: Self = Self(1);

    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Fencing token: who may act on an instance. A higher one shuts out a lower one for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// Raised at every takeover of the shard (Unix milliseconds or more).
    pub epoch: u64,
    /// Counts the remediations within the epoch.
    pub counter: u64,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_never_leak_a_dot_or_wildcard_and_differ_when_names_differ() {
        let name: HostName = "db1.example.com".parse().unwrap();
        assert_eq!(name.token(), "db1=2Eexample=2Ecom");
        let names = ["a.b", "a=2Eb", "a*b", "a>b", "ab"];
        let tokens: std::collections::BTreeSet<_> = names.iter().map(|n| token(n)).collect();
        assert_eq!(tokens.len(), names.len());
        assert!(tokens.iter().all(|t| !t.contains(['.', '*', '>', ' '])));
    }

    #[test]
    fn a_uuid_has_one_written_form() {
        assert!("6f1d2c0a52b74c439a3e1b6077a1d5c8".parse::<CommandId>().is_err());
        assert!("6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8".parse::<CommandId>().is_ok());
    }

    #[test]
    fn trace_ids_are_32_lower_case_hex_digits_and_not_zero() {
        assert!("0".repeat(32).parse::<TraceId>().is_err());
        assert!("A".repeat(32).parse::<TraceId>().is_err());
        assert_eq!(TraceId::from_bytes([0; 16]).as_str(), &format!("{:032x}", 1));
    }
}
