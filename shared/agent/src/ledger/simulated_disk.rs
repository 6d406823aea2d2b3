//! A disk that crashes after a chosen operation and then keeps no more than it must.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use super::Disk;

/// The medium. It outlives the process that crashed; [`Self::restart`] is the power coming back.
#[derive(Debug, Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<Medium>>);

#[derive(Debug, Default)]
struct Medium {
    files: Vec<Bytes>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    operations: u32,
    crash_at: Option<u32>,
    crashed: bool,
    random: u64,
}

#[derive(Debug, Default, Clone)]
struct Bytes {
    durable: Vec<u8>,
    current: Vec<u8>,
}

impl SimulatedDisk {
    /// Operations that write are counted from 1; the one with this number is the last.
    pub fn crash_at(&self, operation: u32, seed: u64) {
        let mut medium = self.medium();
        medium.operations = 0;
        medium.crash_at = Some(operation);
        medium.random = seed | 1;
    }

    pub fn has_crashed(&self) -> bool {
        self.medium().crashed
    }

    /// How many operations wrote since [`Self::crash_at`].
    pub fn operations(&self) -> u32 {
        self.medium().operations
    }

    /// The power was lost: only what was synced is sure to be there, the rest is there in part, torn, or not at all.
    pub fn restart(&self) {
        let mut medium = self.medium();
        for at in 0..medium.files.len() {
            let Bytes { durable, current } = medium.files[at].clone();
            let survives = match current.strip_prefix(durable.as_slice()) {
                Some(added) => [durable.clone(), medium.torn(added)].concat(),
                None if medium.draw(2) == 0 => durable,
                None => current,
            };
            medium.files[at] = Bytes { durable: survives.clone(), current: survives };
        }
        let names = if medium.draw(2) == 0 { &medium.names } else { &medium.durable_names }.clone();
        medium.names = names.clone();
        medium.durable_names = names;
        medium.crash_at = None;
        medium.crashed = false;
    }

    /// Only the process died: what it wrote is still there, but no safer than before.
    pub fn restart_process(&self) {
        let mut medium = self.medium();
        medium.crash_at = None;
        medium.crashed = false;
    }

    pub fn file(&self, name: &str) -> Vec<u8> {
        let medium = self.medium();
        medium.names.get(name).map(|at| medium.files[*at].current.clone()).unwrap_or_default()
    }

    fn medium(&self) -> MutexGuard<'_, Medium> {
        self.0.lock().unwrap()
    }

    fn write(&self, operation: impl FnOnce(&mut Medium)) -> io::Result<()> {
        let mut medium = self.medium();
        if medium.crashed {
            return Err(io::Error::other("the machine is off"));
        }
        medium.operations += 1;
        operation(&mut medium);
        if medium.crash_at == Some(medium.operations) {
            medium.crashed = true;
            return Err(io::Error::other("the power was lost"));
        }
        Ok(())
    }
}

impl Medium {
    /// A number below `bound` (xorshift; any spread will do).
    fn draw(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % bound as u64).unwrap()
    }

    /// What remains of bytes that were written and not synced: a beginning, maybe with a hole or noise in it.
    fn torn(&mut self, added: &[u8]) -> Vec<u8> {
        let length = self.draw(added.len() + 1);
        let mut kept = added[..length].to_vec();
        if length > 0 && self.draw(2) == 0 {
            let (from, to) = (self.draw(length), self.draw(length));
            let fill = if self.draw(2) == 0 { 0 } else { 0xA5 };
            kept[from.min(to)..=from.max(to)].fill(fill);
        }
        kept
    }

    fn file(&mut self, name: &str) -> &mut Bytes {
        let next = self.files.len();
        let at = *self.names.entry(name.to_owned()).or_insert(next);
        if at == next {
            self.files.push(Bytes::default());
        }
        &mut self.files[at]
    }
}

impl Disk for SimulatedDisk {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let medium = self.medium();
        if medium.crashed {
            return Err(io::Error::other("the machine is off"));
        }
        Ok(medium.names.get(name).map(|at| medium.files[*at].current.clone()))
    }

    fn read_at(&mut self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let bytes = self.read(name)?.unwrap_or_default();
        let from = usize::try_from(offset).unwrap();
        Ok(bytes[from..from + length].to_vec())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.write(|medium| medium.file(name).current.extend_from_slice(bytes))
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.write(|medium| medium.file(name).current.truncate(usize::try_from(length).unwrap()))
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.write(|medium| {
            // A sync that was cut short by the crash may have reached the medium or not.
            let reached = medium.crash_at != Some(medium.operations) || medium.draw(2) == 0;
            let file = medium.file(name);
            if reached {
                file.durable = file.current.clone();
            }
        })
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.write(|medium| {
            let moved = medium.names.remove(from).unwrap();
            medium.names.insert(to.to_owned(), moved);
        })
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.write(|medium| medium.durable_names = medium.names.clone())
    }
}
