//! The settings of the generator, table `[generator]`.

use std::path::PathBuf;
use std::time::Duration;

use instance_contract::{ErrorType, InstanceName, Severity};
use instance_transport::Destination;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, de::Error as _};

/// What to publish, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The instances of this host whose logs are tailed. Default: none.
    pub instances: Vec<InstanceSettings>,
    /// Where the cursors lie, one small file an instance. Default: `/var/lib/instance/generator`.
    pub state_dir: PathBuf,
    /// How often to look at a log, 10..=60000 milliseconds. Default: 200.
    #[serde(deserialize_with = "milliseconds")]
    pub poll_ms: Duration,
    /// An entry is complete when the next one begins, or after this quiet time, 10..=60000 milliseconds. Default: 500.
    #[serde(deserialize_with = "milliseconds")]
    pub quiet_ms: Duration,
    /// Where to begin in a log of which nothing is known yet. Default: `beginning`.
    pub start_at: StartAt,
    /// Replay this file and end, instead of tailing. Default: none.
    pub replay: Option<PathBuf>,
    /// How fast to replay: 1 as the stamps say, 10 ten times as fast, 0 without waiting. Default: 1.
    #[serde(deserialize_with = "speed")]
    pub speed: f64,
    /// Name of this replay: the same file replayed under the same name is the same messages. Default: drawn.
    pub run: Option<String>,
    /// Invent messages, publish them and end, instead of tailing. Default: none.
    pub invent: Option<Invention>,
    /// For which instance replayed and invented messages speak. Default: `EMULATED`, which nobody serves.
    pub emulated_instance: InstanceName,
    /// Publish what requests on the bus ask to invent? A request may also say so itself. Default: false.
    pub publish_invented: bool,
    /// Logs whose entries become templates at start, severe and fatal ones first, besides those built in. Default: none.
    pub learn_from: Vec<PathBuf>,
    /// Whose words invented messages have; templates answer where it does not. Default: no provider, so templates alone.
    pub model: instance_llm::Settings,
    /// Consumers outside that are sent every stored message of this bus. Default: none.
    pub deliver: Vec<ConsumerSettings>,
    /// A folder of `*.toml` with rows of your own: conditions, CPF parameters, kernel parameters, in the forms of
    /// `shared/knowledge/README.md`; a bad row ends the start. The same folder for all services. Default: none.
    pub knowledge_dir: Option<PathBuf>,
}

/// One instance whose log is tailed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceSettings {
    /// Its name as `iris qlist` prints it.
    pub name: InstanceName,
    /// Its messages.log; it need not exist yet.
    pub messages_log: PathBuf,
    /// IANA name of the zone in which the instance writes its stamps, e.g. `Europe/Berlin`. Default: unknown; then the
    /// offset is learnt from what the instance says at its start, and `occurred_at` is null until then.
    #[serde(default, deserialize_with = "time_zone")]
    pub time_zone: Option<TimeZone>,
}

/// A consumer outside.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerSettings {
    /// Its name, under which it is remembered how far it has come: letters, digits, `_` and `-`.
    #[serde(deserialize_with = "plain_name")]
    pub name: String,
    /// `http://host:port/path`, `nats://host:port/subject` (a stream must keep that subject), or a folder as a path or
    /// `file:///path`.
    #[serde(deserialize_with = "destination")]
    pub to: Destination,
    /// Requests at a time, 1..=100; 1 keeps strictly to the order. Default: 10.
    #[serde(default = "ten", deserialize_with = "at_once")]
    pub at_once: u8,
    /// How long a consumer over HTTP may take for each try, 1..=300. Default: 10.
    #[serde(default = "ten_seconds", deserialize_with = "seconds")]
    pub timeout_seconds: Duration,
    /// Milder messages are left out, 0..=3. Default: 0.
    #[serde(default)]
    pub lowest: Severity,
    /// When it is left alone: after so many retries in vain (`failures`, 3), for so long (`open_seconds`, 30), until so
    /// many were taken (`trials`, 2).
    #[serde(default, deserialize_with = "instance_llm::breaker::checked")]
    pub breaker: instance_llm::breaker::Settings,
}

/// Where to begin in a log of which nothing is known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// Publish what stands there already.
    #[default]
    Beginning,
    /// Only what is written from now on. For the first start beside an instance that has run for months.
    End,
}

