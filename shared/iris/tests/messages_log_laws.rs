//! The laws of the messages log: chunks make no difference, nothing is lost, what is written reads back.

use std::str::FromStr;

use instance_iris::messages_log::{
    Entry, Keep, NewEntry, Options, Reader, Severity, Timestamp, parse, write_entry,
};
use proptest::{collection::vec, prelude::*, sample::select};

const PARTS: &[&[u8]] = &[
    b"11/14/25-09:45:55:657 (50745) 0 [Generic.Event] ",
    b"11/14/25-09:45:55:657 (1) 2 text",
    b"11/14/25-09:45:55:657 (1)",
    b"08/10-11:19:47:024 ( 2240) System Initialized.",
    b"*** Recovery started at Fri Nov 14 10:48:58 2025",
    b"*** Recovery",
    b"...(repeated 7 times)",
    b"IRISSTAT: Data",
    b"dRO] opening",
    b"11/14/25-",
    b"\n",
    b"\n",
    b"\n\n\n",
    b"\r\n",
    b"\r",
    b"\tin ../bin/",
    "gr\u{fc}n \u{1f600}".as_bytes(),
    b"\xff\x00\xe9",
    b" ",
    b"0",
];

fn log_bytes() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![9 => select(PARTS).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..40)];
    vec(part, 0..40).prop_map(|parts| parts.concat())
}

fn read_in_chunks(bytes: &[u8], cuts: &[usize], options: Options) -> Vec<Entry> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut reader = Reader::new(options);
    let mut entries = Vec::new();
    let mut from = 0;
    for to in cuts.into_iter().chain([bytes.len()]) {
        entries.extend(reader.push(&bytes[from..to]));
        let pending = reader.pending().map_or(0, |pending| pending.bytes);
        let handed_out = reader.pending().map_or(to as u64, |pending| pending.offset);
        assert_eq!(handed_out + pending, to as u64, "everything is either handed out or pending");
        from = to;
    }
    entries.extend(reader.finish());
    assert_eq!(reader.pending(), None);
    entries
}

/// Where entries begin, found the slow way: line by line, with nothing of the reader's.
fn starts_by_hand(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![];
    let mut blank_from = None;
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if is_stamped_by_hand(line) || at == 0 {
            starts.push(at);
        } else if line.starts_with(b"*** Recovery started at ") {
            starts.push(blank_from.unwrap_or(at));
        }
        let blank = line == b"\n" || line == b"\r\n";
        blank_from = blank.then(|| blank_from.unwrap_or(at));
        at += line.len();
    }
    starts.dedup();
    starts
}

