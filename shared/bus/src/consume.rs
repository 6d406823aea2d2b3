//! Receiving what must be settled: commands, steps, errors.

use async_nats::jetstream::{self, consumer::pull};
use futures::{
    StreamExt as _,
    stream::{BoxStream, SelectAll, select_all, unfold},
};
use instance_contract::{AgentKind, HostName, Severity, Shard};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::{
    Bus, BusError, Delivery,
    healing::Healing,
    reader::{LINK_RENEWED, pull_messages},
    topology::{self, COMMANDS, ConsumerSpec, ERRORS, INCIDENTS},
};

/// Commands taken ahead: they are accepted in milliseconds, and come back after 4 s when this process dies.
const COMMANDS_AHEAD: usize = 32;
/// Steps asked for at a time. Each is begun, or waits for its instance, as soon as it is there, so this only says how
/// often a question is due: after every half of it.
const STEPS_AHEAD: usize = 64;
const ERRORS_AHEAD: usize = 100;
const FINDINGS_AHEAD: usize = 8;

/// Who remembers how far a reading of INSTANCE_ERRORS has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Durability {
    /// The server, under this name (letters, digits, `_`, `-`), over restarts of the reader.
    Durable(String),
    /// Nobody: forgotten five minutes after the reader is gone.
    Ephemeral,
}

/// Where a new reading of INSTANCE_ERRORS begins. A durable one that exists goes on where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    First,
    New,
    Sequence(u64),
    Time(Timestamp),
}

impl Bus {
    /// Commands of a shard, for its owner. The consumer must exist (`instance bus init`).
    pub async fn commands(&self, shard: Shard) -> Result<Deliveries, BusError> {
        let spec = topology::router(shard);
        self.compare_consumer(COMMANDS, &spec).await?;
        Ok(Deliveries::over([Source::new(self, COMMANDS, spec, COMMANDS_AHEAD)]))
    }

    /// Step commands of every shard for one agent on one host. Its consumers are made when they are missing.
    pub async fn steps(&self, agent: AgentKind, host: &HostName) -> Result<Deliveries, BusError> {
        let mut sources = Vec::new();
        for shard in self.topology().await?.shards() {
            let stream = topology::remediations(shard);
            let spec = topology::steps(shard, agent, host);
            self.ensure_consumer(&stream, &spec).await?;
            sources.push(Source::new(self, &stream, spec, STEPS_AHEAD));
        }
        Ok(Deliveries::over(sources))
    }

    /// IrisMessages as they come in.
    pub async fn errors(&self, durability: Durability, start: StartAt) -> Result<Deliveries, BusError> {
        let start = match (&durability, start) {
            // "New" must mean the same after the server has forgotten this reading in a restart.
            (Durability::Ephemeral, StartAt::New) => {
                StartAt::Sequence(self.last_sequence_of(ERRORS).await? + 1)
            }
            _ => start,
        };
        let spec = topology::errors(&durability, start);
        self.ensure_consumer(ERRORS, &spec).await?;
        Ok(Deliveries::over([Source::new(self, ERRORS, spec, ERRORS_AHEAD)]))
    }

    /// IrisMessages as they come in, each severity by a durable reading of its own (`<name>_<severity>`), so that a flood
    /// of one does not hold up the others. One that is not settled within 10 s comes again.
    pub async fn errors_apart(&self, name: &str, start: StartAt) -> Result<Deliveries, BusError> {
        let mut sources = Vec::new();
        for severity in [Severity::Fatal, Severity::Severe, Severity::Warning, Severity::Info] {
            let spec = topology::errors_as_grave_as(name, severity, start);
            self.ensure_consumer(ERRORS, &spec).await?;
            sources.push(Source::new(self, ERRORS, spec, ERRORS_AHEAD));
        }
        Ok(Deliveries::over(sources))
    }

    /// Findings of every incident, as they come in; the server remembers under `name` (letters, digits, `_`, `-`) which
    /// are settled. One that is not settled within 60 s comes again.
    pub async fn findings(&self, name: &str, start: StartAt) -> Result<Deliveries, BusError> {
        let spec = topology::findings(name, start);
        self.ensure_consumer(INCIDENTS, &spec).await?;
        Ok(Deliveries::over([Source::new(self, INCIDENTS, spec, FINDINGS_AHEAD)]))
    }
}

