//! The table itself. Field names are those of the server's API.

use std::time::Duration;

use instance_contract::{AgentKind, HostName, Severity, Shard, subject};
use serde_json::{Value, json};

use crate::{Durability, StartAt};

/// IrisMessages of the last day.
pub const ERRORS: &str = "INSTANCE_ERRORS";
/// RemediationCommands until their shard's owner has accepted them.
pub const COMMANDS: &str = "INSTANCE_COMMANDS";
/// Decisions and effects, for auditors.
pub const AUDIT: &str = "INSTANCE_AUDIT";
/// What the analyst has found, and what people and remediations made of it.
pub const INCIDENTS: &str = "INSTANCE_INCIDENTS";
/// What nobody could handle.
pub const DEAD: &str = "INSTANCE_DEAD";
/// Bucket: who owns which shard, as long as it is renewed.
pub const LEASES: &str = "INSTANCE_LEASES";
/// Bucket: which host an instance's agents run on.
pub const HOSTS: &str = "INSTANCE_HOSTS";
/// Bucket: the kill switch.
pub const CONTROL: &str = "INSTANCE_CONTROL";
/// Bucket: a hint where open remediations begin.
pub const OPEN: &str = "INSTANCE_OPEN";

const REMEDIATIONS: &str = "INSTANCE_REMEDIATIONS_";
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);
/// How long the remediation log is kept.
pub const REMEDIATIONS_KEPT: Duration = Duration::from_hours(24 * 30);
/// How long the audit trail is kept.
pub const AUDIT_KEPT: Duration = Duration::from_hours(24 * 365);
/// How long a message id is remembered; never longer than the messages live.
const DUPLICATES: Duration = Duration::from_mins(2);
/// As many values of a key as a bucket may remember.
const MOST_REVISIONS: u8 = 64;
/// The server's word for "without limit".
const NO_LIMIT: i64 = -1;

/// The remediation log of a shard.
pub fn remediations(shard: Shard) -> String {
    format!("{REMEDIATIONS}{shard}")
}

/// The stream that stores a subject of ours.
pub(crate) fn stream_of(subject: &str) -> Option<String> {
    let mut tokens = subject.strip_prefix("instance.v1.")?.split('.');
    match tokens.next()? {
        "error" => Some(ERRORS.to_owned()),
        "command" => Some(COMMANDS.to_owned()),
        "audit" => Some(AUDIT.to_owned()),
        "incident" => Some(INCIDENTS.to_owned()),
        "dead" => Some(DEAD.to_owned()),
        "remediation" => Some(format!("{REMEDIATIONS}{}", tokens.next()?)),
        _ => None,
    }
}

/// A stream, or the stream behind a bucket.
#[derive(Debug, Clone)]
pub(crate) struct StreamSpec {
    pub(crate) name: String,
    /// Every field that we rely on.
    pub(crate) fields: Vec<(&'static str, Value)>,
}

impl StreamSpec {
    pub(crate) fn thing(&self) -> String {
        match self.name.strip_prefix("KV_") {
            Some(bucket) => format!("bucket {bucket}"),
            None => format!("stream {}", self.name),
        }
    }

    /// Another value for a field that stands there.
    fn set(&mut self, name: &str, new: &Value) {
        for (field, value) in &mut self.fields {
            if *field == name {
                value.clone_from(new);
            }
        }
    }

