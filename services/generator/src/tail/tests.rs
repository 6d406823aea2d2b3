use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;

use instance_iris::messages_log::parse;
use instance_testkit::skipped;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;

const QUIET: Duration = Duration::from_millis(500);
const FIRST: &str = "11/14/25-09:45:55:657 (50745) 2 [Utility.Event] LMF Error: first\n";
const SECOND: &str = "11/14/25-09:45:56:000 (50746) 0 [Generic.Event] second\n";

/// A folder with a log, somebody who follows it, and a clock that is moved by hand.
struct Incident {
    folder: tempfile::TempDir,
    tail: Tail,
    now: Instant,
    parts: Vec<Part>,
    /// Files are stamped by this, so that their order does not hang on the resolution of the file system.
    written: SystemTime,
    rotations: u32,
}

impl Incident {
    fn new() -> Self {
        Self::starting_at(StartAt::Beginning)
    }

    fn starting_at(start_at: StartAt) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tail = Tail::new(&folder.path().join("messages.log"), None, QUIET, start_at);
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        Self { folder, tail, now: Instant::now(), parts: Vec::new(), written, rotations: 0 }
    }

    fn live(&self) -> PathBuf {
        self.folder.path().join("messages.log")
    }

    fn append(&mut self, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.live()).unwrap();
        file.write_all(text.as_ref()).unwrap();
        self.written += Duration::from_secs(1);
        file.set_modified(self.written).unwrap();
    }

    fn old_name(&mut self) -> PathBuf {
        self.rotations += 1;
        self.folder.path().join(format!("messages.old_20260926_{:04}", self.rotations))
    }

    fn rename(&mut self) {
        let old = self.old_name();
        fs::rename(self.live(), old).unwrap();
    }

    fn copy_and_truncate(&mut self) {
        let old = self.old_name();
        fs::copy(self.live(), &old).unwrap();
        File::open(&old).unwrap().set_modified(self.written).unwrap();
        OpenOptions::new().write(true).truncate(true).open(self.live()).unwrap();
    }

    /// Looks until nothing more is to be had now.
    fn look(&mut self) {
        loop {
            let look = self.tail.look(self.now).unwrap();
            let more = look.more;
            self.parts.extend(look.parts);
            if !more {
                return;
            }
        }
    }

    fn look_after_quiet(&mut self) {
        for _ in 0..4 {
            self.look();
            self.now += QUIET;
        }
        self.look();
    }

    /// The process dies and comes back with the cursor of its last part.
    fn restart(&mut self) {
        let resume = self.parts.last().map(|part| part.position.clone());
        self.tail = Tail::new(&self.live(), resume, QUIET, StartAt::Beginning);
    }

    fn told(&self) -> Vec<String> {
        let told = self.parts.iter().filter(|part| !part.is_silent());
        told.map(|part| {
            let mark = if part.continues.is_some() { "+" } else { "" };
            format!("{mark}{}", part.entry.message_text())
        })
        .collect()
    }
}

#[test]
fn the_last_entry_leaves_after_a_quiet_time_and_a_log_may_come_later() {
    let mut incident = Incident::new();
    incident.look_after_quiet();
    incident.append(FIRST);
    incident.look();
    assert!(incident.told().is_empty());
    incident.append(SECOND);
    incident.look();
    assert_eq!(incident.told(), ["LMF Error: first"]);
    incident.look_after_quiet();
    assert_eq!(incident.told(), ["LMF Error: first", "second"]);
    incident.restart();
    incident.look_after_quiet();
    assert_eq!(incident.told().len(), 2);
}

#[test]
fn what_comes_after_the_quiet_time_is_a_continuation_also_after_a_restart() {
    for restarts in [false, true] {
        let mut incident = Incident::new();
        incident.append(SECOND.trim_end());
        incident.look_after_quiet();
        assert!(incident.parts.is_empty(), "a line that has not ended is waited for");
        for _ in 0..2 {
            incident.now += QUIET * WITHIN_LINE;
            incident.look();
        }
        if restarts {
            incident.restart();
        }
        incident.append("...(repeated 3 times)\n");
        incident.look_after_quiet();
        if restarts {
            incident.restart();
        }
        incident.append("\tmore of it\n");
        incident.append(FIRST);
        incident.look_after_quiet();
        assert_eq!(incident.told(), ["second", "+", "+\tmore of it", "LMF Error: first"]);
        assert_eq!(incident.parts[1].entry.repeated(), 3);
        let begun = incident.parts[2].continues.as_ref().unwrap();
        assert_eq!((begun.offset, begun.header.as_ref().unwrap().process_id), (0, 50746));
        assert_eq!(incident.parts[2].position.entry, 0);
    }
}

