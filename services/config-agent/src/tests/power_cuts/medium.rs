//! What a disk would have kept of the files of a folder. It knows texts and names, not owners, modes and attributes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use crate::folder::Call;

/// What a power cut leaves of the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As after a number of the calls: they are in a log that is read back in order. Two files can be exchanged.
    Logged,
    /// Each by itself as it was when they were last synced, or as it is. No two files can be exchanged.
    Loose,
}

pub const KINDS: [Kind; 2] = [Kind::Logged, Kind::Loose];

type Names = BTreeMap<String, usize>;

#[derive(Debug)]
pub struct Medium {
    kind: Kind,
    files: Vec<Text>,
    names: Names,
    /// After each call since the names were last synced; the first is what was synced.
    log: Vec<Names>,
    pub calls: u32,
    /// The call, counted from 1, at which the power goes.
    cut_at: u32,
    is_off: bool,
    random: u64,
}

#[derive(Debug, Clone, Default)]
struct Text {
    inode: u64,
    durable: Vec<u8>,
    current: Vec<u8>,
}

/// What the disk holds after a cut, by name: which file it was, and its bytes.
pub type Survivors = BTreeMap<String, (u64, Vec<u8>)>;

impl Medium {
    /// Everything that is in the folder is durable.
    pub fn under(folder: &Path, kind: Kind, cut_at: u32, seed: u64) -> Self {
        let (mut files, mut names) = (Vec::new(), Names::new());
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            let text = fs::read(entry.path()).unwrap();
            names.insert(entry.file_name().into_string().unwrap(), files.len());
            let inode = entry.metadata().unwrap().ino();
            files.push(Text { inode, durable: text.clone(), current: text });
        }
        // Neighbouring seeds must not draw alike.
        let random = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let log = vec![names.clone()];
        Self { kind, files, names, log, calls: 0, cut_at, is_off: false, random }
    }

    /// What was written last is not synced.
    pub fn with_unsynced(mut self, name: &str) -> Self {
        self.text(name).durable.clear();
        self
    }

    pub fn strike<T>(
        &mut self,
        folder: &Path,
        call: Call<'_>,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        if self.is_off {
            return Err(io::Error::other("the machine is off"));
        }
        if self.kind == Kind::Loose && matches!(call, Call::Exchange { .. }) {
            return Err(io::Error::from_raw_os_error(nix::libc::EINVAL));
        }
        self.calls += 1;
        self.is_off = self.calls == self.cut_at;
        // The last call came too late for the disk, or not.
        if self.is_off && self.draw(2) == 0 {
            return Err(io::Error::other("the power was lost before the call"));
        }
        let outcome = act()?;
        self.note(folder, call);
        if self.is_off { Err(io::Error::other("the power was lost after the call")) } else { Ok(outcome) }
    }

    pub fn restart_process(&mut self) {
        (self.is_off, self.cut_at) = (false, 0);
    }

    fn note(&mut self, folder: &Path, call: Call<'_>) {
        match call {
            Call::Create(name) => {
                if !self.names.contains_key(name) {
                    self.names.insert(name.to_owned(), self.files.len());
                    let inode = fs::metadata(folder.join(name)).unwrap().ino();
                    self.files.push(Text { inode, ..Text::default() });
                }
            }
            Call::Write(name) => self.text(name).current = fs::read(folder.join(name)).unwrap(),
            Call::Sync(name) => {
                let text = self.text(name);
                text.durable = text.current.clone();
            }
            Call::Rename { from, to } => {
                let moved = self.names.remove(from).unwrap();
                self.names.insert(to.to_owned(), moved);
            }
            Call::Place { from, to } => {
                if !self.names.contains_key(to) {
                    let moved = self.names.remove(from).unwrap();
                    self.names.insert(to.to_owned(), moved);
                }
            }
            Call::Exchange { one, other } => {
                let (first, second) = (self.names[one], self.names[other]);
                self.names.extend([(one.to_owned(), second), (other.to_owned(), first)]);
            }
            Call::Touch(_) => {}
            Call::Remove(name) => drop(self.names.remove(name)),
            Call::SyncFolder => self.log.clear(),
        }
        self.log.push(self.names.clone());
    }

    fn text(&mut self, name: &str) -> &mut Text {
        &mut self.files[self.names[name]]
    }

    /// The power comes back.
    pub fn survivors(mut self) -> Survivors {
        let files = std::mem::take(&mut self.files);
        let texts: Vec<_> = files.into_iter().map(|text| (text.inode, self.survives(text))).collect();
        let names = match self.kind {
            Kind::Logged => {
                let at = self.draw(self.log.len());
                self.log[at].clone()
            }
            Kind::Loose => self.loose_names(),
        };
        names.into_iter().map(|(name, at)| (name, texts[at].clone())).collect()
    }

    fn loose_names(&mut self) -> Names {
        let durable = self.log[0].clone();
        let all: BTreeSet<String> = self.names.keys().chain(durable.keys()).cloned().collect();
        let mut names = Names::new();
        for name in all {
            let found = if self.draw(2) == 0 { self.names.get(&name) } else { durable.get(&name) };
            names.extend(found.map(|at| (name, *at)));
        }
        names
    }

    /// What was synced; of what was added since a beginning, maybe with a hole in it.
    fn survives(&mut self, Text { mut durable, current, .. }: Text) -> Vec<u8> {
        let Some(added) = current.strip_prefix(durable.as_slice()) else {
            return if self.draw(2) == 0 { durable } else { current };
        };
        let length = self.draw(added.len() + 1);
        let mut torn = added[..length].to_vec();
        if length > 0 && self.draw(2) == 0 {
            let (from, to) = (self.draw(length), self.draw(length));
            torn[from.min(to)..=from.max(to)].fill(0);
        }
        durable.extend(torn);
        durable
    }

    /// A number below `bound` (xorshift; any spread will do).
    fn draw(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % bound as u64).unwrap()
    }
}