    /// What is sent to make it.
    pub(crate) fn config(&self) -> Value {
        let mut config = json!({ "name": self.name });
        for (field, value) in &self.fields {
            config[*field] = value.clone();
        }
        config
    }
}

/// Every stream and bucket. `replicas` 0: whatever there is.
pub(crate) fn streams(shards: u16, replicas: u8) -> Vec<StreamSpec> {
    let mut streams = vec![
        stream(ERRORS, &subject::errors(), DAY, "old"),
        commands(shards),
        stream(AUDIT, &subject::audits(), AUDIT_KEPT, "old"),
        incidents(),
        stream(DEAD, &subject::dead_letters(), DAY * 90, "old"),
    ];
    for shard in (0..shards).map(Shard) {
        let mut spec = stream(&remediations(shard), &subject::shard_log(shard), REMEDIATIONS_KEPT, "new");
        spec.fields.push(("allow_direct", json!(true)));
        // A record is written once, whoever writes it and whatever else it asks of the log.
        spec.set("max_msgs_per_subject", &json!(1));
        spec.fields.push(("discard_new_per_subject", json!(true)));
        streams.push(spec);
    }
    streams.extend([
        bucket(LEASES, 3 * SECOND),
        bucket(HOSTS, Duration::ZERO),
        control(),
        bucket(OPEN, Duration::ZERO),
    ]);
    if replicas > 0 {
        for spec in &mut streams {
            spec.fields.push(("num_replicas", json!(replicas)));
        }
    }
    streams
}

fn stream(name: &str, subject: &subject::Subject, max_age: Duration, discard: &str) -> StreamSpec {
    let fields = vec![
        ("subjects", json!([subject.as_str()])),
        ("retention", json!("limits")),
        ("discard", json!(discard)),
        ("storage", json!("file")),
        ("max_age", nanoseconds(max_age)),
        ("max_msgs", json!(NO_LIMIT)),
        ("max_bytes", json!(NO_LIMIT)),
        ("max_msgs_per_subject", json!(NO_LIMIT)),
        ("duplicate_window", nanoseconds(DUPLICATES)),
    ];
    StreamSpec { name: name.to_owned(), fields }
}

/// Records of incidents. As in the remediation log, each subject is written once.
fn incidents() -> StreamSpec {
    let mut spec = stream(INCIDENTS, &subject::incidents(), DAY * 30, "new");
    spec.fields.push(("allow_direct", json!(true)));
    spec
}

/// A command is kept until it is accepted, however long the router is away; one that is too old is ended as expired.
fn commands(shards: u16) -> StreamSpec {
    let mut spec = stream(COMMANDS, &subject::commands(), Duration::ZERO, "new");
    let (source, destination) = subject::command_transform(shards);
    spec.set("retention", &json!("workqueue"));
    spec.fields.push(("subject_transform", json!({ "src": source, "dest": destination })));
    spec
}

/// The stream behind a bucket, as ADR-8 lays it out, with one value for each key.
fn bucket(name: &str, max_age: Duration) -> StreamSpec {
    let window = if max_age.is_zero() { DUPLICATES } else { max_age.min(DUPLICATES) };
    let fields = vec![
        ("subjects", json!([format!("$KV.{name}.>")])),
        ("retention", json!("limits")),
        ("discard", json!("new")),
        ("storage", json!("file")),
        ("max_age", nanoseconds(max_age)),
        ("max_msgs", json!(NO_LIMIT)),
        ("max_bytes", json!(NO_LIMIT)),
        ("max_msgs_per_subject", json!(1)),
        ("duplicate_window", nanoseconds(window)),
        ("allow_rollup_hdrs", json!(true)),
        ("deny_delete", json!(true)),
        ("allow_direct", json!(true)),
    ];
    StreamSpec { name: format!("KV_{name}"), fields }
}

/// The kill switch, with what was done to it: the audit trail tells of each order, also of those that no router saw in time.
fn control() -> StreamSpec {
    let mut spec = bucket(CONTROL, Duration::ZERO);
    spec.set("max_msgs_per_subject", &json!(MOST_REVISIONS));
    spec
}

/// A consumer that is pulled and settled message by message.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerSpec {
    pub(crate) name: String,
    pub(crate) filter: String,
    pub(crate) start: StartAt,
    ack_wait: Duration,
    /// Zero: durable.
    forgotten_after: Duration,
}

/// Commands of a shard, for its owner. The wait is short: a command is written to the log at once, and the next owner
/// must not wait long for what a dead one held.
pub(crate) fn router(shard: Shard) -> ConsumerSpec {
    let filter = subject::commands_of(shard).to_string();
    ConsumerSpec::durable(format!("router_{shard}"), filter, Duration::from_secs(4))
}

/// Step commands for one agent on one host. The wait is short, and the agent says twice a second that it still works: what a
/// killed agent held must not wait long for the next one.
pub(crate) fn steps(shard: Shard, agent: AgentKind, host: &HostName) -> ConsumerSpec {
    let filter = subject::steps_for(shard, agent, host).to_string();
    ConsumerSpec::durable(format!("{agent}_{}", host.token()), filter, Duration::from_secs(2))
}

