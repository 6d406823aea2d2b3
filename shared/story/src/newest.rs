//! Remediations from the newest to the oldest, read from the end of the log and no further than is asked for.
//!
//! One whose beginning the bus has forgotten already (30 days) is not among them.

use std::{collections::BTreeMap, fmt, str::FromStr};

use futures::future::try_join_all;
use instance_bus::{Bus, BusError, LogMessage, topology};
use instance_contract::{
    RemediationId, Shard,
    subject::{self, RecordKind, parse_record},
};

use crate::{Story, stories};

/// Records of a shard that are read at a time.
const WINDOW: u64 = 1_000;

/// Where in the logs of all shards a list goes on: of each shard, the sequence below which nothing was told yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(Vec<u64>);

/// A text that is no place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPlace;

/// All that the bus remembers, newest first: by when it was accepted, or refused.
pub struct Newest {
    bus: Bus,
    shelves: Vec<Shelf>,
    read: u64,
}

/// One shard's part.
struct Shelf {
    shard: Shard,
    /// The oldest message of its log.
    first: u64,
    /// Nothing below was read yet.
    unread_below: u64,
    /// Behind the place where this reading began there are more records.
    resumed: bool,
    /// Read and not given out; the newest is the last.
    found: Vec<Story>,
    /// Records of remediations whose beginning was not seen yet.
    later: BTreeMap<RemediationId, Vec<LogMessage>>,
}

impl Newest {
    /// From the end of the log, or from a place that an earlier list has named. A place of a bus with other shards
    /// is none.
    pub async fn from(bus: &Bus, place: Option<&Place>) -> Result<Result<Self, NoPlace>, BusError> {
        let shards: Vec<Shard> = bus.topology().await?.shards().collect();
        if place.is_some_and(|place| place.shards() != shards.len()) {
            return Ok(Err(NoPlace));
        }
        let ends = try_join_all(shards.iter().map(|shard| bus.log_ends(*shard))).await?;
        let shelf = |(index, (shard, ends)): (usize, (Shard, Option<(u64, u64)>))| {
            let (first, last) = ends.unwrap_or((1, 0));
            let below = place.map_or(u64::MAX, |place| place.0[index]).min(last + 1);
            let resumed = below <= last;
            Shelf { shard, first, unread_below: below, resumed, found: Vec::new(), later: BTreeMap::new() }
        };
        let shelves = shards.into_iter().zip(ends).enumerate().map(shelf).collect();
        Ok(Ok(Self { bus: bus.clone(), shelves, read: 0 }))
    }

    /// The next older one; `None` after the oldest.
    pub async fn next(&mut self) -> Result<Option<Story>, BusError> {
        let Self { bus, shelves, .. } = &mut *self;
        let read = try_join_all(shelves.iter_mut().map(|shelf| shelf.fill(bus))).await?;
        self.read += read.iter().sum::<u64>();
        let newest = self.shelves.iter_mut().filter(|shelf| !shelf.found.is_empty());
        let newest = newest.max_by_key(|shelf| shelf.found.last().map(Story::began_at));
        Ok(newest.and_then(|shelf| shelf.found.pop()))
    }

    /// Where to go on behind what was given out; `None` when that was all.
    pub fn place(&self) -> Option<Place> {
        let ended = self.shelves.iter().all(Shelf::is_empty);
        (!ended).then(|| Place(self.shelves.iter().map(Shelf::below).collect()))
    }

    /// How many records were read so far.
    pub fn records_read(&self) -> u64 {
        self.read
    }
}

impl Shelf {
    fn is_empty(&self) -> bool {
        self.found.is_empty() && self.unread_below <= self.first
    }

    fn below(&self) -> u64 {
        self.found.last().map_or(self.unread_below, |story| story.sequence + 1)
    }

    /// Reads until there is something to give out, or nothing left. Returns how many records that took.
    async fn fill(&mut self, bus: &Bus) -> Result<u64, BusError> {
        let mut read = 0;
        while self.found.is_empty() && self.unread_below > self.first {
            let from = self.unread_below.saturating_sub(WINDOW).max(self.first);
            let messages = bus.read_log_within(self.shard, from..self.unread_below).await?;
            read += messages.len() as u64;
            self.take_in(bus, messages).await?;
            self.unread_below = from;
        }
        Ok(read)
    }

    /// What began among these messages is found; what began before them is kept until then.
    async fn take_in(&mut self, bus: &Bus, messages: Vec<LogMessage>) -> Result<(), BusError> {
        let mut by_id: BTreeMap<RemediationId, Vec<LogMessage>> = BTreeMap::new();
        for message in messages {
            if let Some((_, id, _)) = parse_record(&message.subject) {
                by_id.entry(id).or_default().push(message);
            }
        }
        for (id, mut records) in by_id {
            records.extend(self.later.remove(&id).unwrap_or_default());
            if !began_within(bus, self.shard, id, &records).await? {
                self.later.insert(id, records);
                continue;
            }
            if self.resumed && !records.iter().any(|record| is(record, &RecordKind::Ended)) {
                records = bus.read_log(self.shard, &subject::remediation_of(self.shard, id)).await?;
            }
            self.found.extend(stories(&records));
        }
        self.found.sort_by_key(|story| story.sequence);
        Ok(())
    }
}

/// Is the beginning of this remediation among some records of it, which are all behind some place? It is its acceptance, or
/// its end where it was refused before.
async fn began_within(
    bus: &Bus,
    shard: Shard,
    id: RemediationId,
    records: &[LogMessage],
) -> Result<bool, BusError> {
    if records.iter().any(|record| is(record, &RecordKind::Accepted)) {
        return Ok(true);
    }
    if !records.iter().any(|record| is(record, &RecordKind::Ended)) {
        return Ok(false);
    }
    let acceptance = subject::record(shard, id, &RecordKind::Accepted);
    Ok(bus.last_in(&topology::remediations(shard), acceptance.as_str()).await?.is_none())
}

fn is(message: &LogMessage, wanted: &RecordKind) -> bool {
    parse_record(&message.subject).is_some_and(|(_, _, kind)| kind == *wanted)
}

impl Place {
    pub(crate) fn shards(&self) -> usize {
        self.0.len()
    }

    /// Was this remediation told before the list was broken off here?
    pub(crate) fn is_behind(&self, story: &Story) -> bool {
        self.0.get(usize::from(story.shard.0)).is_none_or(|below| story.sequence >= *below)
    }

    /// Behind this place (the end, where there is none) and what was told from there.
    pub(crate) fn behind(place: Option<&Self>, told: &[&Story], shards: usize) -> Self {
        let mut below = place.map_or_else(|| vec![u64::MAX; shards], |place| place.0.clone());
        for story in told {
            if let Some(below) = below.get_mut(usize::from(story.shard.0)) {
                *below = story.sequence.min(*below);
            }
        }
        Self(below)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, below) in self.0.iter().enumerate() {
            write!(f, "{}{below}", if index == 0 { "" } else { "-" })?;
        }
        Ok(())
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let number = |part: &str| digits(part).then(|| part.parse().ok()).flatten().ok_or(NoPlace);
        text.split('-').map(number).collect::<Result<_, _>>().map(Self)
    }
}
