//! The laws of the ledger: what was acknowledged is there after any crash, and each key has one last word.

use instance_contract::{Attempt, StepStatus};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{simulated_disk::SimulatedDisk, *};
use crate::sample;

const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);

fn open(disk: &SimulatedDisk, now: Timestamp) -> Result<Ledger<SimulatedDisk>, LedgerError> {
    Ledger::open(disk.clone(), now)
}

fn records(disk: &SimulatedDisk) -> Vec<Record> {
    let bytes = disk.file(FILE);
    let (payloads, _) = frame::scan(&bytes).unwrap();
    payloads.into_iter().map(|payload| serde_json::from_slice(&bytes[payload]).unwrap()).collect()
}

pub fn intent(step: &str, attempt: u32, at: Timestamp) -> Intent {
    Intent { order: sample::order(step, attempt), prepared: sample::prepared("256", "512"), at }
}

pub fn done(step: &str, attempt: u32, at: Timestamp) -> Done {
    let order = sample::order(step, attempt);
    Done {
        key: order.key(),
        digest: content_digest(&order),
        instance: order.instance.clone(),
        token: order.token,
        result: sample::result(&order, StepStatus::Success),
        effect: Some(Effect {
            prepared: sample::prepared("256", "512"),
            applied: sample::applied("256", "512"),
        }),
        undoes: undone_by(&order),
        at,
    }
}

fn answered(step: &str, attempt: u32, unchanged: bool, at: Timestamp) -> Answered {
    let order = sample::order(step, attempt);
    let status = if unchanged { StepStatus::Failure } else { StepStatus::Unknown };
    Answered {
        key: order.key(),
        digest: content_digest(&order),
        instance: order.instance.clone(),
        token: order.token,
        attempt: order.attempt,
        result: sample::result(&order, status),
        unchanged,
        at,
    }
}

#[derive(Debug, Clone)]
enum Write {
    Intend(u8, u32),
    Finish(u8, u32),
    Answer(u8, u32, bool),
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let write = (0..4u8, 1..4u32, any::<bool>(), 0..3u8).prop_map(|(step, attempt, flag, kind)| match kind {
        0 => Write::Intend(step, attempt),
        1 => Write::Finish(step, attempt),
        _ => Write::Answer(step, attempt, flag),
    });
    prop::collection::vec(write, 1..8)
}

impl Write {
    fn record(&self) -> Record {
        match self {
            Self::Intend(step, attempt) => {
                Record::Intent(Box::new(intent(&format!("s{step}"), *attempt, NOW)))
            }
            Self::Finish(step, attempt) => Record::Done(Box::new(done(&format!("s{step}"), *attempt, NOW))),
            Self::Answer(step, attempt, unchanged) => {
                Record::Answered(Box::new(answered(&format!("s{step}"), *attempt, *unchanged, NOW)))
            }
        }
    }
}