/// A reading of INSTANCE_ERRORS.
pub(crate) fn errors(durability: &Durability, start: StartAt) -> ConsumerSpec {
    let (name, forgotten_after) = match durability {
        Durability::Durable(name) => (name.clone(), Duration::ZERO),
        Durability::Ephemeral => {
            (format!("errors_{}", uuid::Uuid::new_v4().simple()), Duration::from_mins(5))
        }
    };
    let spec = ConsumerSpec::durable(name, subject::errors().to_string(), Duration::from_secs(30));
    ConsumerSpec { start, forgotten_after, ..spec }
}

/// A durable reading of the findings, for who tells them on. The wait is that of a webhook that does not answer.
pub(crate) fn findings(name: &str, start: StartAt) -> ConsumerSpec {
    let spec =
        ConsumerSpec::durable(name.to_owned(), subject::findings().to_string(), Duration::from_mins(1));
    ConsumerSpec { start, ..spec }
}

/// A durable reading of the messages of one severity. The wait is short: what a dead reader held must not wait long.
pub(crate) fn errors_as_grave_as(name: &str, severity: Severity, start: StartAt) -> ConsumerSpec {
    let filter = subject::errors_as_grave_as(severity).to_string();
    let spec =
        ConsumerSpec::durable(format!("{name}_{}", severity.as_str()), filter, Duration::from_secs(10));
    ConsumerSpec { start, ..spec }
}

impl ConsumerSpec {
    fn durable(name: String, filter: String, ack_wait: Duration) -> Self {
        Self { name, filter, ack_wait, start: StartAt::First, forgotten_after: Duration::ZERO }
    }

    pub(crate) fn thing(&self, stream: &str) -> String {
        format!("consumer {} of {stream}", self.name)
    }

    pub(crate) const fn is_durable(&self) -> bool {
        self.forgotten_after.is_zero()
    }

    /// Every field that we rely on. Where a reading began is the asker's wish at the time, not compared later.
    pub(crate) fn fields(&self) -> Vec<(&'static str, Value)> {
        let mut fields = vec![
            ("filter_subject", json!(self.filter)),
            ("ack_policy", json!("explicit")),
            ("ack_wait", nanoseconds(self.ack_wait)),
            ("max_deliver", json!(NO_LIMIT)),
            ("replay_policy", json!("instant")),
        ];
        if self.is_durable() {
            fields.push(("durable_name", json!(self.name)));
        }
        fields
    }

    /// What is sent to make it.
    pub(crate) fn config(&self) -> Value {
        let mut config = json!({ "name": self.name });
        for (field, value) in self.fields() {
            config[field] = value;
        }
        if !self.is_durable() {
            config["inactive_threshold"] = nanoseconds(self.forgotten_after);
        }
        let policy = match self.start {
            StartAt::First => "all",
            StartAt::New => "new",
            StartAt::Sequence(sequence) => {
                config["opt_start_seq"] = json!(sequence.max(1));
                "by_start_sequence"
            }
            StartAt::Time(time) => {
                config["opt_start_time"] = json!(time.to_string());
                "by_start_time"
            }
        };
        config["deliver_policy"] = json!(policy);
        config
    }
}

/// The N of `instance.v1.command.{{partition(N,1)}}.{{wildcard(1)}}`.
pub(crate) fn shards_of_transform(destination: &str) -> Option<u16> {
    let (_, rest) = destination.split_once("{{partition(")?;
    let shards: u16 = rest.split_once(',')?.0.trim().parse().ok()?;
    (shards > 0 && subject::command_transform(shards).1 == destination).then_some(shards)
}

/// The table as text, for the snapshot test and for people.
pub fn print(shards: u16) -> String {
    let mut lines = Vec::new();
    for spec in streams(shards, 1) {
        lines.push(spec.thing());
        lines.extend(spec.fields.iter().map(|(field, value)| format!("  {field} = {value}")));
        if spec.name == COMMANDS {
            lines.extend((0..shards).map(|shard| print_consumer(&router(Shard(shard)))));
        }
        if let Some(shard) = spec.name.strip_prefix(REMEDIATIONS).and_then(|number| number.parse().ok())
            && let Ok(host) = "host".parse()
        {
            lines.push(print_consumer(&steps(Shard(shard), AgentKind::Config, &host)));
        }
    }
    lines.join("\n") + "\n"
}

fn print_consumer(spec: &ConsumerSpec) -> String {
    let fields: Vec<String> = spec.fields().iter().map(|(field, value)| format!("{field}={value}")).collect();
    format!("  consumer {}: {}", spec.name, fields.join(" "))
}

fn nanoseconds(duration: Duration) -> Value {
    json!(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
