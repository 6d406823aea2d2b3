//! From the parts of a log to stored messages: the loop that tails one instance.

use std::sync::Arc;
use std::time::{Duration, Instant};

use instance_bus::{Bus, Headers, PublishError, current_trace_id};
use instance_chassis::{Context, Drain, error_chain};
use instance_clock::Clock;
use instance_contract::{HostName, InstanceName, IrisMessage, MessageId, Origin, TraceId, subject};
use instance_signals::metrics::{INCIDENT_DURATION, OBSERVED};
use uuid::Uuid;

use crate::cursor::{self, Cursor, CursorFile};
use crate::tail::{Begun, FileId, Part, Position, Tail};
use crate::window::{self, Ready, Sent, Turns, Window};
use crate::zone::Zone;
use crate::{Config, InstanceSettings};
use instance_invent::{Label, Meaning, Said, Speaker, compose};

/// Namespace of message ids; never change it, or entries would be published again.
const MESSAGES: Uuid = Uuid::from_u128(0x2f0c_6a7e_91d3_4d58_b8c4_0e5d_3a9b_7714);
/// Between two tries while the bus does not take a message.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// An older event stood in the log before anybody tailed it.
const AFRESH: Duration = Duration::from_mins(5);

/// Tails the log of one instance until the drain; in `turns` with the other logs of this process.
pub async fn tail_instance(context: Context<Config>, settings: InstanceSettings, turns: Turns) {
    let instance = settings.name.clone();
    tracing::info!(%instance, path = %settings.messages_log.display(), "tailing");
    let file = CursorFile::of(&context.config.state_dir, &instance);
    let asked = newest((&context.bus, &context.drain), (&context.host, &instance), file.read());
    let Some(cursor) = asked.await else { return };
    let resume = cursor.as_ref().map(|cursor| cursor.position.clone());
    let config = &context.config;
    let mut tail = Tail::new(&settings.messages_log, resume, config.quiet_ms, config.start_at);
    let mut emitter = Emitter {
        bus: context.bus.clone(),
        clock: context.clock.clone(),
        drain: context.drain.clone(),
        host: context.host.clone(),
        zone: Zone::new(settings.time_zone, cursor.as_ref().and_then(|cursor| cursor.utc_offset)),
        log: cursor.as_ref().map(|cursor| cursor.position.file.clone()),
        sequence: cursor.map_or(0, |cursor| cursor.sequence),
        instance,
        file,
        window: Window::new(turns),
    };
    let mut failing = false;
    while !context.drain.is_requested() {
        let more = match tail.look(Instant::now()) {
            Ok(look) => {
                failing = false;
                if emitter.publish(&look.parts).await.is_none() {
                    return;
                }
                look.more
            }
            Err(error) => {
                // Told once, not five times a second.
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(error = error_chain(&error), "cannot tail; trying on");
                }
                false
            }
        };
        if !more {
            context.drain.unless_draining(tokio::time::sleep(config.poll_ms)).await;
        }
    }
}

