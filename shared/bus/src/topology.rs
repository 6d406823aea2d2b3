//! Every stream, consumer and bucket, written down once; made by `instance bus init`, checked by `instance doctor`.

mod compare;
mod table;

use instance_contract::{Shard, subject};
use serde_json::{Value, json};

use crate::{Bus, BusError, LogMessage};

pub use table::{
    AUDIT, AUDIT_KEPT, COMMANDS, CONTROL, DEAD, ERRORS, HOSTS, INCIDENTS, LEASES, OPEN, REMEDIATIONS_KEPT,
    print as print_table, remediations,
};
pub(crate) use table::{ConsumerSpec, errors, errors_as_grave_as, findings, router, steps, stream_of};

/// What may differ between two buses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopologyOptions {
    /// How many shards. Default: as many as the bus has, 4 on a new one. Changes only with nothing open.
    pub shards: Option<u16>,
    /// Copies of each stream, 1 to 5; more than one needs a cluster. Default: 1.
    pub replicas: u8,
}

/// Shards of a new bus.
pub const DEFAULT_SHARDS: u16 = 4;
const MOST_SHARDS: u16 = 256;

impl Default for TopologyOptions {
    fn default() -> Self {
        Self { shards: None, replicas: 1 }
    }
}

/// What `init` found or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitOutcome {
    Created(String),
    Existing(String),
    /// The number of shards was changed.
    Resharded {
        from: u16,
        to: u16,
    },
}

/// How this bus is laid out, as its server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topology {
    /// How many shards there are, at least one.
    pub shards: u16,
}

impl Topology {
    /// Every shard, from 0.
    pub fn shards(self) -> impl ExactSizeIterator<Item = Shard> + Clone {
        (0..self.shards).map(Shard)
    }
}

/// One thing on the bus that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `stream INSTANCE_DEAD`, `consumer router_0 of INSTANCE_COMMANDS`.
    pub thing: String,
    pub what: String,
}

impl Bus {
    /// Makes what is missing, reads each back and compares it. Doing it twice does nothing the second time.
    pub async fn init(&self, options: &TopologyOptions) -> Result<Vec<InitOutcome>, BusError> {
        let mut outcomes = Vec::new();
        let shards = self.settle_shards(options, &mut outcomes).await?;
        for spec in table::streams(shards, options.replicas) {
            let made = self.ensure_stream(&spec).await?;
            outcomes.push(outcome(made, spec.thing()));
        }
        for shard in (Topology { shards }).shards() {
            let spec = router(shard);
            let made = self.ensure_consumer(COMMANDS, &spec).await?;
            outcomes.push(outcome(made, spec.thing(COMMANDS)));
        }
        Ok(outcomes)
    }

    /// The layout of this bus, from the configuration of its command stream and never from our own settings.
    pub async fn topology(&self) -> Result<Topology, BusError> {
        let missing = || BusError::TopologyMissing { thing: format!("stream {COMMANDS}") };
        let info = self.stream_info(COMMANDS).await?.ok_or_else(missing)?;
        Ok(Topology { shards: self.shards_in(&info)? })
    }

    /// Everything on the bus that is not as the table says. Changes nothing.
    pub async fn check(&self) -> Result<Vec<Finding>, BusError> {
        let topology = match self.topology().await {
            Ok(topology) => topology,
            Err(error) if error.is_unreachable() => return Err(error),
            Err(error) => {
                return Ok(vec![Finding { thing: format!("stream {COMMANDS}"), what: error.to_string() }]);
            }
        };
        let mut findings = Vec::new();
        for spec in table::streams(topology.shards, 0) {
            keep(&mut findings, spec.thing(), self.compare_stream(&spec).await)?;
        }
        for shard in topology.shards() {
            let spec = router(shard);
            keep(&mut findings, spec.thing(COMMANDS), self.compare_consumer(COMMANDS, &spec).await)?;
        }
        Ok(findings)
    }

