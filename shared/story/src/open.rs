//! What has not ended, found by what the routers say of it.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use instance_bus::{Bus, BusError, LogMessage};
use instance_contract::{
    RemediationId, Shard,
    subject::{RecordKind, parse_record, remediation_of},
};

use crate::{NoPlace, Place, Story, stories};

/// Questions that are on their way at the same time.
const SIDE_BY_SIDE: usize = 16;
/// Records that are read in the time in which one remediation is asked for by its name.
const WORTH_READING: u64 = 50;

/// Every remediation that has not ended, newest first.
pub struct Open {
    stories: Vec<Story>,
    shards: usize,
}

/// Reads what is open: by the hint of each shard's owner, and what came after the hint. Where the newest owner of a shard has
/// left none (no router has served it yet, or one has just come), the shard's whole log.
pub async fn open(bus: &Bus) -> Result<Open, BusError> {
    let shards: Vec<Shard> = bus.topology().await?.shards().collect();
    let read = try_join_all(shards.iter().map(|shard| open_in(bus, *shard))).await?;
    let mut stories: Vec<Story> = read.iter().flat_map(|messages| accepted(messages)).collect();
    stories.retain(|story| story.ended().is_none());
    stories.sort_by_key(|story| std::cmp::Reverse((story.began_at(), story.shard, story.sequence)));
    Ok(Open { stories, shards: shards.len() })
}

impl Open {
    pub fn stories(&self) -> &[Story] {
        &self.stories
    }

    /// At most so many behind a place that satisfy a rule, and where to go on; [`None`] where that was all. A place of a
    /// bus with other shards is none.
    pub fn page(
        &self,
        place: Option<&Place>,
        limit: usize,
        wanted: impl Fn(&Story) -> bool,
    ) -> Result<(Vec<&Story>, Option<Place>), NoPlace> {
        if place.is_some_and(|place| place.shards() != self.shards) {
            return Err(NoPlace);
        }
        let untold = |story: &Story| place.is_none_or(|place| !place.is_behind(story));
        let mut told: Vec<&Story> =
            self.stories.iter().filter(|story| untold(story) && wanted(story)).collect();
        let all = told.len() <= limit;
        told.truncate(limit);
        let next = (!all).then(|| Place::behind(place, &told, self.shards));
        Ok((told, next))
    }
}

/// What is accepted among these: a late record of what has ended long ago opens nothing.
fn accepted(messages: &[LogMessage]) -> Vec<Story> {
    let acceptance = |message: &LogMessage| match parse_record(&message.subject) {
        Some((_, id, RecordKind::Accepted)) => Some(id),
        _ => None,
    };
    let accepted: BTreeSet<RemediationId> = messages.iter().filter_map(acceptance).collect();
    let mut found = stories(messages);
    found.retain(|story| accepted.contains(&story.id));
    found
}

async fn open_in(bus: &Bus, shard: Shard) -> Result<Vec<LogMessage>, BusError> {
    let Some((first, last)) = bus.log_ends(shard).await? else { return Ok(Vec::new()) };
    let hint = bus.open_hint(shard).await?;
    if bus.owner_epoch(shard).await? != Some(hint.epoch) {
        return bus.read_log_within(shard, first..last + 1).await;
    }
    let behind = hint.read_to + 1;
    let oldest = hint.accepted.iter().copied().min().unwrap_or(behind).min(behind);
    if behind - oldest <= WORTH_READING * (hint.accepted.len() as u64 + 1) {
        // What is open lies close together.
        return bus.read_log_within(shard, oldest..last + 1).await;
    }
    let mut messages = by_name(bus, shard, &hint.accepted).await?;
    let named: BTreeSet<RemediationId> = messages.iter().filter_map(id).collect();
    let newer = bus.read_log_within(shard, behind..last + 1).await?;
    messages.extend(newer.into_iter().filter(|message| id(message).is_none_or(|id| !named.contains(&id))));
    Ok(messages)
}

fn id(message: &LogMessage) -> Option<RemediationId> {
    parse_record(&message.subject).map(|(_, id, _)| id)
}

/// Everything about the remediations whose acceptances stand at these places.
async fn by_name(bus: &Bus, shard: Shard, accepted: &[u64]) -> Result<Vec<LogMessage>, BusError> {
    let records = stream::iter(accepted.iter().copied())
        .map(|sequence| async move {
            let Some(acceptance) = bus.log_message(shard, sequence).await? else { return Ok(Vec::new()) };
            let Some(id) = id(&acceptance) else { return Ok(Vec::new()) };
            bus.read_log(shard, &remediation_of(shard, id)).await
        })
        .buffered(SIDE_BY_SIDE);
    Ok(records.try_collect::<Vec<_>>().await?.concat())
}