/// The newest position, asked until the bus answers. The outer `None`: a drain came first.
async fn newest(
    (bus, drain): (&Bus, &Drain),
    (host, instance): (&HostName, &InstanceName),
    cursor: Option<Cursor>,
) -> Option<Option<Cursor>> {
    let mut pause = FIRST_PAUSE;
    loop {
        let asked = cursor::newest(bus, host, instance, cursor.clone());
        match drain.unless_draining(asked).await? {
            Ok(newest) => return Some(newest),
            Err(error) => {
                tracing::warn!(%instance, error = error_chain(&error), "cannot ask how far the log was published");
            }
        }
        drain.unless_draining(tokio::time::sleep(pause)).await?;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Publishes the parts of one log in their order, many on their way at once: see [`Window`].
struct Emitter {
    bus: Bus,
    clock: Arc<dyn Clock>,
    drain: Drain,
    host: HostName,
    instance: InstanceName,
    zone: Zone,
    file: CursorFile,
    /// The log that the cursor names.
    log: Option<FileId>,
    /// Place of the last stored message.
    sequence: u64,
    window: Window,
}

impl Emitter {
    /// Publishes what a look has brought and moves the cursor; `None` when a drain came before the bus had taken all of it.
    async fn publish(&mut self, parts: &[Part]) -> Option<()> {
        for of_one_log in parts.chunk_by(|one, next| one.position.file == next.position.file) {
            let first = of_one_log.first()?;
            if self.log.as_ref() != Some(&first.position.file) {
                // Known from now on: should it be moved away before its first message is stored, it is looked for.
                self.log = Some(first.position.file.clone());
                self.keep(Position { entry: first.offset, end: first.offset, ..first.position.clone() });
            }
            for some in of_one_log.chunks(window::MOST) {
                self.publish_some(some).await?;
            }
        }
        Some(())
    }

    /// The cursor is never moved past what the bus has not taken.
    async fn publish_some(&mut self, parts: &[Part]) -> Option<()> {
        let told = parts.iter().filter(|part| !part.is_silent());
        let mut ready: Vec<Ready> = told.map(|part| self.ready(part)).collect();
        let mut pause = FIRST_PAUSE;
        while !ready.is_empty() {
            let Sent { taken, trouble } = self.window.send(&self.bus, &ready).await;
            if let (Some(last), Some(sequence)) = (taken.len().checked_sub(1), taken.last()) {
                self.sequence = self.sequence.max(*sequence);
                self.keep(ready[last].position.clone());
                self.count(ready.drain(..=last));
                pause = FIRST_PAUSE;
            }
            let Some(error) = trouble else { continue };
            tell(&error, &ready[0].message);
            self.drain.unless_draining(tokio::time::sleep(pause)).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
            self.skip_stored(&mut ready).await?;
        }
        self.keep(parts.last()?.position.clone());
        Some(())
    }

    /// Answers were lost: what is on the bus all the same is not sent again. The stream knows it longer than it knows ids of
    /// messages.
    async fn skip_stored(&mut self, ready: &mut Vec<Ready>) -> Option<()> {
        let Some(position) = ready.first().map(|first| first.position.clone()) else { return Some(()) };
        let known = Cursor { position, sequence: self.sequence, utc_offset: None };
        let found = newest((&self.bus, &self.drain), (&self.host, &self.instance), Some(known)).await?;
        let Some(found) = found.filter(|found| found.sequence > self.sequence) else { return Some(()) };
        let is_stored = |ready: &Ready| {
            ready.position.file == found.position.file && ready.position.end <= found.position.end
        };
        let stored = ready.iter().take_while(|ready| is_stored(ready)).count();
        if let Some(last) = stored.checked_sub(1) {
            self.sequence = found.sequence;
            self.keep(ready[last].position.clone());
            self.count(ready.drain(..stored));
        }
        Some(())
    }

    fn keep(&self, position: Position) {
        let cursor = Cursor { position, sequence: self.sequence, utc_offset: self.zone.learnt() };
        if let Err(error) = self.file.write(&cursor) {
            // The bus knows how far we are; only a restart becomes slower.
            tracing::warn!(instance = %self.instance, %error, "could not write the cursor");
        }
    }

    fn count(&self, stored: impl Iterator<Item = Ready>) {
        let now = self.clock.now();
        stored.for_each(|ready| count(&ready.message, now));
    }

    fn ready(&mut self, part: &Part) -> Ready {
        let span = tracing::info_span!(parent: None, "observe entry",
            instance = %self.instance, offset = signed(part.offset));
        let message_id = self.message_id(part, part.offset);
        let message = span.in_scope(|| {
            let label = Label {
                message_id,
                trace_id: trace_id(message_id),
                occurred_at: None,
                generated_at: self.clock.now(),
            };
            self.message(part, label)
        });
        let mut headers = cursor::headers(part);
        if let Some(begun) = &part.continues {
            headers.set(cursor::CONTINUES, &self.message_id(part, begun.offset).to_string());
        }
        let headers = with_trace(headers, &message);
        Ready { position: part.position.clone(), message, headers, span }
    }

    fn message(&mut self, part: &Part, label: Label) -> IrisMessage {
        let (said, meaning) = match &part.continues {
            Some(begun) => continued(part, begun),
            None => whole(part),
        };
        let header =
            part.continues.as_ref().map_or(part.entry.header.as_ref(), |begun| begun.header.as_ref());
        let stamp = header.map(|header| header.timestamp);
        let now = label.generated_at;
        let occurred_at = stamp.and_then(|stamp| self.zone.instant(stamp, &said.text, now));
        let speaker = Speaker { host: &self.host, instance: &self.instance, origin: Origin::Observed };
        compose(speaker, Label { occurred_at, ..label }, said, meaning)
    }

    fn message_id(&self, part: &Part, offset: u64) -> MessageId {
        message_id(&[self.host.as_str(), self.instance.as_str(), &part.position.file.to_string()], offset)
    }
}

/// The trace layer makes texts of unsigned numbers.
pub fn signed(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

/// A message that is on the bus, and how long after its event.
fn count(message: &IrisMessage, now: jiff::Timestamp) {
    OBSERVED.add(1, &[message.severity.as_str()]);
    let since = message.occurred_at.and_then(|at| Duration::try_from(now.duration_since(at)).ok());
    // What was read from an old log was not detected late.
    if let Some(since) = since.filter(|since| *since < AFRESH) {
        INCIDENT_DURATION.record(since.as_secs_f64(), &["detect"]);
    }
}

fn whole(part: &Part) -> (Said, Meaning) {
    let said = Said::by(&part.entry);
    let meaning = Meaning::of(&said.text, said.severity, said.category.as_deref());
    (said, meaning)
}

/// The rest of an entry that was published before all of it had come. It carries the header's values; the whole text
/// decides what it means. A condition that the first part told already is not told again, or one event would count
/// twice; a repeat counter that comes late does tell it again, for it did happen again.
fn continued(part: &Part, begun: &Begun) -> (Said, Meaning) {
    let mut said = Said::by(&part.entry);
    if let Some(header) = &begun.header {
        said = said.under(header);
    }
    let (severity, category) = (said.severity, said.category.clone());
    let before = Meaning::of(&begun.text, severity, category.as_deref());
    if said.repeated > 0 && said.text.is_empty() {
        said.text.clone_from(&begun.text);
        return (said, before);
    }
    let whole = format!("{}\n{}", begun.text, said.text);
    let mut meaning = Meaning::of(&whole, severity, category.as_deref());
    if meaning.condition == before.condition && said.repeated == 0 {
        meaning.condition = None;
    }
    (said, meaning)
}

/// Id of what lies at a place of a file.
pub fn message_id(of: &[&str], offset: u64) -> MessageId {
    let mut name = Vec::new();
    for part in of {
        // None of the parts holds a zero byte, so different places give different names.
        name.extend_from_slice(part.as_bytes());
        name.push(0);
    }
    name.extend_from_slice(&offset.to_be_bytes());
    MessageId::from_uuid(Uuid::new_v5(&MESSAGES, &name))
}

/// The trace that a message begins: that of the current span, else one made of its id.
pub fn trace_id(message_id: MessageId) -> TraceId {
    current_trace_id().unwrap_or_else(|| TraceId::from_bytes(*message_id.as_uuid().as_bytes()))
}

/// Publishes until the stream has the message; returns its sequence, or `None` when a drain came first.
pub async fn store(bus: &Bus, drain: &Drain, message: &IrisMessage, headers: Headers) -> Option<u64> {
    let subject = subject::error(&message.host, &message.instance, message.severity);
    let id = message.message_id.to_string();
    let headers = with_trace(headers, message);
    let mut pause = FIRST_PAUSE;
    loop {
        match bus.publish(&subject, message, Some(&id), headers.clone()).await {
            Ok(written) => return Some(written.sequence),
            Err(error) => tell(&error, message),
        }
        drain.unless_draining(tokio::time::sleep(pause)).await?;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Where spans are recorded, the bus writes the context of its own over this one.
fn with_trace(headers: Headers, message: &IrisMessage) -> Headers {
    let span = &message.message_id.as_uuid().simple().to_string()[16..];
    headers.with("traceparent", &format!("00-{}-{span}-01", message.trace_id.as_str()))
}

fn tell(error: &PublishError, message: &IrisMessage) {
    let (instance, message_id) = (&message.instance, message.message_id);
    tracing::warn!(%instance, %message_id, error = error_chain(error), "the bus does not take a message; trying on");
}
