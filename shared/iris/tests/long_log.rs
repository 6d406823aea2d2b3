//! A log as long as the real one that the rows were written after: 49,450 entries, made here by plain formatting.

use instance_iris::messages_log::{NewEntry, Options, Reader, parse, write_entry};

const ENTRIES: usize = 49_450;

/// What one entry was made of.
struct Made {
    process_id: u64,
    severity: u8,
    category: Option<&'static str>,
    text: String,
}

/// Process ids beyond 999,999, digits in categories, none at all, empty first lines, continuations, blank lines within.
fn made(number: usize) -> Made {
    let process_id = [7, 50_745, 999_999, 1_000_000, 4_114_424][number % 5] + (number / 5) as u64;
    let category =
        [Some("Generic.Event"), Some("Utility.Event2"), None, Some("ISC9.Mirror_2"), Some("WriteDaemon")];
    let text = match number % 7 {
        0 => format!("\n\tentry {number} has an empty first line"),
        1 => format!("entry {number}\n  goes on\n\tand on"),
        2 => format!("entry {number} (pid 12) 2 [Not.A.Category] 10/10/25-10:10:10:100 within"),
        3 => format!("entry {number}\n\nafter a blank line"),
        4 => format!("entry {number} with gr\u{fc}n"),
        _ => format!("entry {number}"),
    };
    let severity = u8::try_from(number % 4).expect("less than four");
    Made { process_id, severity, category: category[number % 3 + number % 2], text }
}

/// Stamps rise by 17 ms.
fn stamp(number: usize) -> String {
    let at = number * 17;
    let (hour, minute) = (at / 3_600_000, at / 60_000 % 60);
    format!("11/14/25-{hour:02}:{minute:02}:{:02}:{:03}", at / 1000 % 60, at % 1000)
}

fn line(number: usize) -> String {
    let Made { process_id, severity, category, text } = made(number);
    let category = category.map(|name| format!("[{name}] ")).unwrap_or_default();
    format!("{} ({process_id}) {severity} {category}{text}\n", stamp(number))
}

#[test]
fn every_entry_of_a_long_log_is_read_and_the_same_bytes_are_written_back() {
    let log: String = (0..ENTRIES).map(line).collect();
    let entries = parse(log.as_bytes());
    assert_eq!(entries.len(), ENTRIES);
    let mut written = Vec::with_capacity(log.len());
    for (number, entry) in entries.iter().enumerate() {
        let (header, made) = (entry.header.as_ref().expect("each has one"), made(number));
        let severity = header.severity.expect("each has one");
        assert_eq!(header.timestamp.to_string(), stamp(number));
        assert_eq!((header.process_id, severity.as_u8()), (made.process_id, made.severity), "entry {number}");
        assert_eq!(header.category.as_deref(), made.category, "entry {number}");
        assert_eq!(entry.message_text(), made.text, "entry {number}");
        let again = NewEntry {
            timestamp: header.timestamp,
            process_id: header.process_id,
            severity,
            category: header.category.as_deref(),
            text: &entry.message_text(),
            repeated: entry.repeated(),
        };
        write_entry(&mut written, &again).expect("what was read can be written");
    }
    assert!(written == log.as_bytes(), "written anew from the values, byte for byte");
    let raw: Vec<u8> = entries.iter().flat_map(|entry| entry.raw.iter().copied()).collect();
    assert!(raw == log.as_bytes(), "the raw fields put together");

    let mut reader = Reader::new(Options::whole());
    let mut cut: Vec<_> = log.as_bytes().chunks(4093).flat_map(|bytes| reader.push(bytes)).collect();
    cut.extend(reader.finish());
    assert!(cut == entries, "in pieces that end anywhere");
}
