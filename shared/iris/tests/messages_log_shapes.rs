//! Every shape of entry that real logs hold, read from a log written for this test.

use expect_test::expect;
use instance_iris::messages_log::{
    Entry, Keep, NewEntry, Options, Reader, Severity, Timestamp, WriteError, parse, write_entry,
};

const LOG: &[u8] = include_bytes!("fixtures/messages.log");

fn show(entry: &Entry) -> String {
    let head = match &entry.header {
        None if entry.is_recovery_banner() => "banner".to_owned(),
        None => "no header".to_owned(),
        Some(header) => format!(
            "{} {} {} {}",
            header.timestamp,
            header.process_id,
            header.severity.map_or("-", Severity::name),
            header.category.as_deref().unwrap_or("-"),
        ),
    };
    let notes: String = [
        (entry.repeated() > 0).then(|| format!(" repeated={}", entry.repeated())),
        entry.truncated().then(|| format!(" dropped={}", entry.dropped_bytes())),
        entry.is_process_dump().then(|| " dump".to_owned()),
        entry.is_damaged_repeat().then(|| " damaged".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect();
    format!("{:>4} {head}{notes}\n     {:?}\n", entry.offset, entry.message_text())
}

#[test]
fn a_log_with_every_shape() {
    let found: String = parse(LOG).iter().map(show).collect();
    expect![[r#"
           0 no header
             "tail of a line that an older file began\n"
          41 01/02/26-07:02:11:640 812 info Generic.Event
             "\nStartup of InterSystems IRIS [IRIS for UNIX (Example Linux for x86-64) 2025.2 (Build 1U) Thu Jul 10 2025 11:11:10 EDT]\n\tin ../bin/\n\twith mgr: /srv/iris/mgr\n  nodename=[db01.example.test].\n  System Initialized."
         298 01/02/26-07:02:11:655 4114424 info WriteDaemon.Started
             "Write daemon started."
         376 01/02/26-07:02:11:700 812 info Database.MountedRO
             "Mounted database /srv/iris/mgr/irislib/ (SFN 1) read-only. Database label is marked read-only. "
         523 01/02/26-07:02:12:001 901 severe Utility.Event
             " See output in /srv/iris/mgr/start.log"
         608 01/02/26-07:02:12:002 901 severe Utility.Event
             "[SYSTEM MONITOR] ECPClientState Alert: ECP reports Clients state 6"
         721 01/02/26-07:02:13:000 901 severe -
             "[SYSTEM MONITOR] CPUusage Alert: CPUusage = 91, 88, 93 (Max value is 85)."
         825 01/02/26-07:02:14:000 901 warning Generic.Event repeated=3
             "Warning: Alternate and primary journal directories are the same"
         956 01/02/26-07:02:15:000 429 warning - repeated=1 damaged
             "dRO]  opening CPF file to get IRISTEMP and IRISLOCALDATA directories, using defaults"
        1113 01/02/26-07:02:16:000 410 fatal Generic.Event
             "CP: Pausing users because the Write Daemon has not shown\n    signs of activity for 301 seconds. Users will resume if Write Daemon completes a\n    pass or writes to disk (wdpass=3)."
        1340 01/02/26-07:02:17:000 410 fatal Generic.Event repeated=2 dropped=135 dump
             "*** SERIOUS INTERSYSTEMS IRIS ERROR THAT COULD CAUSE DATABASE DEGRADATION\n\tHAS OCCURRED.  TO PREVENT DEGRADATION THE WRITE DAEMON WILL NOT RUN ***\nERROR: <DATABASE> (28)  FILE: 21   (/srv/data/app/)  GLOBAL: App.LogD  PID: 413"
        1770 06/14/18-14:25:05:988 3788 info -
             "$ZF(-100) cmd=/bin/true"
        1825 08/10-11:19:47:024 2240 - -
             "System Initialized.\nlog: 01/02/26-07:02:18:000 (1) 0 [Utility.Event] told by a container's output"
        1950 01/02/26-07:02:19:000 410 info Generic.Event
             "last words"
        2007 banner
             "*** Recovery started at Fri Jan  2 07:05:58 2026\n     Current default directory: /srv/iris/mgr\nExiting with status 3 (Success)"
        2137 01/02/26-07:05:59:000 77 info Utility.Event
             "caf� and grün\n with a line end of another kind"
        2232 01/02/26-07:06:00:000 77 info Utility.Event
             "no line end"
    "#]].assert_eq(&found);
}

#[test]
fn a_license_key_never_leaves_with_a_tailers_entry() {
    let mut reader = Reader::new(Options::bounded());
    let mut entries = reader.push(LOG);
    entries.extend(reader.finish());
    let dump = entries.iter().find(|entry| entry.is_process_dump()).expect("the log holds a dump");
    assert!(!String::from_utf8_lossy(&dump.raw).contains("IRISSTAT"));
    for entry in &entries {
        assert!(!String::from_utf8_lossy(&entry.raw).contains("NEVER-SHOWN"));
    }
    for entry in parse(LOG) {
        assert!(!entry.message_text().contains("NEVER-SHOWN"), "nor in the text of a lossless one");
    }
}

#[test]
fn a_dump_that_goes_on_after_a_quiet_time_stays_cut() {
    for rest in [&b"LicenseKey: EXAMPLE\n"[..], b"\n", b"Li"] {
        let mut reader = Reader::new(Options::bounded());
        assert!(reader.push(b"01/02/26-07:02:16:000 (410) 3 x\nIRISSTAT: Data\n").is_empty());
        assert!(reader.finish().unwrap().is_process_dump());
        let mut entries = reader.push(rest);
        entries.extend(reader.finish());
        entries.extend(reader.push(b"censeKey: EXAMPLE\n01/02/26-07:02:17:000 (410) 0 next\n"));
        entries.extend(reader.finish());
        let (next, dump) = entries.split_last().unwrap();
        assert_eq!((next.message_text().as_ref(), next.is_process_dump()), ("next", false));
        assert!(dump.iter().all(|entry| entry.is_process_dump() && entry.raw.is_empty()), "{entries:?}");
        assert!(dump.iter().all(|entry| entry.message_text().is_empty() && entry.truncated()));
    }
}

#[test]
fn an_endless_entry_is_bounded_and_says_what_it_lost() {
    let options = Options { text_limit: 1000, keep: Keep::Bounded };
    let mut reader = Reader::new(options);
    let mut entries = reader.push(b"01/02/26-07:02:16:000 (410) 3 [Generic.Event] begins\n");
    for _ in 0..10_000 {
        entries.extend(reader.push(b" and goes on and on\n"));
    }
    entries.extend(reader.finish());
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].message_text().len(), 1000);
    assert_eq!(entries[0].raw.len() as u64 + entries[0].dropped_bytes(), 200_000 + 53);
    assert!(entries[0].truncated());
}

#[test]
fn a_cut_text_ends_at_a_whole_character() {
    let log = "01/02/26-07:02:16:000 (410) 3 abc\u{fc}\u{fc}\n".as_bytes();
    for (text_limit, text) in
        [(3, "abc"), (4, "abc"), (5, "abc\u{fc}"), (6, "abc\u{fc}"), (7, "abc\u{fc}\u{fc}")]
    {
        let mut reader = Reader::new(Options { text_limit, keep: Keep::Bounded });
        assert!(reader.push(log).is_empty());
        assert_eq!(reader.finish().unwrap().message_text(), text, "{text_limit}");
    }
}

#[test]
fn the_last_entry_waits_and_says_so() {
    let mut reader = Reader::starting_at(Options::bounded(), 1_000);
    assert_eq!(reader.pending(), None);
    assert!(reader.push(b"01/02/26-07:02:16:000 (410) 3 Sys").is_empty());
    let pending = reader.pending().unwrap();
    assert_eq!((pending.offset, pending.bytes, pending.line_complete), (1_000, 33, false));
    assert!(reader.push(b"tem frozen\n").is_empty());
    assert!(reader.pending().unwrap().line_complete);
    assert_eq!(reader.finish().unwrap().message_text(), "System frozen");
    assert_eq!(reader.pending(), None);
    let later = reader.push(b" more\n01/02/26-07:02:17:000 (410) 0 next\n");
    assert_eq!((later[0].offset, later[0].header.clone()), (1_044, None));
}

#[test]
fn entries_are_written_as_iris_writes_them() {
    let timestamp = Timestamp::new((2026, 1, 2), (7, 2, 14, 5)).unwrap();
    let entry = NewEntry {
        timestamp,
        process_id: 901,
        severity: Severity::Warning,
        category: Some("Generic.Event"),
        text: "one\n    two",
        repeated: 3,
    };
    let mut out = Vec::new();
    write_entry(&mut out, &entry).unwrap();
    write_entry(&mut out, &NewEntry { category: None, text: "", repeated: 0, ..entry }).unwrap();
    let written = "01/02/26-07:02:14:005 (901) 1 [Generic.Event] one\n    two...(repeated 3 times)\n\
                   01/02/26-07:02:14:005 (901) 1 \n";
    assert_eq!(String::from_utf8(out).unwrap(), written);
}

#[test]
fn what_would_read_back_as_something_else_is_refused() {
    let timestamp = Timestamp::new((2026, 1, 2), (7, 2, 14, 5)).unwrap();
    let check = |category: Option<&str>, text: &str, expected: WriteError| {
        let entry =
            NewEntry { timestamp, process_id: 1, severity: Severity::Info, category, text, repeated: 0 };
        let mut out = Vec::new();
        assert_eq!(write_entry(&mut out, &entry), Err(expected), "{text:?}");
        assert!(out.is_empty());
    };
    check(Some("SYSTEM MONITOR"), "x", WriteError::Category("SYSTEM MONITOR".to_owned()));
    check(Some(""), "x", WriteError::Category(String::new()));
    check(None, "[Python] x", WriteError::LooksLikeCategory("Python".to_owned()));
    check(None, "a\rb", WriteError::CarriageReturn);
    check(None, "a\n", WriteError::TrailingLineEnd);
    check(None, "dRW] x", WriteError::LooksDamaged);
    check(None, "x...(repeated 2 times)", WriteError::LooksRepeated);
    check(None, "a\n01/02/26-07:02:14:005 (1) 0 forged", WriteError::LooksLikeEntry(2));
    check(None, "a\nb\n*** Recovery started at now", WriteError::LooksLikeEntry(3));
    check(None, "a\nIRISSTAT: x", WriteError::LooksLikeDump(2));
    check(None, &"x".repeat(70_000), WriteError::TooLong(70_000));
}
