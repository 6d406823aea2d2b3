//! Which acknowledgements the broker was given, and which it forgot: seen from beside, as any client may.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use tokio::sync::watch;

/// How long an acknowledgement counts as recent.
const RECENT: Duration = Duration::from_secs(1);

/// One stored message, as one consumer was given it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Message {
    stream: String,
    consumer: String,
    sequence: u64,
}

impl Message {
    /// From `$JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time>.<pending>`.
    /// And which delivery of it this was, from 1.
    fn of(subject: &str) -> Option<(Self, usize)> {
        let tokens: Vec<&str> = subject.split('.').collect();
        let [_, _, stream, consumer, delivered, sequence, ..] = tokens.as_slice() else { return None };
        let (stream, consumer) = ((*stream).to_owned(), (*consumer).to_owned());
        Some((Self { stream, consumer, sequence: sequence.parse().ok()? }, delivered.parse().ok()?))
    }
}

/// Every acknowledgement that came past.
pub struct Acks {
    seen: Mutex<Seen>,
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct Seen {
    /// How often each message was acknowledged.
    times: HashMap<Message, usize>,
    recent: VecDeque<(Instant, Message)>,
    /// Acknowledgements of deliveries that were not the first.
    again: usize,
}

impl Acks {
    pub fn new() -> Self {
        Self { seen: Mutex::default(), count: watch::Sender::new(0) }
    }

    /// Looks on, for ever.
    pub async fn watch(&self, client: &async_nats::Client) {
        let mut acks = client.subscribe("$JS.ACK.>").await.unwrap();
        while let Some(ack) = acks.next().await {
            // The others ask for more time, or for another delivery.
            if ack.payload.starts_with(b"+ACK")
                && let Some((message, delivery)) = Message::of(&ack.subject)
            {
                self.note(message, delivery);
            }
        }
    }

    fn note(&self, message: Message, delivery: usize) {
        let now = Instant::now();
        let mut seen = self.lock();
        *seen.times.entry(message.clone()).or_default() += 1;
        seen.recent.push_back((now, message));
        seen.again += usize::from(delivery > 1);
        while seen.recent.front().is_some_and(|(at, _)| at.elapsed() > RECENT) {
            seen.recent.pop_front();
        }
        drop(seen);
        self.count.send_modify(|count| *count += 1);
    }

    /// Waits for the next one.
    pub async fn next(&self, within: Duration) -> anyhow::Result<()> {
        let mut count = self.count.subscribe();
        let next = tokio::time::timeout(within, count.changed()).await;
        Ok(next.map_err(|_| anyhow::anyhow!("no acknowledgement within {} s", within.as_secs()))??)
    }

    /// Messages that were acknowledged for the first time in the last `window`.
    pub fn fresh(&self, window: Duration) -> Vec<Message> {
        let seen = self.lock();
        let recent = seen.recent.iter().filter(|(at, _)| at.elapsed() <= window);
        recent.filter(|(_, message)| seen.times[message] == 1).map(|(_, message)| message.clone()).collect()
    }

    /// How many of these were acknowledged once more: the broker had forgotten.
    pub fn forgotten(&self, messages: &[Message]) -> usize {
        let seen = self.lock();
        messages.iter().filter(|message| seen.times[message] > 1).count()
    }

    /// How many acknowledgements the broker was given a second time, third time, and so on.
    pub fn replayed(&self) -> usize {
        self.lock().times.values().map(|times| times - 1).sum()
    }

    /// How many deliveries that were not the first of their message have been settled.
    pub fn again(&self) -> usize {
        self.lock().again
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
