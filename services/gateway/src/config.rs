//! Settings of the gateway.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::alerts::Row;

/// Settings of the gateway, table `[gateway]`. Unknown names are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen, on this machine only. Default: `127.0.0.1:8480`.
    pub listen: Loopback,
    /// Where to listen instead, also for others. The gateway speaks plain HTTP: set it only where something else ends
    /// TLS or the network is the machine's own (a container's). Default: none.
    pub listen_plain: Option<SocketAddr>,
    /// Who may ask for what. Default: none, so that everything but health is refused.
    pub callers: Vec<CallerSettings>,
    pub alerts: AlertSettings,
    pub limits: Limits,
    /// How long the router may take to answer a command before "stored" is told, in seconds, 0..=30. Default: 2.
    #[serde(deserialize_with = "answer")]
    pub answer_seconds: u64,
    /// Where `instance chaos run` keeps its runs (`--dir`), for `/v1/assert`. Default: none, nothing can be asserted.
    pub chaos_dir: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Loopback::default(),
            listen_plain: None,
            callers: Vec::new(),
            alerts: AlertSettings::default(),
            limits: Limits::default(),
            answer_seconds: 2,
            chaos_dir: None,
        }
    }
}

/// An address of this machine that no other machine reaches.
#[derive(Debug, Clone, Copy)]
pub struct Loopback(pub SocketAddr);

impl Default for Loopback {
    fn default() -> Self {
        Self(SocketAddr::from((Ipv4Addr::LOCALHOST, 8480)))
    }
}

impl<'de> Deserialize<'de> for Loopback {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let address = SocketAddr::deserialize(from)?;
        if address.ip().is_loopback() {
            Ok(Self(address))
        } else {
            Err(D::Error::custom(
                "must be an address of the loopback interface; listen_plain takes any other",
            ))
        }
    }
}

/// Somebody who asks by HTTP, with a credential of its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerSettings {
    /// Who it is: `requested_by` of its commands, `by` of its approvals, what policy knows it as.
    #[serde(deserialize_with = "caller_name")]
    pub name: String,
    /// File with its bearer token, 16 characters or more; a second line holds a second token, so that one can follow the
    /// other. Default: none.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// File with the key that it signs with (HMAC-SHA256), as `token_file`. Default: none.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// What it may do.
    pub may: Vec<Right>,
}

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Tell of alerts, which the table may turn into commands.
    Alert,
    /// Send commands.
    Command,
    /// Look at remediations, events and verdicts.
    Read,
    /// Answer what a person is asked.
    Approve,
}

/// What is made of alerts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSettings {
    /// The label that names the IRIS instance (Prometheus' own `instance` is an address). Default: `iris_instance`.
    pub instance_label: String,
    /// Values of the labels `job`, `service` and `namespace` that say "this is about Instance itself"; a trailing `*`
    /// stands for any rest. Default: `instance`, `instance-*`, `instance/*`, `nats`, `nats-*`.
    pub own: Vec<String>,
    /// Do commands from alerts only tell what they would change? Default: false.
    pub dry_run: bool,
    /// Rows of your own; each counts instead of the built-in row of its alert. Default: none.
    pub rows: Vec<Row>,
}

impl Default for AlertSettings {
    fn default() -> Self {
        let own = ["instance", "instance-*", "instance/*", "nats", "nats-*"];
        Self {
            instance_label: "iris_instance".to_owned(),
            own: own.map(str::to_owned).to_vec(),
            dry_run: false,
            rows: Vec::new(),
        }
    }
}

/// How much of everything.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections; more wait. Default: 64.
    #[serde(deserialize_with = "at_least_one")]
    pub connections: u16,
    /// Event streams among them; more are refused. Default: 16.
    #[serde(deserialize_with = "at_least_one")]
    pub event_streams: u16,
    /// How long head, body and answer of a request may each take, in seconds. Default: 10.
    #[serde(deserialize_with = "at_least_one")]
    pub request_seconds: u16,
    /// Requests of one caller in a second, on and on. Default: 20.
    #[serde(deserialize_with = "at_least_one")]
    pub requests_per_second: u16,
    /// Requests of one caller at once. Default: 100.
    #[serde(deserialize_with = "at_least_one")]
    pub burst: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 64, event_streams: 16, request_seconds: 10, requests_per_second: 20, burst: 100 }
    }
}

fn answer<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let seconds = u64::deserialize(from)?;
    if seconds <= 30 { Ok(seconds) } else { Err(D::Error::custom("must be 0 to 30 seconds")) }
}

fn at_least_one<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
    let number = u16::deserialize(from)?;
    if number > 0 { Ok(number) } else { Err(D::Error::custom("must be 1 to 65535")) }
}

fn caller_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte));
    if plain && (1..=64).contains(&name.len()) {
        Ok(name)
    } else {
        Err(D::Error::custom("must be 1 to 64 letters, digits, underscores, hyphens, dots and at signs"))
    }
}