/// Writes until the disk crashes; returns what was acknowledged, and what was being written.
fn write_until_crash(disk: &SimulatedDisk, script: &[Write]) -> (Vec<Record>, Option<Record>) {
    let mut acknowledged = Vec::new();
    let Ok(ledger) = open(disk, NOW) else { return (acknowledged, None) };
    for write in script {
        let record = write.record();
        match ledger.write(record.clone()) {
            Ok(()) => acknowledged.push(record),
            Err(LedgerError::Final { .. }) => {}
            Err(_) => {
                assert!(matches!(ledger.write(record.clone()), Err(LedgerError::Poisoned)));
                return (acknowledged, Some(record));
            }
        }
    }
    (acknowledged, None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_acknowledged_is_lost_whenever_the_power_goes(script in writes(), seed in any::<u64>()) {
        let dry = SimulatedDisk::default();
        dry.crash_at(u32::MAX, seed);
        write_until_crash(&dry, &script);
        for operation in 1..=dry.operations() {
            let disk = SimulatedDisk::default();
            disk.crash_at(operation, seed ^ u64::from(operation) << 17);
            let (acknowledged, pending) = write_until_crash(&disk, &script);
            prop_assert!(disk.has_crashed());
            disk.restart();
            open(&disk, NOW).unwrap();
            let found = records(&disk);
            let with_pending: Vec<Record> = acknowledged.iter().cloned().chain(pending).collect();
            prop_assert!(found == acknowledged || found == with_pending, "crash at operation {operation}");
        }
    }

    #[test]
    fn a_power_cut_during_the_repair_loses_nothing_either(
        script in writes(), first in 1..20u32, second in 1..4u32, seed in any::<u64>(),
    ) {
        let disk = SimulatedDisk::default();
        disk.crash_at(first, seed);
        let (acknowledged, pending) = write_until_crash(&disk, &script);
        disk.restart();
        disk.crash_at(second, seed.rotate_left(7));
        let _ = open(&disk, NOW);
        disk.restart();
        open(&disk, NOW).unwrap();
        let with_pending: Vec<Record> = acknowledged.iter().cloned().chain(pending).collect();
        let found = records(&disk);
        prop_assert!(found == acknowledged || found == with_pending);
    }

    #[test]
    fn what_a_dead_process_left_unsynced_is_made_safe_before_it_is_believed(
        script in writes(), operation in 1..20u32, seed in any::<u64>(),
    ) {
        let disk = SimulatedDisk::default();
        disk.crash_at(operation, seed);
        write_until_crash(&disk, &script);
        disk.restart_process();
        open(&disk, NOW).unwrap();
        let believed = records(&disk);
        disk.restart();
        open(&disk, NOW).unwrap();
        prop_assert_eq!(records(&disk), believed);
    }

    #[test]
    fn old_steps_are_dropped_whole_or_not_at_all(operation in 1..8u32, seed in any::<u64>()) {
        let disk = SimulatedDisk::default();
        let later = NOW + SignedDuration::from_hours(32 * 24);
        let ledger = open(&disk, NOW).unwrap();
        ledger.intend(intent("old", 1, NOW)).unwrap();
        ledger.finish(done("old", 1, NOW)).unwrap();
        ledger.intend(intent("alive", 1, NOW)).unwrap();
        ledger.answered(answered("alive", 1, true, later)).unwrap();
        drop(ledger);
        let before = records(&disk);
        disk.crash_at(operation, seed);
        let _ = open(&disk, later);
        disk.restart();
        if !disk.file(FILE).is_empty() {
            let (found, token) = (records(&disk), sample::order("old", 1).token);
            let fence = Record::Fence { instance: sample::order("old", 1).instance, token };
            let compacted: Vec<Record> = [&[fence], &before[2..]].concat();
            prop_assert!(found == before || found == compacted, "crash at operation {operation}");
        }
        let ledger = open(&disk, later).unwrap();
        prop_assert_eq!(ledger.state(&sample::order("old", 1).key()).unwrap(), State::Nothing);
        prop_assert!(ledger.answer(&sample::order("alive", 1).key(), Attempt::FIRST).unwrap().is_some());
        prop_assert_eq!(ledger.tokens().len(), 1);
    }
}

#[test]
fn a_clock_that_runs_ahead_drops_nothing() {
    let disk = SimulatedDisk::default();
    let ledger = open(&disk, NOW).unwrap();
    ledger.intend(intent("open", 1, NOW)).unwrap();
    ledger.finish(done("ended", 1, NOW)).unwrap();
    drop(ledger);
    let before = records(&disk);
    drop(open(&disk, NOW + SignedDuration::from_hours(400 * 24)).unwrap());
    assert_eq!(records(&disk), before);
}

#[test]
fn a_key_goes_from_nothing_to_an_intent_to_its_last_word() {
    let disk = SimulatedDisk::default();
    let ledger = open(&disk, NOW).unwrap();
    let key = sample::order("config", 1).key();
    assert_eq!(ledger.state(&key).unwrap(), State::Nothing);
    ledger.intend(intent("config", 1, NOW)).unwrap();
    assert_eq!(ledger.state(&key).unwrap(), State::Intent(Box::new(intent("config", 1, NOW))));
    ledger.answered(answered("config", 1, false, NOW)).unwrap();
    assert!(matches!(ledger.state(&key).unwrap(), State::Intent(_)), "an unknown outcome leaves the intent");
    ledger.answered(answered("config", 2, true, NOW)).unwrap();
    assert_eq!(ledger.state(&key).unwrap(), State::Nothing);
    ledger.intend(intent("config", 3, NOW)).unwrap();
    ledger.finish(done("config", 3, NOW)).unwrap();
    assert_eq!(ledger.state(&key).unwrap(), State::Done(Box::new(done("config", 3, NOW))));
    assert!(matches!(ledger.intend(intent("config", 4, NOW)), Err(LedgerError::Final { .. })));
    let again = open(&disk, NOW).unwrap();
    assert_eq!(again.state(&key).unwrap(), State::Done(Box::new(done("config", 3, NOW))));
    assert_eq!(again.answer(&key, Attempt(2)).unwrap().unwrap().status, StepStatus::Failure);
}

#[test]
fn an_undo_closes_the_step_that_it_takes_back() {
    let disk = SimulatedDisk::default();
    let ledger = open(&disk, NOW).unwrap();
    let undo = sample::undo_order("config", 1);
    let original = sample::order("config", 1).key();
    assert!(!ledger.is_closed(&original));
    ledger.intend(Intent { order: undo, prepared: sample::prepared("256", "512"), at: NOW }).unwrap();
    assert!(ledger.is_closed(&original));
    assert!(open(&disk, NOW).unwrap().is_closed(&original));
}

#[test]
fn damage_in_the_middle_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(Folder::open(folder.path()).unwrap(), NOW).unwrap();
    for step in ["a", "b", "c"] {
        ledger.intend(intent(step, 1, NOW)).unwrap();
    }
    drop(ledger);
    let path = folder.path().join(FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = Ledger::open(Folder::open(folder.path()).unwrap(), NOW).unwrap_err();
    assert!(matches!(error, LedgerError::Damaged { at: 0, .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_torn_tail_on_a_real_disk_is_cut_and_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(Folder::open(folder.path()).unwrap(), NOW).unwrap();
    ledger.intend(intent("a", 1, NOW)).unwrap();
    drop(ledger);
    let path = folder.path().join(FILE);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], &whole[..whole.len() - 1]].concat()).unwrap();
    let ledger = Ledger::open(Folder::open(folder.path()).unwrap(), NOW).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    ledger.finish(done("a", 1, NOW)).unwrap();
    drop(ledger);
    let ledger = Ledger::open(Folder::open(folder.path()).unwrap(), NOW).unwrap();
    assert!(matches!(ledger.state(&sample::order("a", 1).key()).unwrap(), State::Done(_)));
}

#[test]
fn only_attempt_time_token_and_reason_may_differ_between_attempts() {
    let order = sample::order("config", 1);
    let mut later = sample::order("config", 2);
    later.token.counter += 1;
    later.not_after += SignedDuration::from_secs(60);
    later.because.delay_ms = 2000;
    assert_eq!(content_digest(&order), content_digest(&later));
    later.limit_seconds += 1;
    assert_ne!(content_digest(&order), content_digest(&later));
}
