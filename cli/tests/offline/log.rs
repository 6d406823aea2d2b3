//! `instance log parse`.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::run::{Run, extra_samples, instance, instance_with};

const LOG: &[u8] = b"text before the first stamp\n\
11/14/25-09:45:55:657 (50745) 2 [Utility.Event] LMF Error: No valid license key.\n\
11/14/25-09:45:56:000 (4194303) 0 [Generic.Event] \r\n  with a continuation\r\n\
*** Recovery started at Fri Nov 14 09:45:57 2025\n     Current default directory: /usr/irissys/mgr\n\
11/14/25-09:45:58:001 (50745) 1 [Utility.Event] again...(repeated 3 times)\n\
11/14/25-09:45:59:002 (7) 3 old, without a category and not \xff UTF-8";

fn entries(run: &Run) -> Vec<Value> {
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn put_together(entries: &[Value]) -> Vec<u8> {
    let raw = |entry: &Value| match entry.get("raw_base64") {
        Some(encoded) => STANDARD.decode(encoded.as_str().unwrap()).unwrap(),
        None => entry["raw"].as_str().unwrap().as_bytes().to_vec(),
    };
    entries.iter().flat_map(raw).collect()
}

#[test]
fn every_entry_is_one_line_of_json_named_as_in_an_iris_message() {
    let run = instance_with(&[&"log", &"parse", &"-", &"--json"], LOG, &[]).exits(0);
    let entries = entries(&run);
    assert_eq!(put_together(&entries), LOG);
    let stamps: Vec<&Value> = entries.iter().map(|entry| &entry["timestamp"]).collect();
    assert_eq!(
        stamps,
        [
            &Value::Null,
            &json!("11/14/25-09:45:55:657"),
            &json!("11/14/25-09:45:56:000"),
            &Value::Null,
            &json!("11/14/25-09:45:58:001"),
            &json!("11/14/25-09:45:59:002"),
        ]
    );
    assert_eq!(
        entries[1],
        json!({
            "schema": "instance.cli.v1.log_entry", "offset": 28, "timestamp": "11/14/25-09:45:55:657",
            "process_id": 50745, "severity": 2, "category": "Utility.Event",
            "message_text": "LMF Error: No valid license key.", "truncated": false, "repeated": 0,
            "raw": "11/14/25-09:45:55:657 (50745) 2 [Utility.Event] LMF Error: No valid license key.\n",
        })
    );
    assert_eq!(entries[2]["message_text"], "\n  with a continuation");
    assert_eq!((&entries[4]["repeated"], &entries[4]["message_text"]), (&json!(3), &json!("again")));
    assert_eq!((&entries[5]["category"], &entries[5]["severity"]), (&Value::Null, &json!(3)));
    assert!(entries[5]["raw_base64"].is_string(), "{}", entries[5]);
}

#[test]
fn people_get_text_that_cannot_command_their_terminal() {
    let log = b"11/14/25-09:45:55:657 (50745) 1 [Utility.Event] \x1b[2Jcleared\n  and more\n";
    let run = instance_with(&[&"log", &"parse", &"-"], log, &[]).exits(0);
    assert_eq!(
        run.stdout,
        "11/14/25-09:45:55:657 warning   50745 [Utility.Event] \\u{1b}[2Jcleared\n      and more\n"
    );
}

#[test]
fn an_empty_log_has_no_entries() {
    let run = instance_with(&[&"log", &"parse", &"-", &"--json"], b"", &[]).exits(0);
    assert_eq!(run.stdout, "");
}

#[test]
fn a_log_without_any_stamp_comes_in_parts_that_make_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("messages.log");
    let log: Vec<u8> =
        (0..2_000_000).flat_map(|line| format!("no stamp on line {line}\n").into_bytes()).collect();
    assert!(log.len() > 33 * 1024 * 1024);
    fs::write(&file, &log).unwrap();
    let run = instance(&[&"log", &"parse", &file, &"--json"]).exits(0);
    let entries = entries(&run);
    assert!(entries.len() > 1, "memory would grow with the file");
    assert!(put_together(&entries) == log, "the parts do not make the file");
}

/// Real logs, where they are at hand (`../shared`).
#[test]
fn raw_fields_of_the_extra_samples_put_together_give_each_file() {
    for file in extra_samples("", "log") {
        let run = instance(&[&"log", &"parse", &file, &"--json"]).exits(0);
        assert!(put_together(&entries(&run)) == fs::read(&file).unwrap(), "{}", file.display());
    }
}
