//! The logs: read at the start, and followed from there on.

use futures::{
    StreamExt as _,
    stream::{BoxStream, SelectAll, select_all, unfold},
};
use instance_bus::{Bus, BusError, LogMessage, Topology};
use instance_contract::{
    Accepted, Ended, IncidentAcknowledged, Planned, Shard,
    subject::{self, RecordKind},
};
use instance_diagnosis::{Action, Event, Incidents, Record};
use jiff::Timestamp;

use crate::Error;

/// The kinds of records that say what is done to instances, read whole at the start.
const KINDS: [&str; 3] = ["accepted", "planned", "ended"];
/// Steps, followed only: at the start those of what is open are read.
const STEPS: &str = "step.>";

/// Everything that is written to the logs after the start.
pub(crate) struct Books {
    news: SelectAll<BoxStream<'static, Result<LogMessage, BusError>>>,
}

impl Books {
    /// Reads what the logs hold into the core; gives what a death has left undone.
    pub(crate) async fn open(
        bus: &Bus,
        topology: Topology,
        core: &mut Incidents,
        now: Timestamp,
    ) -> Result<(Self, Vec<Action>), Error> {
        let mut newest = 0;
        for message in bus.read_incidents(&subject::incidents()).await? {
            newest = message.sequence;
            let Some((id, kind)) = subject::parse_incident(&message.subject) else { continue };
            match Record::read(kind, &message.payload) {
                Ok(record) => core.replay(id, kind, record, message.published_at),
                Err(error) => tracing::warn!(subject = message.subject, %error, "an unreadable record"),
            }
        }
        let acknowledged = subject::acknowledgements();
        let mut follows = vec![bus.follow_incidents(&[acknowledged], newest + 1)];
        let mut actions = Vec::new();
        for shard in topology.shards() {
            // Asked before it is read: what comes in between is read twice, which is the same as once.
            let end = bus.last_sequence(shard).await?;
            actions.extend(read(bus, shard, core, now).await?);
            let kinds = KINDS.into_iter().chain([STEPS]);
            let filters: Vec<_> = kinds.map(|kind| subject::records_of(shard, kind)).collect();
            follows.push(bus.follow(shard, &filters, end + 1));
        }
        actions.extend(core.resume(now));
        let endless = |follow| {
            unfold(follow, |mut follow: instance_bus::LogFollow| async move {
                Some((follow.next().await, follow))
            })
            .boxed()
        };
        Ok((Self { news: select_all(follows.into_iter().map(endless)) }, actions))
    }

    /// The next record. Cancel-safe. An error says that nothing has worked for a while; call again to go on waiting.
    pub(crate) async fn next(&mut self) -> Result<LogMessage, BusError> {
        match self.news.next().await {
            Some(message) => message,
            None => std::future::pending().await,
        }
    }
}

/// What the core makes of a record of another process.
pub(crate) fn take(core: &mut Incidents, message: &LogMessage, now: Timestamp) -> Vec<Action> {
    if subject::parse_incident(&message.subject).is_some() {
        return match message.json::<IncidentAcknowledged>() {
            Ok(acknowledged) => core.handle(&Event::Acknowledged(&acknowledged), now),
            Err(error) => unreadable(&error),
        };
    }
    let Some((_, id, kind)) = subject::parse_record(&message.subject) else { return Vec::new() };
    match kind {
        RecordKind::Accepted => match message.json::<Accepted>() {
            Ok(accepted) => core.handle(&Event::Accepted(&accepted), now),
            Err(error) => unreadable(&error),
        },
        RecordKind::Planned => match message.json::<Planned>() {
            Ok(planned) => core.handle(&Event::Planned(&planned), now),
            Err(error) => unreadable(&error),
        },
        // Its subject says it all.
        RecordKind::Step { .. } => core.handle(&Event::Stepped(id), now),
        RecordKind::Ended => match message.json::<Ended>() {
            Ok(ended) => core.handle(&Event::Ended(&ended.trace), now),
            Err(error) => unreadable(&error),
        },
        _ => Vec::new(),
    }
}

async fn read(bus: &Bus, shard: Shard, core: &mut Incidents, now: Timestamp) -> Result<Vec<Action>, Error> {
    let (mut actions, mut accepted) = (Vec::new(), Vec::new());
    for kind in KINDS {
        for message in bus.read_log(shard, &subject::records_of(shard, kind)).await? {
            if let Some((_, id, RecordKind::Accepted)) = subject::parse_record(&message.subject) {
                accepted.push(id);
            }
            actions.extend(take(core, &message, now));
        }
    }
    accepted.retain(|id| core.is_open(*id));
    for id in accepted {
        for message in bus.read_log(shard, &subject::steps_of(shard, id)).await? {
            actions.extend(take(core, &message, now));
        }
    }
    Ok(actions)
}

fn unreadable(error: &BusError) -> Vec<Action> {
    tracing::warn!(error = instance_chassis::error_chain(error), "an unreadable record");
    Vec::new()
}
