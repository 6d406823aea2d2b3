//! Which models are asked, in which order, and within which limits.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::{breaker, budget, cache, retry::Retry};

/// Everything about language models. Without providers no model is asked, and the rules answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Asked in this order: a later one when the ones before it fail. Default: none.
    pub providers: Vec<Provider>,
    /// Where spending and cached answers are kept, over restarts. Processes of one host may share it.
    /// Default: `/var/lib/instance/model`.
    pub folder: PathBuf,
    /// Temperature for inventing, 0 to 2. Default: 0.7. Judging is always done at 0.
    pub inventing_temperature: f64,
    /// Sent with every question, for servers that can repeat themselves. Default: 1.
    pub seed: u32,
    /// How often one provider is tried for one question, 1 to 10. Default: 3.
    pub tries: u32,
    /// Pause before the second try, in milliseconds; doubles from try to try. Default: 2000.
    pub retry_base_ms: u64,
    /// The longest pause, in milliseconds. Default: 60000.
    pub retry_top_ms: u64,
    pub breaker: breaker::Settings,
    pub cache: cache::Settings,
    pub budget: budget::Settings,
    /// Keep every answer in this folder. Default: none.
    pub record: Option<PathBuf>,
    /// Answer from this folder alone and ask nobody. Default: none.
    pub replay: Option<PathBuf>,
    /// Show entries of a log to a model, quoted and without what looks like a secret, where it chooses among actions. Otherwise
    /// it is told texts of the catalogue, codes and settings. Default: false.
    pub show_entries: bool,
    /// Put questions and answers into traces. They can hold what nobody else should read. Default: false.
    pub trace_contents: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            providers: Vec::new(),
            folder: PathBuf::from("/var/lib/instance/model"),
            inventing_temperature: 0.7,
            seed: 1,
            tries: 3,
            retry_base_ms: 2_000,
            retry_top_ms: 60_000,
            breaker: breaker::Settings::default(),
            cache: cache::Settings::default(),
            budget: budget::Settings::default(),
            record: None,
            replay: None,
            show_entries: false,
            trace_contents: false,
        }
    }
}

/// One OpenAI-compatible endpoint and the model to ask there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Ours for it, `[a-z0-9-]{1,32}`: in reports, and for `instance breaker reset`.
    pub name: String,
    /// Like `https://host/v1`, without the path of a call.
    pub base_url: String,
    /// As the endpoint calls it.
    pub model: String,
    /// File that holds the key; refused when others than its owner and group have any right to it. Default: none.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Name of the key in the folder of credentials that the service manager hands us (`$CREDENTIALS_DIRECTORY`).
    /// Default: none.
    #[serde(default)]
    pub credential: Option<String>,
    /// How long one call may take, in milliseconds, at most 120000. Default: 120000.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// At most so many calls a minute; the others wait. Default: 60.
    #[serde(default = "default_calls_per_minute")]
    pub calls_per_minute: u32,
    /// The longest answer, in tokens. Default: 1000.
    #[serde(default = "default_answer_tokens")]
    pub answer_tokens: u32,
    /// How the endpoint is told what form an answer has. Default: `schema`.
    #[serde(default)]
    pub structure: Structure,
    /// Take answers piece by piece. Default: false.
    #[serde(default)]
    pub stream: bool,
    /// US dollars for a million tokens of questions. Default: 0, a model of one's own.
    #[serde(default)]
    pub input_usd_per_million: f64,
    /// US dollars for a million tokens of answers. Default: 0.
    #[serde(default)]
    pub output_usd_per_million: f64,
    /// As OpenTelemetry calls the kind of endpoint: `openai`, `azure.ai.openai`, `ollama` ... Default: `openai`.
    #[serde(default = "default_system")]
    pub system: String,
}

/// How an endpoint is told what form an answer has. The answer is checked the same way in all three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Structure {
    /// By a JSON Schema.
    #[default]
    Schema,
    /// "A JSON object"; the schema stands in the question.
    Object,
    /// Not at all; the schema stands in the question.
    Prompt,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("model setting {key} {rule}")]
pub struct Fault {
    pub key: String,
    pub rule: &'static str,
}

impl Settings {
    /// Every fault, so that an operator sees all of them at once.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, key: &str, rule| {
            if !holds {
                faults.push(Fault { key: key.to_owned(), rule });
            }
        };
        must((0.0..=2.0).contains(&self.inventing_temperature), "inventing_temperature", "must be 0 to 2");
        must((1..=10).contains(&self.tries), "tries", "must be 1 to 10");
        must(
            self.retry_base_ms <= self.retry_top_ms && self.retry_top_ms <= 3_600_000,
            "retry_base_ms",
            "must be at most retry_top_ms, and that at most an hour",
        );
        must(self.record.is_none() || self.replay.is_none(), "record", "and replay exclude each other");
        must((1..=100).contains(&self.breaker.failures), "breaker.failures", "must be 1 to 100");
        must((1..=100).contains(&self.breaker.trials), "breaker.trials", "must be 1 to 100");
        must((60..=86_400).contains(&self.cache.seconds), "cache.seconds", "must be 60 to 86400");
        must((1..=60_000).contains(&self.cache.patience_ms), "cache.patience_ms", "must be 1 to 60000");
        must((1..=1_000_000).contains(&self.cache.entries), "cache.entries", "must be 1 to 1000000");
        must((1..=100_000).contains(&self.cache.megabytes), "cache.megabytes", "must be 1 to 100000");
        must((1..=100).contains(&self.budget.warn_percent), "budget.warn_percent", "must be 1 to 100");
        must(
            self.budget.remediation_usd.is_finite() && self.budget.remediation_usd >= 0.0,
            "budget.remediation_usd",
            "must not be negative",
        );
        for (at, provider) in self.providers.iter().enumerate() {
            let twice = self.providers[..at].iter().any(|earlier| earlier.name == provider.name);
            faults.extend(provider.faults(twice));
        }
        faults
    }

    pub(crate) fn retry(&self) -> Retry {
        Retry {
            tries: self.tries,
            base: Duration::from_millis(self.retry_base_ms),
            top: Duration::from_millis(self.retry_top_ms),
        }
    }
}

