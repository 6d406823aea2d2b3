//! Publishing a messages.log that was written before, at the pace of its stamps or faster.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use instance_bus::Headers;
use instance_chassis::Context;
use instance_contract::Origin;
use instance_iris::messages_log::{Entry, Options, Reader};
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use crate::emit::{message_id, signed, store, trace_id};
use crate::zone::civil;
use crate::{Config, RunError};
use instance_invent::{Label, Meaning, Said, Speaker, compose};

/// Publishes every entry of a file, then returns. Ids follow from the file's bytes, the place in it and the name of the
/// run, so a replay that was cut off can be done again under the same name.
pub async fn replay(context: &Context<Config>, path: &Path) -> Result<(), RunError> {
    let read = |source| RunError::Read { path: path.to_owned(), source };
    let bytes = tokio::fs::read(path).await.map_err(read)?;
    let digest = hex(&Sha256::digest(&bytes));
    let run = context.config.run.clone().unwrap_or_else(|| context.process_id.to_string());
    let mut reader = Reader::new(Options::bounded());
    let mut entries = reader.push(&bytes);
    entries.extend(reader.finish());
    tracing::info!(path = %path.display(), entries = entries.len(), run, speed = context.config.speed, "replaying");
    let mut last: Option<&Entry> = None;
    let mut published = 0_usize;
    for entry in entries.iter().filter(|entry| !is_silent(entry)) {
        let pause = last.map_or(Duration::ZERO, |last| pause(last, entry, context.config.speed));
        if context.drain.unless_draining(tokio::time::sleep(pause)).await.is_none() {
            break;
        }
        let id = message_id(&[context.config.emulated_instance.as_str(), &digest, &run], entry.offset);
        let span = tracing::info_span!(parent: None, "replay entry", offset = signed(entry.offset));
        let publish = async {
            let said = Said::by(entry);
            let meaning = Meaning::of(&said.text, said.severity, said.category.as_deref());
            let label = Label {
                message_id: id,
                trace_id: trace_id(id),
                // When it occurred, in whichever zone, is no matter of the replay.
                occurred_at: None,
                generated_at: context.clock.now(),
            };
            let instance = &context.config.emulated_instance;
            let speaker = Speaker { host: &context.host, instance, origin: Origin::Emulated };
            let message = compose(speaker, label, said, meaning);
            store(&context.bus, &context.drain, &message, Headers::new()).await
        };
        if publish.instrument(span).await.is_none() {
            break;
        }
        published += 1;
        // Text before the first stamp has no pace.
        last = if entry.header.is_some() { Some(entry) } else { last };
    }
    tracing::info!(published, "replayed");
    Ok(())
}

/// Blank lines, or nothing but a process dump: nothing to tell.
fn is_silent(entry: &Entry) -> bool {
    entry.header.is_none() && entry.message_text().trim().is_empty()
}

/// How long to wait between two entries. Steps back in time take none.
fn pause(last: &Entry, next: &Entry, speed: f64) -> Duration {
    let moment = |entry: &Entry| entry.header.as_ref().and_then(|header| civil(header.timestamp));
    let (Some(from), Some(to)) = (moment(last), moment(next)) else { return Duration::ZERO };
    let between = Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO);
    if speed > 0.0 {
        Duration::try_from_secs_f64(between.as_secs_f64() / speed).unwrap_or(between)
    } else {
        Duration::ZERO
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

#[cfg(test)]
mod tests {
    use instance_iris::messages_log::parse;

    use super::*;

    #[test]
    fn the_pace_follows_the_stamps_and_never_goes_back() {
        let log =
            "11/14/25-09:45:50:000 (1) 0 a\n11/14/25-09:45:55:000 (1) 0 b\n11/14/25-09:45:40:000 (1) 0 c\n";
        let entries = parse(log.as_bytes());
        assert_eq!(pause(&entries[0], &entries[1], 1.0), Duration::from_secs(5));
        assert_eq!(pause(&entries[0], &entries[1], 10.0), Duration::from_millis(500));
        assert_eq!(pause(&entries[0], &entries[1], 0.0), Duration::ZERO);
        assert_eq!(pause(&entries[1], &entries[2], 1.0), Duration::ZERO);
    }
}
