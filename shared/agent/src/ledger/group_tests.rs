//! Many threads at one ledger: who shares a sync, and what each is told.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{simulated_disk::SimulatedDisk, tests::*, *};
use crate::sample;

const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);
const OTHERS: usize = 8;

/// A disk whose syncs wait at a gate.
#[derive(Debug, Clone, Default)]
struct GatedDisk {
    medium: SimulatedDisk,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

#[derive(Debug, Default)]
struct Gate {
    closed: bool,
    /// How many syncs have come to the gate.
    came: u32,
}

impl GatedDisk {
    fn set_closed(&self, closed: bool) {
        self.gate.0.lock().unwrap().closed = closed;
        self.gate.1.notify_all();
    }

    fn came(&self) -> u32 {
        self.gate.0.lock().unwrap().came
    }
}

impl Disk for GatedDisk {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.medium.read(name)
    }

    fn read_at(&mut self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.medium.read_at(name, offset, length)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.medium.append(name, bytes)
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.medium.truncate(name, length)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let (gate, opened) = &*self.gate;
        let mut gate = gate.lock().unwrap();
        gate.came += 1;
        drop(opened.wait_while(gate, |gate| gate.closed).unwrap());
        self.medium.sync(name)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.medium.rename(from, to)
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.medium.sync_folder()
    }
}

fn wait_until(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "the condition never came true");
        thread::yield_now();
    }
}

/// What each step's writer was told.
type Told = mpsc::Receiver<(String, Result<(), LedgerError>)>;

/// One record waits at the gate, and [`OTHERS`] wait behind it; gives what each of them will be told.
fn all_waiting(disk: &GatedDisk, ledger: &Arc<Ledger<GatedDisk>>) -> (u32, Told) {
    let (tell, told) = mpsc::channel();
    let write = |step: String| {
        let (ledger, tell) = (Arc::clone(ledger), tell.clone());
        thread::spawn(move || {
            let written = ledger.intend(intent(&step, 1, NOW));
            tell.send((step, written)).unwrap();
        });
    };
    disk.set_closed(true);
    let before = disk.came();
    write("first".to_owned());
    wait_until(|| disk.came() == before + 1);
    for other in 0..OTHERS {
        write(format!("s{other}"));
    }
    wait_until(|| ledger.group.gathered() == OTHERS);
    (before, told)
}

#[test]
fn who_waits_for_a_sync_shares_the_next_one_and_nobody_is_told_before_it() {
    let disk = GatedDisk::default();
    let ledger = Arc::new(Ledger::open(disk.clone(), NOW).unwrap());
    let (before, told) = all_waiting(&disk, &ledger);
    assert!(told.try_recv().is_err(), "nothing is synced yet");
    let key = sample::order("s0", 1).key();
    assert_eq!(ledger.state(&key).unwrap(), State::Nothing);
    disk.set_closed(false);
    for _ in 0..=OTHERS {
        let (step, written) = told.recv_timeout(Duration::from_secs(30)).unwrap();
        written.unwrap();
        let expected = State::Intent(Box::new(intent(&step, 1, NOW)));
        assert_eq!(ledger.state(&sample::order(&step, 1).key()).unwrap(), expected);
    }
    assert_eq!(disk.came(), before + 2, "one sync for the first, one for all the others");
    drop(ledger);
    disk.medium.restart();
    let ledger = Ledger::open(disk.clone(), NOW).unwrap();
    assert!(matches!(ledger.state(&key).unwrap(), State::Intent(_)));
}

#[test]
fn a_sync_that_fails_is_told_to_everybody_who_waits() {
    let disk = GatedDisk::default();
    let ledger = Arc::new(Ledger::open(disk.clone(), NOW).unwrap());
    let (_, told) = all_waiting(&disk, &ledger);
    disk.medium.crash_at(1, 7);
    disk.set_closed(false);
    for _ in 0..=OTHERS {
        let (step, written) = told.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(written.is_err(), "{step} is not known to be durable");
        assert_eq!(ledger.state(&sample::order(&step, 1).key()).unwrap(), State::Nothing);
    }
    assert!(matches!(ledger.intend(intent("later", 1, NOW)), Err(LedgerError::Poisoned)));
}

#[test]
fn of_two_last_words_about_a_step_one_is_written() {
    for _ in 0..20 {
        let disk = GatedDisk::default();
        let ledger = Arc::new(Ledger::open(disk.clone(), NOW).unwrap());
        let (_, told) = all_waiting(&disk, &ledger);
        let say = |attempt| {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || ledger.finish(done("contested", attempt, NOW)))
        };
        let said = [say(1), say(2)];
        wait_until(|| ledger.group.gathered() == OTHERS + 1);
        disk.set_closed(false);
        let outcomes = said.map(|thread| thread.join().unwrap());
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(LedgerError::Final { .. }))));
        assert_eq!(told.iter().take(OTHERS + 1).filter(|(_, written)| written.is_ok()).count(), OTHERS + 1);
    }
}