impl Provider {
    /// The settings of a provider with nothing but what every provider needs.
    pub fn new(name: &str, base_url: &str, model: &str) -> Self {
        Self {
            name: name.to_owned(),
            base_url: base_url.to_owned(),
            model: model.to_owned(),
            key_file: None,
            credential: None,
            timeout_ms: default_timeout_ms(),
            calls_per_minute: default_calls_per_minute(),
            answer_tokens: default_answer_tokens(),
            structure: Structure::default(),
            stream: false,
            input_usd_per_million: 0.0,
            output_usd_per_million: 0.0,
            system: default_system(),
        }
    }

    fn faults(&self, name_is_taken: bool) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, key: &str, rule| {
            if !holds {
                faults.push(Fault { key: format!("providers.{}.{key}", self.name), rule });
            }
        };
        let name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let named = (1..=32).contains(&self.name.len()) && self.name.bytes().all(name);
        let price = |usd: f64| usd.is_finite() && (0.0..=100_000.0).contains(&usd);
        must(named, "name", "must be 1 to 32 of a-z, 0-9 and -");
        must(!name_is_taken, "name", "is another provider's");
        must(is_http(&self.base_url), "base_url", "must begin with https:// or http:// and hold no password");
        must((1..=128).contains(&self.model.len()), "model", "must be 1 to 128 characters");
        must((1..=120_000).contains(&self.timeout_ms), "timeout_ms", "must be 1 to 120000");
        must((1..=100_000).contains(&self.calls_per_minute), "calls_per_minute", "must be 1 to 100000");
        must((1..=100_000).contains(&self.answer_tokens), "answer_tokens", "must be 1 to 100000");
        must(price(self.input_usd_per_million), "input_usd_per_million", "must be 0 to 100000");
        must(price(self.output_usd_per_million), "output_usd_per_million", "must be 0 to 100000");
        must(
            self.key_file.is_none() || self.credential.is_none(),
            "key_file",
            "and credential exclude each other",
        );
        must(
            self.credential.as_deref().is_none_or(|name| !name.is_empty() && !name.contains(['/', '\0'])),
            "credential",
            "must be a name, not a path",
        );
        faults
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

fn is_http(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['@', ' ', '?', '#']))
}

const fn default_timeout_ms() -> u64 {
    120_000
}

const fn default_calls_per_minute() -> u32 {
    60
}

const fn default_answer_tokens() -> u32 {
    1_000
}

fn default_system() -> String {
    "openai".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_legal_and_ask_nobody() {
        let settings: Settings = toml::from_str("").unwrap();
        assert_eq!(settings.faults(), []);
        assert!(settings.providers.is_empty());
    }

    #[test]
    fn the_example_of_the_manual_is_legal() {
        let page = include_str!("../../../docs/models.md");
        let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let settings = toml::from_str::<toml::Table>(example).unwrap()["model"].clone();
        let settings: Settings = settings.try_into().unwrap();
        assert_eq!((settings.faults(), settings.providers.len()), (vec![], 1));
        assert!(settings.record.is_some() && settings.cache.redis_url.is_some());
    }

    #[test]
    fn every_fault_is_told_and_unknown_keys_are_refused() {
        let text = "tries = 0\nrecord = 'a'\nreplay = 'b'\n[cache]\nseconds = 59\n\
            [[providers]]\nname = 'Main'\nbase_url = 'http://u:p@h/v1'\nmodel = 'm'\ntimeout_ms = 120001\n\
            [[providers]]\nname = 'b'\nbase_url = 'ftp://h'\nmodel = 'm'\n\
            [[providers]]\nname = 'b'\nbase_url = 'https://h/v1'\nmodel = ''\ncredential = '../x'\n";
        let settings: Settings = toml::from_str(text).unwrap();
        let told: Vec<String> = settings.faults().into_iter().map(|fault| fault.key).collect();
        let expected = [
            "tries",
            "record",
            "cache.seconds",
            "providers.Main.name",
            "providers.Main.base_url",
            "providers.Main.timeout_ms",
            "providers.b.base_url",
            "providers.b.name",
            "providers.b.model",
            "providers.b.credential",
        ];
        assert_eq!(told, expected);
        // No setting holds the key itself.
        for text in ["key = 'x'", "[[providers]]\nname = 'a'\nbase_url = 'https://h'\nmodel = 'm'\nkey = 'x'"]
        {
            assert!(toml::from_str::<Settings>(text).is_err());
        }
    }
}
