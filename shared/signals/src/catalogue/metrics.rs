//! What is counted and measured. A new one is one row here; `cargo xtask generate` tells it in `docs/telemetry.md`.

use super::attributes::{
    AI_MODEL, AI_OPERATION, AI_PROVIDER, AI_TOKEN_TYPE, ALERT_OUTCOME, APPROVAL, BREAKER, CACHE_RESULT,
    CHECK, COMMAND_OUTCOME, DEAD_REASON, ERROR_TYPE, GROUP, HTTP_METHOD, HTTP_ROUTE, HTTP_STATUS, LEVEL,
    OPERATION, PHASE, REMEDIATION_STATUS, SEVERITY, SHARD, STEP_STATUS, STREAM, SYSTEM, TEMPLATE, TOOL,
    VERDICT,
};
use super::{Kind, Metric, NO_LABELS};
use crate::instrument::{Counter, Gauge, Histogram, Instrument};

const NATS: &[(&super::Attribute, &str)] = &[(&SYSTEM, "nats")];

/// What most metrics are.
const PLAIN: Metric = Metric {
    name: "",
    kind: Kind::Counter,
    unit: "",
    help: "",
    labels: NO_LABELS,
    fixed: &[],
    buckets: &[],
    scale: 1.0,
};
const MESSAGING: Metric = Metric { fixed: NATS, ..PLAIN };
const GAUGE: Metric = Metric { kind: Kind::Gauge, ..PLAIN };
const SECONDS: Metric = Metric { kind: Kind::Histogram, unit: "s", ..PLAIN };

/// Advised by the messaging conventions.
const MESSAGE_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// A sync of a good disk takes 0.1 ms, one of a bad disk a second.
const SYNC_SECONDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
/// From a value in a file to an instance that is restarted and waited for.
const WORK_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 240.0, 600.0, 3600.0];
/// Advised for models: doubling from 10 ms.
const MODEL_SECONDS: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Advised for tokens: powers of four.
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

macro_rules! metrics {
    ($($id:ident = $kind:ident { $($field:ident: $value:expr),* $(,)? } from $base:ident;)*) => {
        $(
            pub static $id: $kind =
                $kind::of(const { &Metric { kind: Kind::$kind, $($field: $value,)* ..$base } });
        )*
        /// All of them.
        pub static ALL: &[Instrument] = &[$(Instrument::$kind(&$id)),*];
    };
}

