//! A shard's remediation log in its order, for whoever tells it on: what the driver has in memory anyway, and the rest
//! read from the bus.
//!
//! Invariant: messages are given out in the order of the log, none twice and none left out, whatever is handed on.

use std::{collections::BTreeMap, time::Duration};

use instance_bus::{Bus, BusError, LogFollow, LogMessage};
use instance_contract::{Shard, subject};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// Messages that wait to be told; what comes on top is read from the log, when there is time.
const AT_MOST: usize = 2_000;
/// A message that is not handed on for so long, while later ones are, is read from the log: somebody else wrote it.
const MISSED_AFTER: Duration = Duration::from_millis(500);
/// When nothing is handed on for so long, the log is followed: what others write into it is told, too.
const IDLE_AFTER: Duration = Duration::from_secs(2);

/// Where the driver of a shard puts what it has written and read.
pub(crate) struct Handover(mpsc::Sender<LogMessage>);

/// The other end of it.
pub(crate) struct Handed(mpsc::Receiver<LogMessage>);

pub(crate) fn handover() -> (Handover, Handed) {
    let (sender, receiver) = mpsc::channel(AT_MOST);
    (Handover(sender), Handed(receiver))
}

impl Handover {
    /// A message of the log. Never waits: one that finds no room is not handed on.
    pub(crate) fn hand_on(&self, message: LogMessage) {
        // It stands in the log, and is read there.
        let _ = self.0.try_send(message);
    }
}

impl Handed {
    /// Cancel-safe. Never comes when nobody hands anything on any more.
    async fn next(&mut self) -> LogMessage {
        match self.0.recv().await {
            Some(message) => message,
            None => std::future::pending().await,
        }
    }

    /// Has a message found no room since the last look?
    fn is_full(&self) -> bool {
        self.0.len() == AT_MOST
    }
}

pub(super) struct Source<'a> {
    bus: &'a Bus,
    shard: Shard,
    /// `None`: everything is read.
    handed: Option<&'a mut Handed>,
    /// Handed on before their turn.
    early: BTreeMap<u64, LogMessage>,
    /// The sequence that is to come.
    next: u64,
    /// Open until what is handed on follows directly on what was read.
    reading: Option<LogFollow>,
    /// Since when nothing has come, or the next message is missed. `None` while the log is read.
    waits_since: Option<Instant>,
}

impl<'a> Source<'a> {
    /// From a sequence of the log on.
    pub(super) fn new(bus: &'a Bus, shard: Shard, handed: Option<&'a mut Handed>, next: u64) -> Self {
        let mut source =
            Self { bus, shard, handed, early: BTreeMap::new(), next, reading: None, waits_since: None };
        source.read();
        source
    }

    /// The next message of the log. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<LogMessage, BusError> {
        loop {
            if let Some(message) = self.early.remove(&self.next) {
                self.reading = None;
                return Ok(self.gives(message));
            }
            self.looks_for_gaps();
            let read_at = self.reads_at();
            tokio::select! {
                biased;
                message = handed(self.handed.as_deref_mut()) => self.takes(message),
                message = read(self.reading.as_mut()) => {
                    let message = message?;
                    if message.sequence >= self.next {
                        return Ok(self.gives(message));
                    }
                }
                () = sleep_until(read_at.unwrap_or_else(Instant::now)), if read_at.is_some() => self.read(),
            }
        }
    }

    fn gives(&mut self, message: LogMessage) -> LogMessage {
        self.next = message.sequence + 1;
        self.waits_since = None;
        // What was read was perhaps handed on, too.
        while self.early.first_key_value().is_some_and(|(sequence, _)| *sequence < self.next) {
            self.early.pop_first();
        }
        message
    }

    fn takes(&mut self, message: LogMessage) {
        if message.sequence < self.next {
            return;
        }
        if self.early.is_empty() {
            self.waits_since = None;
        }
        self.early.insert(message.sequence, message);
    }

    fn looks_for_gaps(&mut self) {
        if self.reading.is_some() {
            if self.early.len() >= AT_MOST {
                // The reading is far behind, and comes to these as well.
                self.early.clear();
            }
        } else if self.handed.as_ref().is_some_and(|handed| handed.is_full()) || self.early.len() >= AT_MOST {
            self.read();
        }
    }

    /// When the log is read, should nothing come before.
    fn reads_at(&mut self) -> Option<Instant> {
        if self.reading.is_some() {
            return None;
        }
        let since = *self.waits_since.get_or_insert_with(Instant::now);
        Some(since + if self.early.is_empty() { IDLE_AFTER } else { MISSED_AFTER })
    }

    fn read(&mut self) {
        self.waits_since = None;
        self.reading = Some(self.bus.follow(self.shard, &[subject::shard_log(self.shard)], self.next));
    }
}

async fn handed(handed: Option<&mut Handed>) -> LogMessage {
    match handed {
        Some(handed) => handed.next().await,
        None => std::future::pending().await,
    }
}

async fn read(reading: Option<&mut LogFollow>) -> Result<LogMessage, BusError> {
    match reading {
        Some(reading) => reading.next().await,
        None => std::future::pending().await,
    }
}
