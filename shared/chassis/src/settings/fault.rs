//! One thing that is wrong with the settings, told so that it can be put right without asking anybody.

use std::fmt;

use figment::value::{Num, Value};

/// What stands in the place of a secret.
const HIDDEN: &str = "(hidden)";

/// Words in the name of a key whose value nobody may see. Names of files are no secret.
const SECRET_WORDS: [&str; 8] =
    ["password", "passphrase", "secret", "token", "seed", "credential", "api_key", "private_key"];
const FILE_WORDS: [&str; 3] = ["_file", "_path", "_dir"];

/// One fault: where the value came from, the key, the value, and the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `file "/etc/instance/router.toml"`, `environment INSTANCE_NATS__URL`, `flag --nats`, or `settings` for what was
    /// said nowhere.
    pub origin: String,
    /// As in `nats.url`; empty when the whole file is meant.
    pub key: String,
    /// The value as it was read, masked when it is a secret.
    pub value: Option<String>,
    pub rule: String,
}

impl Fault {
    /// A fault of something that was said nowhere.
    pub(crate) fn about(key: &str, rule: String) -> Self {
        Self { origin: "settings".to_owned(), key: key.to_owned(), value: None, rule }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.origin)?;
        match (self.key.as_str(), &self.value) {
            ("", _) => {}
            (key, Some(value)) => write!(formatter, "{key} = {value}: ")?,
            (key, None) => write!(formatter, "{key}: ")?,
        }
        formatter.write_str(&self.rule)
    }
}

/// Everything that is wrong, in the order in which it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// One fault a line.
impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// True when the value under this key may not be printed. `key` is the whole path or its last part.
pub(crate) fn is_secret(key: &str) -> bool {
    let name = key.rsplit('.').next().unwrap_or(key).to_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word)) && !FILE_WORDS.iter().any(|end| name.ends_with(end))
}

/// A value as TOML would write it, fit to be printed.
pub(crate) fn shown(key: &str, value: &Value) -> String {
    if is_secret(key) {
        return HIDDEN.to_owned();
    }
    match value {
        Value::String(_, text) => format!("{:?}", without_password(text)),
        Value::Char(_, letter) => format!("{:?}", letter.to_string()),
        Value::Bool(_, yes) => yes.to_string(),
        Value::Num(_, number) => number_shown(*number),
        Value::Empty(..) => "\"\"".to_owned(),
        Value::Array(_, items) => {
            format!("[{}]", items.iter().map(|item| shown(key, item)).collect::<Vec<_>>().join(", "))
        }
        Value::Dict(_, entries) => {
            let entries = entries.iter().map(|(name, item)| format!("{name} = {}", shown(name, item)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// What a rule says, without the secret that it may quote.
pub(crate) fn rule_shown(key: &str, value: Option<&Value>, rule: String) -> String {
    match value.and_then(Value::as_str) {
        Some(text) if is_secret(key) && !text.is_empty() => rule.replace(text, HIDDEN),
        Some(text) if text.contains("://") => rule.replace(text, &without_password(text)),
        _ => rule,
    }
}

fn number_shown(number: Num) -> String {
    number
        .to_i128()
        .map(|whole| whole.to_string())
        .or_else(|| number.to_u128().map(|whole| whole.to_string()))
        .or_else(|| number.to_f64().map(|fraction| format!("{fraction:?}")))
        .unwrap_or_default()
}

/// `nats://user:secret@host` as `nats://(hidden)@host`, in each of several addresses with commas between.
fn without_password(text: &str) -> String {
    let one = |address: &str| match address.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}://{HIDDEN}@{host}"),
            None => address.to_owned(),
        },
        None => address.to_owned(),
    };
    text.split(',').map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_and_names_of_files_are() {
        let value = Value::from("hunter2");
        for (key, expected) in [
            ("sink.password", "(hidden)"),
            ("api_token", "(hidden)"),
            ("nats.password_file", "\"hunter2\""),
            ("nats.creds", "\"hunter2\""),
        ] {
            assert_eq!(shown(key, &value), expected, "{key}");
        }
        let address = Value::from("nats://u:p@a:1,nats://b:2");
        assert_eq!(shown("nats.url", &address), "\"nats://(hidden)@a:1,nats://b:2\"");
        let rule = rule_shown("sink.password", Some(&value), "\"hunter2\" is too short".to_owned());
        assert_eq!(rule, "\"(hidden)\" is too short");
    }
}