/// What to invent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invention {
    /// How many, 1..=100. Default: 1.
    #[serde(default = "one")]
    pub count: u32,
    /// Kind of trouble. Default: any.
    #[serde(default)]
    pub category: Option<ErrorType>,
    /// Lowest severity, 0..=3. Default: 0.
    #[serde(default)]
    pub lowest: Severity,
    /// Highest severity, 0..=3. Default: 3.
    #[serde(default = "fatal")]
    pub highest: Severity,
    /// Only this template. Default: any.
    #[serde(default)]
    pub template: Option<String>,
    /// Same seed, same bytes. Default: drawn, and logged.
    #[serde(default)]
    pub seed: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            instances: Vec::new(),
            state_dir: PathBuf::from("/var/lib/instance/generator"),
            poll_ms: Duration::from_millis(200),
            quiet_ms: Duration::from_millis(500),
            start_at: StartAt::default(),
            replay: None,
            speed: 1.0,
            run: None,
            invent: None,
            emulated_instance: "EMULATED".parse().expect("a legal instance name"),
            publish_invented: false,
            learn_from: Vec::new(),
            model: instance_llm::Settings::default(),
            deliver: Vec::new(),
            knowledge_dir: None,
        }
    }
}

fn one() -> u32 {
    1
}

fn ten() -> u8 {
    10
}

fn ten_seconds() -> Duration {
    instance_transport::DEFAULT_TIMEOUT
}

fn at_once<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    let number = u8::deserialize(from)?;
    let rule = || D::Error::custom(format!("must be 1 to 100 requests, found {number}"));
    (1..=100).contains(&number).then_some(number).ok_or_else(rule)
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let number = u64::deserialize(from)?;
    let rule = || D::Error::custom(format!("must be 1 to 300 seconds, found {number}"));
    (1..=300).contains(&number).then(|| Duration::from_secs(number)).ok_or_else(rule)
}

fn plain_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..=64).contains(&name.len()) && name.chars().all(plain) {
        return Ok(name);
    }
    Err(D::Error::custom(format!("\"{name}\" must be 1 to 64 letters, digits, _ and -")))
}

fn destination<'de, D: Deserializer<'de>>(from: D) -> Result<Destination, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

fn fatal() -> Severity {
    Severity::Fatal
}

fn milliseconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let number = u64::deserialize(from)?;
    if (10..=60_000).contains(&number) {
        return Ok(Duration::from_millis(number));
    }
    Err(D::Error::custom(format!("must be 10 to 60000 milliseconds, found {number}")))
}

fn speed<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(from)?;
    if number.is_finite() && number >= 0.0 {
        return Ok(number);
    }
    Err(D::Error::custom(format!("must be 0 or more, found {number}")))
}

fn time_zone<'de, D: Deserializer<'de>>(from: D) -> Result<Option<TimeZone>, D::Error> {
    let Some(name) = Option::<String>::deserialize(from)? else { return Ok(None) };
    let zone = TimeZone::get(&name)
        .map_err(|error| D::Error::custom(format!("\"{name}\" is no IANA time zone known here: {error}")))?;
    Ok(Some(zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line is noticed at the next look, and is an entry when the next one has come or it was quiet for long enough;
    /// what looks see last is at most one more look away. Nothing else waits on the way to a consumer that is there.
    #[test]
    fn by_the_defaults_an_entry_goes_out_within_a_second() {
        let Config { poll_ms, quiet_ms, .. } = Config::default();
        assert!(poll_ms + quiet_ms + poll_ms <= Duration::from_secs(1));
    }

    #[test]
    fn defaults_hold_and_nonsense_is_refused() {
        let config: Config = toml::from_str("").unwrap();
        assert_eq!(
            (config.poll_ms, config.quiet_ms),
            (Duration::from_millis(200), Duration::from_millis(500))
        );
        let written =
            "[[instances]]\nname = \"IRIS\"\nmessages_log = \"/m\"\ntime_zone = \"Europe/Berlin\"\n";
        let config: Config = toml::from_str(written).unwrap();
        assert!(config.instances[0].time_zone.is_some());
        for wrong in [
            "poll_ms = 1",
            "speed = -1.0",
            "unknown = 1",
            "[[instances]]\nname = \"A\"",
            "start_at = \"middle\"",
            "[[deliver]]\nname = \"a/b\"\nto = \"/out\"",
            "[[deliver]]\nname = \"a\"\nto = \"ftp://x\"",
            "[[deliver]]\nname = \"a\"\nto = \"/out\"\nat_once = 0",
            "[[deliver]]\nname = \"a\"\nto = \"/out\"\ntimeout_seconds = 301",
            "[[deliver]]\nname = \"a\"\nto = \"/out\"\nbreaker.failures = 0",
            "[[deliver]]\nname = \"a\"\nto = \"nats://127.0.0.1:4222/instance.v1.error.a.b.c\"",
        ] {
            assert!(toml::from_str::<Config>(wrong).is_err(), "{wrong}");
        }
        let wrong = written.replace("Europe/Berlin", "Europe/Atlantis");
        assert!(toml::from_str::<Config>(&wrong).unwrap_err().to_string().contains("Atlantis"));
    }
}