#[test]
fn a_dump_is_never_told_however_it_is_cut() {
    let dump = "InterSystems IRIS-IRISSTAT (7) Fri Nov 14\nsecret one\nsecret two\n";
    for restarts in [false, true] {
        let mut incident = Incident::new();
        incident.append(FIRST);
        incident.append(&dump[..50]);
        incident.look_after_quiet();
        if restarts {
            incident.restart();
        }
        incident.append(&dump[50..]);
        incident.look_after_quiet();
        if restarts {
            incident.restart();
        }
        incident.append("secret three\n");
        incident.look_after_quiet();
        incident.append(SECOND);
        incident.look_after_quiet();
        assert_eq!(incident.told(), ["LMF Error: first", "second"]);
        for part in &incident.parts {
            let raw = String::from_utf8_lossy(&part.entry.raw);
            assert!(!raw.contains("secret") && !raw.contains("IRISSTAT"), "{raw}");
        }
    }
}

#[test]
fn rotation_by_rename_loses_nothing_even_twice_while_nobody_looks() {
    for restarts in [false, true] {
        let mut incident = Incident::new();
        incident.append(FIRST);
        incident.look_after_quiet();
        incident.append(SECOND);
        incident.rename();
        incident.append("11/14/25-09:46:00:000 (1) 0 [A.b] a whole log came and went\n");
        incident.rename();
        incident.append("11/14/25-09:47:00:000 (1) 0 [A.b] third log\n");
        if restarts {
            incident.restart();
        }
        incident.look_after_quiet();
        incident.look_after_quiet();
        assert_eq!(incident.told(), ["LMF Error: first", "second", "a whole log came and went", "third log"]);
    }
}

#[test]
fn a_log_that_is_cut_off_goes_on_in_its_copy_and_then_anew() {
    for restarts in [false, true] {
        let mut incident = Incident::new();
        incident.append(FIRST);
        incident.look_after_quiet();
        incident.append(SECOND);
        incident.copy_and_truncate();
        incident.append("11/14/25-09:47:00:000 (1) 0 [A.b] anew\n");
        if restarts {
            incident.restart();
        }
        incident.look_after_quiet();
        assert_eq!(incident.told(), ["LMF Error: first", "second", "anew"]);
    }
}

#[test]
fn a_log_written_anew_to_a_greater_length_between_two_looks_is_noticed() {
    let mut incident = Incident::new();
    incident.append(FIRST);
    incident.look_after_quiet();
    fs::remove_file(incident.live()).unwrap();
    incident.append(format!("{SECOND}{SECOND}{SECOND}"));
    incident.look_after_quiet();
    assert_eq!(incident.told(), ["LMF Error: first", "second", "second", "second"]);
    let ids: std::collections::BTreeSet<_> =
        incident.parts.iter().map(|part| part.position.file.to_string()).collect();
    assert_eq!(ids.len(), 2);
}

#[test]
fn a_log_moved_by_a_copy_goes_on_where_it_was() {
    for restarts in [false, true] {
        let mut incident = Incident::new();
        incident.append(FIRST);
        incident.look_after_quiet();
        let aside = incident.folder.path().join("aside");
        fs::copy(incident.live(), &aside).unwrap();
        fs::rename(aside, incident.live()).unwrap();
        incident.append(SECOND);
        if restarts {
            incident.restart();
        }
        incident.look_after_quiet();
        assert_eq!(incident.told(), ["LMF Error: first", "second"]);
    }
}

#[test]
fn a_copy_for_a_backup_is_not_read() {
    let mut incident = Incident::new();
    incident.append(FIRST);
    incident.look_after_quiet();
    fs::copy(incident.live(), incident.folder.path().join("messages.log.1")).unwrap();
    incident.rename();
    incident.append(SECOND);
    fs::copy(incident.live(), incident.folder.path().join("messages.old_copy")).unwrap();
    incident.look_after_quiet();
    incident.look_after_quiet();
    assert_eq!(incident.told(), ["LMF Error: first", "second"]);
}

#[test]
fn an_old_log_is_left_alone_when_only_what_is_new_is_wanted() {
    let mut incident = Incident::starting_at(StartAt::End);
    incident.append(FIRST);
    incident.look_after_quiet();
    incident.append(SECOND);
    incident.look_after_quiet();
    assert_eq!(incident.told(), ["second"]);

    let mut incident = Incident::starting_at(StartAt::End);
    incident.look();
    incident.append(FIRST);
    incident.look_after_quiet();
    assert_eq!(incident.told(), ["LMF Error: first"], "a log that comes into being is new");
}

#[test]
fn a_banner_without_a_stamp_is_an_entry() {
    let mut incident = Incident::new();
    incident.append("\n\n\n*** Recovery started at Fri Nov 14 10:48:58 2025\n     Log file directory: /x/\n");
    incident.look_after_quiet();
    incident.append("Exiting with status 3 (Success)\n");
    incident.append(FIRST);
    incident.look_after_quiet();
    let told = incident.told();
    assert!(told[0].starts_with("*** Recovery started"));
    assert_eq!(told[1..], ["+Exiting with status 3 (Success)", "LMF Error: first"]);
}

