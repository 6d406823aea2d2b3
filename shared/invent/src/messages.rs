//! From invented entries to IrisMessages.

use instance_contract::{HostName, InstanceName, IrisMessage, MessageId, Origin, TraceId};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::message::{Label, Meaning, Said, Speaker, compose};
use crate::{Invented, inventor::stamp, seed::moment_of};

/// Namespace of the ids of invented messages.
const INVENTED: Uuid = Uuid::from_u128(0x8b57_1f42_6a0d_4c19_9e36_51c2_d70b_e3a4);

/// The invented entries as IrisMessages. Everything in them follows from seed and entry, times too: the stamps count as
/// UTC, and a message is generated when its seed was drawn, or when it occurs where that is later or unknown. `first` is the number of the first entry among all of that seed.
pub fn messages(
    entries: &[Invented],
    seed: u64,
    first: u64,
    host: &HostName,
    instance: &InstanceName,
) -> Vec<IrisMessage> {
    let drawn_at = moment_of(seed);
    let speaker = Speaker { host, instance, origin: Origin::Emulated };
    let one = |(index, entry): (u64, &Invented)| {
        let name = format!("{host}\0{instance}\0{seed}\0{index}\0{}", entry.raw);
        let id = Uuid::new_v5(&INVENTED, name.as_bytes());
        let at = entry.at.to_zoned(TimeZone::UTC).map_or(Timestamp::UNIX_EPOCH, |zoned| zoned.timestamp());
        let said = Said {
            timestamp: entry.stamped.then(|| stamp(entry.at).to_string()),
            process_id: Some(entry.process_id),
            severity: entry.severity,
            category: entry.category.clone(),
            text: entry.text.clone(),
            raw: entry.raw.clone(),
            ..Said::default()
        };
        let label = Label {
            message_id: MessageId::from_uuid(id),
            trace_id: TraceId::from_bytes(*id.as_bytes()),
            occurred_at: entry.stamped.then_some(at),
            generated_at: drawn_at.map_or(at, |drawn| drawn.max(at)),
        };
        let meaning = Meaning::of(&said.text, said.severity, said.category.as_deref());
        compose(speaker, label, said, meaning)
    };
    (first..).zip(entries).map(one).collect()
}
