//! Settings of the analyst.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use instance_contract::InstanceName;
use instance_diagnosis::Limits;
use instance_planner::Policy;
use instance_transport::Webhook;
use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::Error;

/// Settings of the analyst, table `[analyst]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Are the built-in rules on? Without them every grave entry goes to a person. Default: true.
    pub rules: bool,
    /// Is a dry run made before each command? Default: true.
    pub dry_run_first: bool,
    /// Answer for these instances only. Default: for all.
    pub instances: Vec<InstanceName>,
    /// Answer invented and replayed messages too? Default: false.
    pub emulated: bool,
    /// How long after its end the same remediation may be asked for again, 1..=86400 seconds. Default: 900.
    #[serde(deserialize_with = "seconds")]
    pub again_after_seconds: u32,
    /// Entries older than this are left alone, for nobody knows whether they still hold; 1..=86400 seconds. Default: 600.
    #[serde(deserialize_with = "seconds")]
    pub max_age_seconds: u32,
    /// How long a text that nobody knows waits for its cause to show, 1..=86400 seconds. Default: 2.
    #[serde(deserialize_with = "seconds")]
    pub triage_seconds: u32,
    /// How long facts may take before a person decides, 1..=86400 seconds. Default: 60.
    #[serde(deserialize_with = "seconds")]
    pub analysis_seconds: u32,
    /// How long a dry run may take before a person is called, 1..=86400 seconds: so late is a router's absence noticed.
    /// Default: 300.
    #[serde(deserialize_with = "seconds")]
    pub dry_run_seconds: u32,
    /// How long a remediation may take before a person is told, 1..=86400 seconds; longer than the router
    /// takes for one with its approval. Default: 7200.
    #[serde(deserialize_with = "seconds")]
    pub resolution_seconds: u32,
    /// From this likeness on two unknown texts are the same trouble, 0..=1. Default: 0.82.
    #[serde(deserialize_with = "share")]
    pub similarity: f64,
    /// A model that may choose among what the rules allow, where they are unsure. Default: no provider, so nobody is asked.
    pub model: instance_llm::Settings,
    /// The router's policy file (TOML): what it refuses is not even offered to a model. Default: none, then the policy that a
    /// router wrote beside the newest command that it has accepted.
    #[serde(deserialize_with = "policy_file")]
    pub policy_file: Option<PathBuf>,
    /// The policy itself, as it stands in `[router.policy]`, when there is no file of its own.
    #[serde(deserialize_with = "Policy::deserialize_setting")]
    pub policy: Option<Policy>,
    /// A folder of `*.toml` with rows of your own, the same that the other services have. Default: none.
    pub knowledge_dir: Option<PathBuf>,
    /// Who is told of every finding that calls a person, besides the inbox. Default: nobody.
    pub webhook: Option<WebhookSettings>,
}

/// An endpoint that takes findings as JSON, by HTTP POST.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// `http://host:port/path`. What is secret belongs into `token_file`.
    #[serde(deserialize_with = "webhook_url")]
    pub url: String,
    /// How long it may take for each try, 1..=7 seconds. Default: 5.
    #[serde(default = "five", deserialize_with = "try_seconds")]
    pub timeout_seconds: u32,
    /// File with a token that goes along as `Authorization: Bearer`. Default: none.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// When it is left alone for a while: `enabled`, `failures`, `open_seconds`, `trials`. Default: after 3 failures in a row, for
    /// 30 s, until 2 trials went well.
    #[serde(default, deserialize_with = "instance_llm::breaker::checked")]
    pub breaker: instance_llm::breaker::Settings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rules: true,
            dry_run_first: true,
            instances: Vec::new(),
            emulated: false,
            again_after_seconds: 900,
            max_age_seconds: 600,
            triage_seconds: 2,
            analysis_seconds: 60,
            dry_run_seconds: 300,
            resolution_seconds: 7200,
            similarity: 0.82,
            model: instance_llm::Settings::default(),
            policy_file: None,
            policy: None,
            knowledge_dir: None,
            webhook: None,
        }
    }
}

impl Config {
    pub(crate) fn limits(&self) -> Limits {
        let seconds = |seconds: u32| SignedDuration::from_secs(seconds.into());
        Limits {
            rules: self.rules,
            model: !self.model.providers.is_empty(),
            dry_run_first: self.dry_run_first,
            again_after: seconds(self.again_after_seconds),
            triage: seconds(self.triage_seconds),
            analysis: seconds(self.analysis_seconds),
            dry_run: seconds(self.dry_run_seconds),
            resolution: seconds(self.resolution_seconds),
            similar: self.similarity,
            ..Limits::default()
        }
    }

    /// The policy of the settings, when they hold one.
    pub(crate) fn policy(&self) -> Result<Option<Policy>, Error> {
        match &self.policy_file {
            Some(path) => read(path).map(Some),
            None => Ok(self.policy.clone()),
        }
    }

    pub(crate) fn max_age(&self) -> SignedDuration {
        SignedDuration::from_secs(self.max_age_seconds.into())
    }
}

/// The policy file is read with the settings.
fn policy_file<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    instance_chassis::named_file(from, read)
}

fn read(path: &Path) -> Result<Policy, Error> {
    let text = instance_chassis::text_of("policy file", path)?;
    Ok(Policy::from_settings(&text)?)
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let seconds = u32::deserialize(from)?;
    if (1..=86_400).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(D::Error::custom("must be from 1 to 86400"))
    }
}

fn webhook_url<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let url = String::deserialize(from)?;
    Webhook::new(&url, Duration::from_secs(1), None).map_err(D::Error::custom)?;
    Ok(url)
}

const fn five() -> u32 {
    5
}

/// Eight tries in a row must fit into the minute after which the bus delivers again.
fn try_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let seconds = u32::deserialize(from)?;
    if (1..=7).contains(&seconds) { Ok(seconds) } else { Err(D::Error::custom("must be from 1 to 7")) }
}

fn share<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(from)?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(D::Error::custom("must be from 0 to 1")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_as_the_router_reads_its_own() {
        let read = |text: &str| toml::from_str::<Config>(text).map_err(|error| error.to_string());
        assert_eq!(read("").unwrap().policy().unwrap(), None);
        let told = read("[policy]\nnever = ['PROD']").unwrap().policy().unwrap().unwrap();
        assert_eq!(told.never, ["PROD".parse().unwrap()]);
        let faults = [
            ("[policy]\nattempts = 0", "attempts"),
            ("[policy]\ncarriers = ['OPS']", "carriers"),
            ("policy_file = '/nowhere/policy.toml'", "/nowhere/policy.toml"),
        ];
        for (text, part) in faults {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.toml");
        std::fs::write(&file, "drastic_steps = 0").unwrap();
        let settings = read(&format!("policy_file = '{}'", file.display())).unwrap();
        assert_eq!(settings.policy().unwrap().unwrap().drastic_steps, 0);
    }
}
