//! The laws on real files. They are no part of the tree: the tests look for them beside it, in
//! `../shared/reference/iris/samples` from the root of the repository, and are skipped where they are not.

// Testkit rests on this room, so its function is taken as it stands.
#[path = "../../testkit/src/skipped.rs"]
mod skipped;

use std::{fs, path::PathBuf};

use instance_iris::{
    cpf::{Document, check},
    messages_log::{Entry, Keep, Options, Reader, parse},
};

use crate::skipped::skipped;

fn samples(folder: &str, ending: &str) -> Vec<(String, Vec<u8>)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/iris/samples");
    let Ok(files) = fs::read_dir(root.join(folder)) else {
        skipped(format_args!("there are no real files in {}", root.display()));
        return Vec::new();
    };
    let mut samples: Vec<(String, Vec<u8>)> = files
        .map(|file| file.expect("a readable sample").path())
        .filter(|path| path.extension().is_some_and(|it| it == ending))
        .map(|path| (path.display().to_string(), fs::read(&path).expect("a readable sample")))
        .collect();
    samples.sort();
    samples
}

fn read(bytes: &[u8], chunk: usize, options: Options) -> Vec<Entry> {
    let mut reader = Reader::new(options);
    let mut entries: Vec<Entry> = bytes.chunks(chunk).flat_map(|bytes| reader.push(bytes)).collect();
    entries.extend(reader.finish());
    entries
}

/// Lines that begin with a digit and hold the whole frame of a stamp, counted in a way of its own.
fn stamped_lines(bytes: &[u8]) -> usize {
    let frame = |line: &[u8]| {
        line.len() > 24 && line[2] == b'/' && line[5] == b'/' && line[8] == b'-' && &line[21..23] == b" ("
    };
    bytes.split(|byte| *byte == b'\n').filter(|line| frame(line)).count()
}

#[test]
fn real_samples_round_trip_when_shared_is_there() {
    for (name, bytes) in samples("", "log") {
        let entries = parse(&bytes);
        let together: Vec<u8> = entries.iter().flat_map(|entry| entry.raw.clone()).collect();
        assert!(together == bytes, "{name}: raw fields put together are the file");
        for chunk in [1, 7, 64, 4096, 1 << 20] {
            assert!(read(&bytes, chunk, Options::whole()) == entries, "{name} in chunks of {chunk}");
        }
        let options = Options { text_limit: 300, keep: Keep::Bounded };
        let at_once = read(&bytes, bytes.len(), options);
        for chunk in [1, 13, 4096] {
            assert!(read(&bytes, chunk, options) == at_once, "{name} bounded, in chunks of {chunk}");
        }
        let stamped = entries.iter().filter(|entry| entry.header.is_some()).count();
        assert_eq!(stamped, stamped_lines(&bytes), "{name}");
        let headers = || entries.iter().filter_map(|entry| entry.header.as_ref());
        assert!(headers().all(|header| header.severity.is_some()), "{name}");
        if name.contains("/messages-") || name.contains("/alerts-") {
            assert!(headers().all(|header| header.category.is_some()), "{name}");
        }
    }
}

#[test]
fn the_real_rhel_log_has_its_banners_and_repeats_when_shared_is_there() {
    let logs = samples("", "log");
    let Some((_, bytes)) = logs.iter().find(|(name, _)| name.contains("/messages-rhel9")) else { return };
    let text = String::from_utf8(bytes.clone()).unwrap();
    let entries = parse(bytes);
    let banners: Vec<&Entry> = entries.iter().filter(|entry| entry.is_recovery_banner()).collect();
    assert_eq!(
        banners.len(),
        text.lines().filter(|line| line.starts_with("*** Recovery started at ")).count()
    );
    assert!(banners.iter().all(|entry| entry.raw.starts_with(b"\n\n\n*")), "three blank lines before each");
    assert_eq!(entries.iter().filter(|entry| entry.header.is_none()).count(), banners.len());
    let repeated = entries.iter().filter(|entry| entry.repeated() > 0).count();
    assert_eq!(repeated, text.lines().filter(|line| line.ends_with(" times)")).count());
    let dumps: Vec<&Entry> = entries.iter().filter(|entry| entry.is_process_dump()).collect();
    assert_eq!(dumps.len(), 1);
    assert_eq!(dumps[0].repeated(), 2, "the counter stands above the dump");
    assert!(dumps[0].message_text().ends_with("line 6772"));
}

#[test]
fn real_cpf_files_round_trip_when_shared_is_there() {
    let full = samples("cpf", "cpf");
    for (name, bytes) in full.iter().chain(&samples("merge", "cpf")) {
        let mut document = Document::parse(bytes);
        assert!(document.to_bytes() == *bytes, "{name}");
        let entries: Vec<(String, String, String)> = document
            .all_entries()
            .map(|it| (it.section.unwrap().to_owned(), it.name.to_owned(), it.value.to_owned()))
            .collect();
        for (section, parameter, value) in entries {
            if document.set(&section, &parameter, "x,1;#").is_err() {
                assert_eq!(section, "Actions", "{name}: {parameter}: only operations repeat");
                continue;
            }
            assert!(document.to_bytes() != *bytes, "{name}: {section}/{parameter}");
            document.set(&section, &parameter, &value).unwrap();
            assert!(document.to_bytes() == *bytes, "{name}: {section}/{parameter}");
        }
    }
    for (name, bytes) in full {
        assert_eq!(check(&Document::parse(&bytes)), [], "{name}");
    }
}