/// What arrives from one or more consumers.
pub struct Deliveries {
    sources: SelectAll<BoxStream<'static, Result<Delivery, BusError>>>,
}

impl Deliveries {
    fn over(sources: impl IntoIterator<Item = Source>) -> Self {
        let endless = |source| {
            unfold(source, |mut source: Source| async move {
                let delivery = source.next().await;
                Some((delivery, source))
            })
            .boxed()
        };
        Self { sources: select_all(sources.into_iter().map(endless)) }
    }

    /// The next delivery. An error says that a consumer is gone or nothing has worked for 16 s; call again to go on
    /// waiting. Heals itself over reconnects and restarts of the server. Cancel-safe. `None` only without shards.
    pub async fn next(&mut self) -> Option<Result<Delivery, BusError>> {
        self.sources.next().await
    }
}

/// One consumer that is pulled, and opened again when it falls silent.
struct Source {
    bus: Bus,
    stream: String,
    spec: ConsumerSpec,
    ahead: usize,
    /// The highest sequence given out.
    seen: u64,
    open: Option<pull::Stream>,
    /// What was pulled over the former link. The client may have asked again by itself before this one is told of the
    /// new link; what the server then sends there would otherwise come only after the consumer's wait (up to 30 s).
    former: Option<pull::Stream>,
    /// The server has forgotten what was pulled over a former link.
    renewed: watch::Receiver<u64>,
    healing: Healing,
}

impl Source {
    fn new(bus: &Bus, stream: &str, spec: ConsumerSpec, ahead: usize) -> Self {
        Self {
            bus: bus.clone(),
            stream: stream.to_owned(),
            spec,
            ahead,
            seen: 0,
            open: None,
            former: None,
            renewed: bus.server.links.renewed(),
            healing: Healing::default(),
        }
    }

    async fn next(&mut self) -> Result<Delivery, BusError> {
        loop {
            self.healing.pause().await;
            match self.step().await {
                Ok(Some(delivery)) => {
                    self.healing.worked();
                    return Ok(delivery);
                }
                Ok(None) => self.healing.opened(),
                Err(error) => {
                    self.open = None;
                    if let Some(error) = self.healing.failed(&self.spec.thing(&self.stream), error) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// One delivery; `None`: the pulling has just begun.
    async fn step(&mut self) -> Result<Option<Delivery>, BusError> {
        let Some(open) = self.open.as_mut() else {
            self.open = Some(self.begin().await?);
            return Ok(None);
        };
        let thing = self.spec.thing(&self.stream);
        let next = tokio::select! {
            biased;
            next = open.next() => next,
            next = of_former(&mut self.former) => next,
            _ = self.renewed.changed() => {
                self.former = self.open.take();
                return Err(BusError::refused("pull from", thing, LINK_RENEWED));
            }
        };
        match next {
            Some(Ok(message)) => {
                let delivery = Delivery::from_message(&self.bus, message)?;
                self.seen = self.seen.max(delivery.sequence());
                Ok(Some(delivery))
            }
            Some(Err(error)) => Err(BusError::failed("pull from", thing, error)),
            None => Err(BusError::refused("pull from", thing, "the pulling has ended")),
        }
    }

    async fn begin(&mut self) -> Result<pull::Stream, BusError> {
        self.renewed.mark_unchanged();
        // A durable that is gone is never made again here: that would replay its whole queue.
        if self.spec.is_durable() {
            self.bus.compare_consumer(&self.stream, &self.spec).await?;
        } else {
            if self.seen > 0 {
                self.spec.start = StartAt::Sequence(self.seen + 1);
            }
            self.bus.ensure_consumer(&self.stream, &self.spec).await?;
        }
        pull_messages(&self.bus, &self.stream, &self.spec.name, self.ahead).await
    }
}

/// The next delivery of the former pulling. It is given up at its first failure: that says that nobody asked again,
/// so that nothing more can come there.
async fn of_former(
    former: &mut Option<pull::Stream>,
) -> Option<Result<jetstream::Message, pull::MessagesError>> {
    if let Some(stream) = former {
        if let Some(Ok(message)) = stream.next().await {
            return Some(Ok(message));
        }
        *former = None;
    }
    std::future::pending().await
}
