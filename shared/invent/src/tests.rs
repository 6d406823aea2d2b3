use instance_contract::{ErrorType, OutputFormat};
use instance_iris::messages_log::parse;

use instance_contract::{Faults, GenerationRequest, IrisMessage, Severity};
use instance_iris::messages_log;
use jiff::Timestamp;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::inventor::stamp;

fn templates() -> Templates {
    Templates::builtin().unwrap()
}

fn request(count: u32) -> GenerationRequest {
    GenerationRequest { count, ..GenerationRequest::default() }
}

fn raw(entries: &[Invented]) -> String {
    entries.iter().map(|entry| entry.raw.as_str()).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let templates = templates();
    let of = |seed| {
        let entries = invent(&request(100), &templates, seed, start_of(seed)).unwrap();
        let messages = messages(&entries, seed, 0, &"h".parse().unwrap(), &"IRIS".parse().unwrap());
        (raw(&entries), serde_json::to_string(&messages).unwrap())
    };
    assert_eq!(of(7), of(7));
    assert_ne!(of(7).0, of(8).0);
    assert_ne!(of(7).1, of(8).1);
}

#[test]
fn a_thousand_entries_read_back_as_what_was_invented() {
    let templates = templates();
    for seed in 0..10 {
        let entries = invent(&request(100), &templates, seed, start_of(seed)).unwrap();
        let read = parse(raw(&entries).as_bytes());
        assert_eq!(read.len(), 100);
        let mut last = None;
        for (read, entry) in read.iter().zip(&entries) {
            let header = read.header.as_ref().unwrap();
            assert_eq!(header.timestamp, stamp(entry.at));
            assert_eq!(header.process_id, u64::from(entry.process_id));
            assert_eq!(header.severity.map(messages_log::Severity::as_u8), Some(entry.severity.as_u8()));
            assert_eq!(header.category, entry.category);
            assert_eq!(read.message_text(), entry.text);
            assert!(!read.is_process_dump() && read.repeated() == 0);
            assert!(last.is_none_or(|last| last < entry.at), "times rise");
            last = Some(entry.at);
        }
        let sessions: std::collections::BTreeSet<_> = entries.iter().map(|entry| entry.process_id).collect();
        assert!((2..=13).contains(&sessions.len()), "{}", sessions.len());
    }
}

#[test]
fn kind_and_severity_are_kept_and_the_messages_are_legal() {
    let templates = templates();
    let (host, instance) = ("h".parse().unwrap(), "IRIS".parse().unwrap());
    for kind in [ErrorType::Config, ErrorType::License, ErrorType::Resource, ErrorType::Journal] {
        let request = GenerationRequest {
            error_category: Some(kind),
            severity_range: (Severity::Severe, Severity::Fatal),
            ..request(100)
        };
        let entries = invent(&request, &templates, 1, start_of(1)).unwrap();
        for message in messages(&entries, 1, 0, &host, &instance) {
            assert!(message.severity >= Severity::Severe);
            assert_eq!(message.error_type, kind, "{:?}", message.message_text);
            let bytes = serde_json::to_vec(&message).unwrap();
            assert_eq!(IrisMessage::decode(&bytes), Ok(message));
        }
    }
}

#[test]
fn stamps_can_be_left_out() {
    let request =
        GenerationRequest { include_timestamps: false, output_format: OutputFormat::Raw, ..request(5) };
    let entries = invent(&request, &templates(), 3, start_of(3)).unwrap();
    for entry in &entries {
        assert!(
            entry.raw.starts_with(&format!("({}) {}", entry.process_id, entry.severity.as_u8())),
            "{}",
            entry.raw
        );
    }
    let messages = messages(&entries, 3, 0, &"h".parse().unwrap(), &"IRIS".parse().unwrap());
    assert!(messages.iter().all(|message| message.timestamp.is_none() && message.occurred_at.is_none()));
}

#[test]
fn what_no_template_can_satisfy_is_refused_with_field_value_and_rule() {
    let templates = templates();
    let refused = |request: GenerationRequest| {
        let Faults(faults) = invent(&request, &templates, 1, start_of(1)).unwrap_err();
        assert_eq!(faults.len(), 1);
        (faults[0].field.clone(), faults[0].value.clone(), faults[0].rule.clone())
    };
    let fatal = (Severity::Fatal, Severity::Fatal);
    let license =
        GenerationRequest { error_category: Some(ErrorType::License), severity_range: fatal, ..request(1) };
    let (field, value, rule) = refused(license);
    assert_eq!((field.as_str(), value.as_str()), ("severity_range", "[3, 3]"));
    assert!(rule.ends_with(": 0, 1, 2"), "{rule}");
    let unknown = GenerationRequest { template_name: Some("nothing".to_owned()), ..request(1) };
    assert_eq!(refused(unknown).0, "template_name");
    let other_kind = GenerationRequest {
        template_name: Some("license-domain-left".to_owned()),
        error_category: Some(ErrorType::Journal),
        ..request(1)
    };
    assert!(refused(other_kind).2.contains("must be license"));
    for count in [0, 101] {
        assert_eq!(refused(request(count)).0, "count");
    }
}

#[test]
fn a_drawn_seed_holds_its_moment() {
    let now: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
    let seed = draw_seed(now, &mut ChaCha8Rng::seed_from_u64(5));
    assert!(seed < 1 << 53);
    assert_eq!(start_of(seed).to_string(), "2026-11-21T08:00:00");
    assert_eq!(start_of(42).to_string(), "2026-01-01T00:00:42");
    for seed in [0, u64::MAX, 1 << 63] {
        assert_eq!(start_of(seed).year(), 2026, "{seed}");
    }
}

#[test]
fn a_batch_of_a_drawn_seed_ends_when_it_was_drawn() {
    let now: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
    let (templates, host, instance) = (templates(), "h".parse().unwrap(), "IRIS".parse().unwrap());
    for draw in 0..20 {
        let seed = draw_seed(now, &mut ChaCha8Rng::seed_from_u64(draw));
        let again = || invent(&request(100), &templates, seed, start_of(seed)).unwrap();
        let entries = again();
        assert_eq!(entries.last().unwrap().at.to_string(), "2026-11-21T08:00:00");
        assert!(entries.windows(2).all(|pair| pair[0].at < pair[1].at), "times rise");
        assert_eq!(raw(&entries), raw(&again()));
        for message in messages(&entries, seed, 0, &host, &instance) {
            assert_eq!(message.generated_at, now);
            assert!(message.occurred_at.unwrap() <= now);
        }
    }
}

#[test]
fn no_process_says_the_same_twice_running() {
    let templates = templates();
    let config = GenerationRequest {
        error_category: Some(ErrorType::Config),
        severity_range: (Severity::Fatal, Severity::Fatal),
        ..request(100)
    };
    let only = |name: &str| GenerationRequest { template_name: Some(name.to_owned()), ..request(5) };
    let fixed: Vec<&str> = templates
        .all()
        .iter()
        .filter(|template| template.slots().is_empty())
        .map(|template| template.name.as_str())
        .collect();
    assert!(!fixed.is_empty());
    for request in [config, only(fixed[0]), only(fixed[fixed.len() / 2])] {
        for seed in 0..20 {
            let entries = invent(&request, &templates, seed, start_of(seed)).unwrap();
            let same =
                |pair: &&[Invented]| pair[0].process_id == pair[1].process_id && pair[0].text == pair[1].text;
            assert_eq!(entries.windows(2).find(same), None);
        }
    }
}
