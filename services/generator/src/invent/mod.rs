//! Inventing messages: a pure function of request, templates, seed and start.
//!
//! Invariant: the same four give the same bytes.
//! Invariant: times rise, and a process id belongs to one session of the batch.
//! Invariant: each invented line reads back as the values it was made of.

mod template;

use instance_contract::{
    Fault, Faults, GenerationRequest, HostName, InstanceName, IrisMessage, MessageId, Origin, Severity,
    TraceId,
};
use instance_iris::messages_log::{self, NewEntry, Timestamp as Stamp, write_entry};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

pub use template::{Template, TemplateError, Templates};

use crate::message::{Label, Meaning, Said, Speaker, compose};

/// Namespace of the ids of invented messages.
const INVENTED: Uuid = Uuid::from_u128(0x8b57_1f42_6a0d_4c19_9e36_51c2_d70b_e3a4);
/// Where the moment lies in a drawn seed.
const MOMENT_AT_BIT: u32 = 20;
/// 2020 to 2098, in Unix seconds: what counts as a moment in a seed.
const MOMENTS: std::ops::Range<i64> = 1_577_836_800..4_070_908_800;
/// Where seeds without a moment begin: 2026-01-01.
const FIRST_OF_2026: i64 = 1_767_225_600;
const SECONDS_OF_A_YEAR: u64 = 31_536_000;

/// An invented entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invented {
    /// Name of the template.
    pub template: String,
    pub at: DateTime,
    pub process_id: u32,
    pub severity: Severity,
    /// Without brackets.
    pub category: Option<String>,
    pub text: String,
    /// As it stands in a messages.log, with the line end, and without the stamp when none is wanted.
    pub raw: String,
    /// Whether the stamp is part of it.
    pub stamped: bool,
}

/// A seed that holds the moment, so that what is invented looks recent and the seed alone repeats it. Below 2^53, so that
/// it survives readers who keep numbers as floating point.
pub fn draw_seed(now: Timestamp, rng: &mut impl Rng) -> u64 {
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    (seconds << MOMENT_AT_BIT) | u64::from(rng.random_range(0..1_u32 << MOMENT_AT_BIT))
}

/// When the messages of a seed begin: the moment that was drawn with it, else some time in 2026.
pub fn start_of(seed: u64) -> DateTime {
    let moment = i64::try_from(seed >> MOMENT_AT_BIT).ok().filter(|moment| MOMENTS.contains(moment));
    let within = i64::try_from(seed % SECONDS_OF_A_YEAR).expect("less than a year");
    let second = moment.unwrap_or(FIRST_OF_2026 + within);
    let instant = Timestamp::from_second(second).expect("this century is in range");
    instant.to_zoned(TimeZone::UTC).datetime()
}

/// Invents as many entries as the request asks for, or says which of its fields no template can satisfy.
pub fn invent(
    request: &GenerationRequest,
    templates: &Templates,
    seed: u64,
    start: DateTime,
) -> Result<Vec<Invented>, Faults> {
    if !(1..=100).contains(&request.count) {
        let rule = format!("must be {}", GenerationRequest::COUNT_RULE);
        return Err(Faults::one("count", request.count, rule));
    }
    let candidates = candidates(request, templates)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut sessions = Sessions::new(request.count, &mut rng);
    let mut at = start;
    let mut entries = Vec::new();
    for _ in 0..request.count {
        at = at.saturating_add(SignedDuration::from_millis(rng.random_range(3..20_000)));
        let template = candidates.choose(&mut rng);
        let severities: Vec<Severity> = template.severities_in(request.severity_range).collect();
        let severity = severities[rng.random_range(0..severities.len())];
        let text = templates.fill(template, &mut rng);
        let said = Line { at, process_id: sessions.next(&mut rng), severity, template, text };
        entries.push(said.write(request.include_timestamps));
    }
    Ok(entries)
}

impl Template {
    fn severities_in(&self, (low, high): (Severity, Severity)) -> impl Iterator<Item = Severity> {
        self.severities.iter().copied().filter(move |severity| (low..=high).contains(severity))
    }
}

/// The templates that fit a request, by kind of trouble: a kind with many templates is not asked for more often.
struct Candidates<'a>(Vec<Vec<&'a Template>>);

impl<'a> Candidates<'a> {
    fn choose(&self, rng: &mut impl Rng) -> &'a Template {
        let kind = &self.0[rng.random_range(0..self.0.len())];
        kind[rng.random_range(0..kind.len())]
    }
}