    /// How many shards there will be; changes those of an existing bus only when it is idle.
    async fn settle_shards(
        &self,
        options: &TopologyOptions,
        outcomes: &mut Vec<InitOutcome>,
    ) -> Result<u16, BusError> {
        if let Some(asked) = options.shards
            && !(1..=MOST_SHARDS).contains(&asked)
        {
            let reason = format!("{asked} is not between 1 and {MOST_SHARDS}");
            return Err(BusError::refused("use", "that number of shards", reason));
        }
        let Some(info) = self.stream_info(COMMANDS).await? else {
            return Ok(options.shards.unwrap_or(DEFAULT_SHARDS));
        };
        let current = self.shards_in(&info)?;
        let requested = options.shards.unwrap_or(current);
        if requested != current {
            self.refuse_when_busy(&info, current, requested).await?;
            self.reshard(&info, requested).await?;
            outcomes.push(InitOutcome::Resharded { from: current, to: requested });
        }
        Ok(requested)
    }

    async fn refuse_when_busy(&self, info: &Value, current: u16, requested: u16) -> Result<(), BusError> {
        let waiting = info["state"]["messages"].as_u64().unwrap_or_default();
        if waiting > 0 {
            let why = format!("{waiting} commands are waiting");
            return Err(BusError::ShardsFixed { current, requested, why });
        }
        for shard in (Topology { shards: current }).shards() {
            let open = self.open_remediations(shard).await?;
            if open > 0 {
                let why = format!("{open} remediations of shard {shard} have not ended");
                return Err(BusError::ShardsFixed { current, requested, why });
            }
        }
        Ok(())
    }

    /// Accepted and not ended.
    async fn open_remediations(&self, shard: Shard) -> Result<usize, BusError> {
        let id = |message: &LogMessage| subject::parse_record(&message.subject).map(|(_, id, _)| id);
        let accepted = self.read_log(shard, &subject::records_of(shard, "accepted")).await?;
        let ended = self.read_log(shard, &subject::records_of(shard, "ended")).await?;
        let ended: std::collections::BTreeSet<_> = ended.iter().filter_map(id).collect();
        Ok(accepted.iter().filter_map(id).filter(|id| !ended.contains(id)).count())
    }

    async fn reshard(&self, info: &Value, shards: u16) -> Result<(), BusError> {
        let mut config = info["config"].clone();
        let (source, destination) = subject::command_transform(shards);
        config["subject_transform"] = json!({ "src": source, "dest": destination });
        let thing = format!("stream {COMMANDS}");
        match self.api::<Value>("change", &thing, &format!("STREAM.UPDATE.{COMMANDS}"), &config).await? {
            Ok(_) => Ok(()),
            Err(refusal) => Err(BusError::refused("change", thing, refusal.text)),
        }
    }

    fn shards_in(&self, info: &Value) -> Result<u16, BusError> {
        let found = info["config"]["subject_transform"]["dest"].as_str().unwrap_or_default();
        table::shards_of_transform(found).ok_or_else(|| BusError::TopologyMismatch {
            thing: format!("stream {COMMANDS}"),
            field: "subject_transform".to_owned(),
            expected: subject::command_transform(DEFAULT_SHARDS).1,
            found: if found.is_empty() { "nothing".to_owned() } else { found.to_owned() },
            server: self.server_version(),
        })
    }
}

fn outcome(made: bool, thing: String) -> InitOutcome {
    if made { InitOutcome::Created(thing) } else { InitOutcome::Existing(thing) }
}

/// A difference is a finding; a bus that went away in between is an error.
fn keep(findings: &mut Vec<Finding>, thing: String, compared: Result<(), BusError>) -> Result<(), BusError> {
    match compared {
        Ok(()) => Ok(()),
        Err(error) if error.is_unreachable() => Err(error),
        Err(error) => {
            findings.push(Finding { thing, what: error.to_string() });
            Ok(())
        }
    }
}