/// Lines of every kind, each whole.
fn line(rng: &mut ChaCha8Rng, number: u32) -> String {
    let second = number % 60;
    let minute = number / 60 % 60;
    match rng.random_range(0..10) {
        0 => "\tcontinues\n".to_owned(),
        1 => "\n".to_owned(),
        2 => format!("\n\n\n*** Recovery started at Fri Nov 14 10:{minute:02}:{second:02} 2025\n"),
        3 => format!("InterSystems IRIS-IRISSTAT ({number}) Fri Nov 14\nsecret\n"),
        4 => format!("a bare line {number} ünïcode\r\n"),
        _ => format!(
            "11/14/25-09:{minute:02}:{second:02}:{:03} ({number}) 1 [A.b] text {number}\n",
            number % 1000
        ),
    }
}

#[test]
fn whatever_happens_every_byte_is_in_one_part() {
    for seed in 0..200 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut incident = Incident::new();
        let mut logs: Vec<Vec<u8>> = vec![Vec::new()];
        for step in 0..120 {
            match rng.random_range(0..20) {
                0..=9 => {
                    let first = logs.last().unwrap().is_empty();
                    // A log begins with its moment; rotations happen between lines.
                    let line = if first {
                        format!("11/14/25-10:00:{:02}:{:03} ({seed}) 0 [A.b] log {step}\n", step % 60, step)
                    } else {
                        line(&mut rng, step)
                    };
                    let cut = rng.random_range(0..=line.len());
                    logs.last_mut().unwrap().extend_from_slice(line.as_bytes());
                    for piece in [&line.as_bytes()[..cut], &line.as_bytes()[cut..]] {
                        incident.append(piece);
                        if rng.random_range(0..4) == 0 {
                            incident.look();
                        }
                        if rng.random_range(0..8) == 0 {
                            incident.look_after_quiet();
                        }
                    }
                }
                10..=12 => incident.look(),
                13 | 14 => incident.look_after_quiet(),
                15 | 16 => incident.restart(),
                17 if !logs.last().unwrap().is_empty() && !incident.parts.is_empty() => {
                    incident.rename();
                    logs.push(Vec::new());
                }
                18 if !logs.last().unwrap().is_empty() && !incident.parts.is_empty() => {
                    // Between copy and cut the tail has time for one look, as it looks five times a second.
                    incident.look_after_quiet();
                    incident.copy_and_truncate();
                    logs.push(Vec::new());
                    incident.look_after_quiet();
                }
                _ => incident.now += Duration::from_millis(100),
            }
        }
        if logs.last().unwrap().is_empty() {
            let last = format!("11/14/25-10:02:00:000 ({seed}) 0 [A.b] the last log\n");
            incident.append(&last);
            logs.last_mut().unwrap().extend_from_slice(last.as_bytes());
        }
        for _ in 0..=logs.len() {
            incident.look_after_quiet();
        }
        check_covered(seed, &incident.parts, &logs);
    }
}

/// The parts of each log are its bytes in order, and put together they tell what the whole log tells.
fn check_covered(seed: u64, parts: &[Part], logs: &[Vec<u8>]) {
    let mut files: Vec<String> = parts.iter().map(|part| part.position.file.to_string()).collect();
    files.dedup();
    assert_eq!(files.len(), logs.len(), "seed {seed}: {files:?}");
    for (file, log) in files.iter().zip(logs) {
        let mut end = 0;
        let mut texts: BTreeMap<u64, String> = BTreeMap::new();
        for part in parts.iter().filter(|part| part.position.file.to_string() == *file) {
            assert_eq!(part.offset, end, "seed {seed}");
            end = part.position.end;
            texts.entry(part.position.entry).or_default().push_str(&part.entry.message_text());
            assert!(!String::from_utf8_lossy(&part.entry.raw).contains("secret"), "seed {seed}");
        }
        assert_eq!(end, log.len() as u64, "seed {seed}");
        let plain = |text: &str| text.split_whitespace().collect::<String>();
        for whole in parse(log) {
            if whole.header.is_some() {
                let told = texts.get(&whole.offset).map(|text| plain(text));
                assert_eq!(told, Some(plain(&whole.message_text())), "seed {seed}");
            }
        }
    }
}

/// Reads logs of `../shared/reference/iris/samples`, beside the repository, when that folder is there.
#[test]
fn real_logs_of_the_shared_folder_are_told_whole_but_for_dumps_when_it_is_there() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/iris/samples");
    let Ok(samples) = fs::read_dir(samples) else { return skipped("there are no real logs beside the tree") };
    for sample in samples.map(|sample| sample.unwrap().path()) {
        if !sample.file_name().unwrap().to_string_lossy().starts_with("messages-") {
            continue;
        }
        let log = fs::read(&sample).unwrap();
        let mut incident = Incident::new();
        incident.append(&log);
        incident.look_after_quiet();
        let told = incident.parts.iter().filter(|part| part.entry.header.is_some()).count();
        let stamped = parse(&log).iter().filter(|entry| entry.header.is_some()).count();
        assert_eq!(told, stamped, "{}", sample.display());
        assert_eq!(incident.parts.last().unwrap().position.end, log.len() as u64);
        let raw = incident.parts.iter().flat_map(|part| part.entry.raw.clone()).collect::<Vec<_>>();
        assert!(!String::from_utf8_lossy(&raw).contains("IRISSTAT ("), "{}", sample.display());
    }
}