fn candidates<'a>(request: &GenerationRequest, templates: &'a Templates) -> Result<Candidates<'a>, Faults> {
    let mut left: Vec<&Template> = templates.all().iter().collect();
    if let Some(name) = &request.template_name {
        left.retain(|template| template.name == *name);
        if left.is_empty() {
            let rule = "must be the name of a template; the metadata of the endpoint lists them";
            return Err(Faults::one("template_name", name, rule));
        }
    }
    if let Some(kind) = request.error_category {
        let kinds: Vec<_> = left.iter().map(|template| template.error_type.as_str()).collect();
        left.retain(|template| template.error_type == kind);
        if left.is_empty() {
            let rule = format!("must be {}, the kind of the template", kinds.join(" or "));
            return Err(Faults::one("error_category", kind, rule));
        }
    }
    let (low, high) = request.severity_range;
    let mut found: Vec<u8> =
        left.iter().flat_map(|template| &template.severities).map(|s| s.as_u8()).collect();
    left.retain(|template| template.severities_in(request.severity_range).next().is_some());
    if left.is_empty() {
        found.sort_unstable();
        found.dedup();
        let found: Vec<_> = found.iter().map(u8::to_string).collect();
        let value = format!("[{}, {}]", low.as_u8(), high.as_u8());
        let rule =
            format!("must include one of the severities that such messages have: {}", found.join(", "));
        return Err(Faults(vec![Fault::new("severity_range", value, rule)]));
    }
    left.sort_by_key(|template| template.error_type);
    let kinds = left.chunk_by(|a, b| a.error_type == b.error_type).map(<[&Template]>::to_vec);
    Ok(Candidates(kinds.collect()))
}

/// The processes that write: each stays with its id, and writes several entries in a row.
struct Sessions {
    process_ids: Vec<u32>,
    current: usize,
}

impl Sessions {
    fn new(count: u32, rng: &mut impl Rng) -> Self {
        let sessions = 1 + count / 8;
        Self { process_ids: (0..sessions).map(|_| rng.random_range(1000..=4_194_304)).collect(), current: 0 }
    }

    fn next(&mut self, rng: &mut impl Rng) -> u32 {
        if rng.random_range(0..10) < 3 {
            self.current = rng.random_range(0..self.process_ids.len());
        }
        self.process_ids[self.current]
    }
}

/// An entry on its way to its line.
struct Line<'a> {
    at: DateTime,
    process_id: u32,
    severity: Severity,
    template: &'a Template,
    text: String,
}

impl Line<'_> {
    fn write(self, stamped: bool) -> Invented {
        let stamp = stamp(self.at);
        let entry = NewEntry {
            timestamp: stamp,
            process_id: u64::from(self.process_id),
            severity: messages_log::Severity::from_digit(self.severity.as_u8())
                .expect("the same four digits"),
            category: self.template.category.as_deref(),
            text: &self.text,
            repeated: 0,
        };
        let mut bytes = Vec::new();
        write_entry(&mut bytes, &entry).expect("a template fills to a text that IRIS could write");
        let line = String::from_utf8(bytes).expect("an entry of text is text");
        let raw = if stamped { line } else { line[stamp.to_string().len() + 1..].to_owned() };
        Invented {
            template: self.template.name.clone(),
            at: self.at,
            process_id: self.process_id,
            severity: self.severity,
            category: self.template.category.clone(),
            text: self.text,
            raw,
            stamped,
        }
    }
}

fn stamp(at: DateTime) -> Stamp {
    let small = |part: i8| part.unsigned_abs();
    Stamp::new(
        (at.year().unsigned_abs(), small(at.month()), small(at.day())),
        (small(at.hour()), small(at.minute()), small(at.second()), at.millisecond().unsigned_abs()),
    )
    .expect("what is invented lies in this century")
}

/// The invented entries as IrisMessages. Everything in them follows from seed and entry, times too: the stamps count as
/// UTC, and a message is generated when it occurs.
pub fn messages(
    entries: &[Invented],
    seed: u64,
    host: &HostName,
    instance: &InstanceName,
) -> Vec<IrisMessage> {
    let speaker = Speaker { host, instance, origin: Origin::Emulated };
    let one = |(index, entry): (usize, &Invented)| {
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
            generated_at: at,
        };
        let meaning = Meaning::of(&said.text, said.severity, said.category.as_deref());
        compose(speaker, label, said, meaning)
    };
    entries.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests;