metrics! {
    // The bus, as the messaging conventions want it.
    OPERATION_DURATION = Histogram {
        name: "messaging.client.operation.duration", unit: "s", buckets: MESSAGE_SECONDS,
        labels: &[&OPERATION, &TEMPLATE, &ERROR_TYPE],
        help: "How long publishing took, until the stream had the message or the client had sent it",
    } from MESSAGING;
    PROCESS_DURATION = Histogram {
        name: "messaging.process.duration", unit: "s", buckets: MESSAGE_SECONDS,
        labels: &[&TEMPLATE, &ERROR_TYPE],
        help: "How long a delivery was in hand, from its arrival to its settlement",
    } from MESSAGING;
    SENT = Counter {
        name: "messaging.client.sent.messages", unit: "{message}", labels: &[&OPERATION, &TEMPLATE, &ERROR_TYPE],
        help: "Messages that were published, or that could not be",
    } from MESSAGING;
    CONSUMED = Counter {
        name: "messaging.client.consumed.messages", unit: "{message}", labels: &[&TEMPLATE, &GROUP],
        help: "Messages that were delivered to this process",
    } from MESSAGING;
    REDELIVERED = Counter {
        name: "instance.bus.redelivered.messages", unit: "{message}", labels: &[&STREAM],
        help: "Deliveries that were not the first of their message",
    } from PLAIN;
    DEAD_LETTERS = Counter {
        name: "instance.bus.dead_letters", unit: "{message}", labels: &[&STREAM, &DEAD_REASON],
        help: "Messages that nobody could handle, kept with the reason",
    } from PLAIN;
    PENDING = Gauge {
        name: "instance.bus.pending.messages", unit: "{message}", labels: &[&GROUP],
        help: "Messages that wait behind the newest delivery of a consumer",
    } from GAUGE;
    DISCONNECTS = Counter {
        name: "instance.bus.disconnects", unit: "{disconnect}",
        help: "How often the connection to NATS broke",
    } from PLAIN;

    // The gateway.
    HTTP_DURATION = Histogram {
        name: "http.server.request.duration", unit: "s", buckets: MESSAGE_SECONDS,
        labels: &[&HTTP_METHOD, &HTTP_ROUTE, &HTTP_STATUS, &ERROR_TYPE],
        help: "From a request by HTTP to the head of its answer",
    } from SECONDS;
    ALERTS = Counter {
        name: "instance.alert.count", unit: "{alert}", labels: &[&ALERT_OUTCOME],
        help: "Alerts that were taken, by what was made of them",
    } from PLAIN;

    // The router.
    COMMANDS = Counter {
        name: "instance.command.count", unit: "{command}", labels: &[&COMMAND_OUTCOME],
        help: "Commands that were answered at intake",
    } from PLAIN;
    REMEDIATIONS = Counter {
        name: "instance.remediation.count", unit: "{remediation}", labels: &[&REMEDIATION_STATUS],
        help: "Remediations that ended",
    } from PLAIN;
    REMEDIATION_DURATION = Histogram {
        name: "instance.remediation.duration", unit: "s", buckets: WORK_SECONDS, labels: &[&REMEDIATION_STATUS],
        help: "From a remediation's acceptance to its end",
    } from SECONDS;
    INCIDENT_DURATION = Histogram {
        name: "instance.incident.duration", unit: "s", buckets: WORK_SECONDS, labels: &[&PHASE],
        help: "How long each part of the way from the log line to the proof took",
    } from SECONDS;
    VERIFIED = Counter {
        name: "instance.verify.count", unit: "{verification}", labels: &[&VERDICT],
        help: "Verifications at the end of remediations",
    } from PLAIN;
    APPROVALS = Counter {
        name: "instance.approval.count", unit: "{approval}", labels: &[&APPROVAL],
        help: "Approvals that were asked for and answered",
    } from PLAIN;
    OPEN = Gauge {
        name: "instance.remediation.open", unit: "{remediation}", labels: &[&SHARD],
        help: "Remediations that were accepted and have not ended",
    } from GAUGE;
    ARRIVING = Gauge {
        name: "instance.command.arriving", unit: "{command}", labels: &[&SHARD],
        help: "Commands that were taken and are not answered yet",
    } from GAUGE;
    OWNED = Gauge {
        name: "instance.shard.owned", unit: "{shard}", labels: &[&SHARD],
        help: "1 while this router drives the shard",
    } from GAUGE;
    TAKEOVERS = Counter {
        name: "instance.shard.takeovers", unit: "{takeover}", labels: &[&SHARD],
        help: "How often this router took a shard",
    } from PLAIN;
    AUDIT_RECORDS = Counter {
        name: "instance.audit.records", unit: "{record}",
        help: "Records that were written to the audit trail",
    } from PLAIN;
    AUDIT_FAILURES = Counter {
        name: "instance.audit.failures", unit: "{failure}",
        help: "How often the audit trail had to wait",
    } from PLAIN;
    HALTED = Gauge {
        name: "instance.halted", unit: "{switch}",
        help: "1 while the kill switch is thrown, as this process knows it",
    } from GAUGE;

    // The agents.
    STEPS = Counter {
        name: "instance.step.count", unit: "{step}", labels: &[&TOOL, &STEP_STATUS],
        help: "Steps that were answered, repetitions from the ledger included",
    } from PLAIN;
    STEP_DURATION = Histogram {
        name: "instance.step.duration", unit: "s", buckets: WORK_SECONDS, labels: &[&TOOL, &STEP_STATUS],
        help: "How long a step took on its host, by its own account",
    } from SECONDS;
    STEPS_IN_HAND = Gauge {
        name: "instance.step.in_hand", unit: "{step}",
        help: "Steps that were taken and are not settled yet",
    } from GAUGE;
    LEDGER_SYNC = Histogram {
        name: "instance.ledger.sync.duration", unit: "s", buckets: SYNC_SECONDS,
        help: "How long the ledger took to have records on the disk",
    } from SECONDS;
    LEDGER_RECORDS = Counter {
        name: "instance.ledger.records", unit: "{record}",
        help: "Records that the ledger has on the disk since this process began",
    } from PLAIN;
    LEDGER_FAILURES = Counter {
        name: "instance.ledger.failures", unit: "{failure}",
        help: "Writes or syncs of the ledger that failed; the process ends after one, and the next one tells it too",
    } from PLAIN;

    // The generator.
    OBSERVED = Counter {
        name: "instance.observed.messages", unit: "{message}", labels: &[&SEVERITY],
        help: "Entries of messages.log that were published",
    } from PLAIN;

    // Language models.
    TOKEN_USAGE = Histogram {
        name: "gen_ai.client.token.usage", unit: "{token}", buckets: TOKENS,
        labels: &[&AI_OPERATION, &AI_PROVIDER, &AI_MODEL, &AI_TOKEN_TYPE, &ERROR_TYPE],
        help: "Tokens of one operation",
    } from PLAIN;
    AI_DURATION = Histogram {
        name: "gen_ai.client.operation.duration", unit: "s", buckets: MODEL_SECONDS,
        labels: &[&AI_OPERATION, &AI_PROVIDER, &AI_MODEL, &ERROR_TYPE],
        help: "How long one operation took, all its tries included",
    } from PLAIN;
    AI_FIRST_CHUNK = Histogram {
        name: "gen_ai.client.operation.time_to_first_chunk", unit: "s", buckets: MODEL_SECONDS,
        labels: &[&AI_OPERATION, &AI_PROVIDER, &AI_MODEL, &ERROR_TYPE],
        help: "Until the first piece of an answer came",
    } from PLAIN;
    MODEL_CACHE = Counter {
        name: "instance.model.cache.lookups", unit: "{lookup}", labels: &[&CACHE_RESULT],
        help: "Looks into the memory of answers",
    } from PLAIN;
    MODEL_CALLS = Counter {
        name: "instance.model.calls", unit: "{call}", labels: &[&AI_PROVIDER, &AI_MODEL, &ERROR_TYPE],
        help: "Single calls to endpoints of models",
    } from PLAIN;
    MODEL_COST = Counter {
        name: "instance.model.cost", unit: "USD", labels: &[&AI_PROVIDER, &AI_MODEL], scale: 1e-6,
        help: "What calls to models cost, by the prices in the settings",
    } from PLAIN;
    BREAKER_OPEN = Gauge {
        name: "instance.breaker.open", unit: "{breaker}", labels: &[&BREAKER],
        help: "1 while the outside service is left alone because it failed",
    } from GAUGE;

    // Every process.
    READY = Gauge {
        name: "instance.health.ready", unit: "{check}", labels: &[&CHECK],
        help: "1 while what `/readyz` looks at is well; looked at with each scrape and each `/readyz`",
    } from GAUGE;
    LOG_LINES = Counter {
        name: "instance.log.lines", unit: "{line}", labels: &[&LEVEL],
        help: "Log lines that were written",
    } from PLAIN;
    CPU = Counter {
        name: "process.cpu.time", unit: "s", scale: 1e-6,
        help: "User and system time of this process",
    } from PLAIN;
    MEMORY = Gauge {
        name: "process.memory.usage", unit: "By",
        help: "Memory of this process that is resident",
    } from GAUGE;
    FILES = Gauge {
        name: "process.open_file_descriptor.count", unit: "{file_descriptor}",
        help: "Open files and sockets of this process",
    } from GAUGE;
}