fn is_stamped_by_hand(line: &[u8]) -> bool {
    let Some(bracket) = line.windows(2).position(|pair| pair == b" (") else { return false };
    let stamped = std::str::from_utf8(&line[..bracket]).is_ok_and(|text| Timestamp::from_str(text).is_ok());
    let rest = &line[bracket + 2..];
    let Some(close) = rest.iter().position(|byte| *byte == b')') else { return false };
    let id = rest[..close].trim_ascii_start();
    let numbered = !id.is_empty() && id.len() < 20 && id.iter().all(u8::is_ascii_digit);
    let after = &rest[close + 1..];
    let apart = after.starts_with(b" ") || after.starts_with(b"\n") || after.starts_with(b"\r\n");
    stamped && numbered && close <= 20 && apart
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn raw_fields_put_together_are_the_log(bytes in log_bytes()) {
        let entries = parse(&bytes);
        let together: Vec<u8> = entries.iter().flat_map(|entry| entry.raw.clone()).collect();
        prop_assert_eq!(&together, &bytes);
        let offsets: Vec<usize> = entries.iter().map(|entry| usize::try_from(entry.offset).unwrap()).collect();
        prop_assert_eq!(offsets, starts_by_hand(&bytes));
    }

    #[test]
    fn chunks_make_no_difference(bytes in log_bytes(), cuts in vec(any::<usize>(), 0..12)) {
        prop_assert_eq!(read_in_chunks(&bytes, &cuts, Options::whole()), parse(&bytes));
        for text_limit in [0, 5, 80, Options::DEFAULT_TEXT_LIMIT] {
            let options = Options { text_limit, keep: Keep::Bounded };
            let at_once = read_in_chunks(&bytes, &[], options);
            prop_assert_eq!(&read_in_chunks(&bytes, &cuts, options), &at_once);
            let every_byte: Vec<usize> = (0..bytes.len()).collect();
            prop_assert_eq!(&read_in_chunks(&bytes, &every_byte, options), &at_once);
        }
    }

    #[test]
    fn a_bound_changes_raw_and_nothing_else(bytes in log_bytes(), text_limit in 0_usize..200) {
        let whole = read_in_chunks(&bytes, &[], Options { text_limit, keep: Keep::Whole });
        let bounded = read_in_chunks(&bytes, &[], Options { text_limit, keep: Keep::Bounded });
        prop_assert_eq!(whole.len(), bounded.len());
        for (whole, bounded) in whole.iter().zip(&bounded) {
            prop_assert_eq!(&whole.header, &bounded.header);
            prop_assert_eq!(whole.message_text(), bounded.message_text());
            prop_assert_eq!(whole.repeated(), bounded.repeated());
            prop_assert_eq!(whole.dropped_bytes(), bounded.dropped_bytes());
            prop_assert!(bounded.raw.len() <= text_limit + 256);
            prop_assert_eq!(whole.raw.len() as u64, bounded.raw.len() as u64 + bounded.dropped_bytes());
            prop_assert!(whole.raw.starts_with(&bounded.raw));
            prop_assert_eq!(whole.is_process_dump(), bounded.is_process_dump());
        }
    }

    #[test]
    fn a_reader_that_was_flushed_goes_on_without_loss(bytes in log_bytes(), cut in any::<usize>()) {
        let cut = cut % (bytes.len() + 1);
        let mut reader = Reader::new(Options::whole());
        let mut entries = reader.push(&bytes[..cut]);
        entries.extend(reader.finish());
        entries.extend(reader.push(&bytes[cut..]));
        entries.extend(reader.finish());
        let together: Vec<u8> = entries.iter().flat_map(|entry| entry.raw.clone()).collect();
        prop_assert_eq!(together, bytes);
    }

    #[test]
    fn what_is_written_reads_back(
        (timestamp, process_id, repeated) in (stamps(), any::<u64>(), prop_oneof![Just(0), any::<u32>()]),
        severity in select(&Severity::ALL[..]),
        category in proptest::option::of("[A-Za-z][A-Za-z0-9._]{0,12}"),
        text in texts(),
    ) {
        let category = category.as_deref();
        let entry = NewEntry { timestamp, process_id, severity, category, text: &text, repeated };
        let mut bytes = b"*** Recovery started at Fri Nov 14 10:48:58 2025\n".to_vec();
        let before = bytes.clone();
        if write_entry(&mut bytes, &entry).is_err() {
            prop_assert_eq!(bytes, before, "a refusal writes nothing");
            return Ok(());
        }
        // What follows must not change it either.
        bytes.extend_from_slice(b"\n\n*** Recovery started at Fri Nov 14 10:48:58 2025\n");
        let entries = parse(&bytes);
        prop_assert_eq!(entries.len(), 3);
        let header = entries[1].header.as_ref().expect("a stamped entry");
        prop_assert_eq!(header.timestamp, timestamp);
        prop_assert_eq!(header.process_id, process_id);
        prop_assert_eq!(header.severity, Some(severity));
        prop_assert_eq!(header.category.as_deref(), category);
        prop_assert_eq!(entries[1].message_text(), text.as_str());
        prop_assert_eq!(entries[1].repeated(), repeated);
        prop_assert!(!entries[1].truncated() && !entries[1].is_damaged_repeat());
    }
}

fn stamps() -> impl Strategy<Value = Timestamp> {
    ((2000_u16..2100, 1_u8..13, 1_u8..29), (0_u8..24, 0_u8..60, 0_u8..60, 0_u16..1000))
        .prop_map(|(date, time)| Timestamp::new(date, time).expect("every such moment is real"))
}

fn texts() -> impl Strategy<Value = String> {
    let parts: Vec<&str> = PARTS.iter().filter_map(|part| std::str::from_utf8(part).ok()).collect();
    let part = prop_oneof![select(parts).prop_map(str::to_owned), "\\PC{0,20}", "\\[[A-Z a-z.]{1,8}\\] "];
    vec(part, 0..6).prop_map(|parts| parts.concat())
}
