//! What was spent, one JSON line an entry, one file a day (UTC). A later line of the same id replaces the earlier one.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use jiff::{Timestamp, ToSpan as _, civil::Date};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Error;

/// Older files are removed.
const KEPT_DAYS: i32 = 31;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    pub id: Uuid,
    pub at: Timestamp,
    pub state: State,
    pub session: String,
    pub remediation: Option<String>,
    pub provider: String,
    pub model: String,
    pub prompt: String,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub micro_usd: u64,
}

impl Line {
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Set aside; the call runs, or its process died.
    Reserved,
    Spent,
    /// The call came to nothing and cost nothing.
    Released,
}

/// The files of today and yesterday, and what stands in them. A remediation may last over midnight.
#[derive(Debug)]
pub(super) struct Ledger {
    folder: PathBuf,
    days: BTreeMap<Date, Day>,
}

#[derive(Debug, Default)]
struct Day {
    /// Read up to here; ends with a line end.
    read: u64,
    lines: BTreeMap<Uuid, Line>,
    unreadable: u64,
}

impl Ledger {
    pub fn open(folder: &Path) -> Result<Self, Error> {
        private_folder(folder).map_err(failed("make a folder for", folder))?;
        let ledger = Self { folder: folder.to_owned(), days: BTreeMap::new() };
        drop(ledger.lock()?);
        Ok(ledger)
    }

    /// Nobody else reads or writes while it lives.
    pub fn lock(&self) -> Result<File, Error> {
        let path = self.folder.join("lock");
        let locked = File::options().create(true).truncate(false).write(true).open(&path).and_then(|file| {
            file.lock()?;
            Ok(file)
        });
        locked.map_err(failed("lock", &path))
    }

    /// Takes in what this and other processes wrote for a day and the one before. Needs the lock.
    pub fn read(&mut self, day: Date) -> Result<(), Error> {
        let eve = day.saturating_sub(1.day());
        self.days.retain(|known, _| (eve..=day).contains(known));
        if !self.days.contains_key(&day) {
            self.remove_old(day)?;
        }
        for day in [eve, day] {
            let path = self.path(day);
            self.days.entry(day).or_default().read(&path).map_err(failed("read", &path))?;
        }
        Ok(())
    }

    /// Adds a line and syncs it. Needs the lock.
    pub fn append(&mut self, day: Date, line: &Line) -> Result<(), Error> {
        let path = self.path(day);
        let known = self.days.entry(day).or_default();
        let written = known.read(&path).and_then(|()| known.append(&path, line));
        written.map_err(failed("write", &path))
    }

    pub fn of_day(&self, day: Date) -> impl Iterator<Item = &Line> {
        self.days.get(&day).into_iter().flat_map(|day| day.lines.values())
    }

    pub fn all(&self) -> impl Iterator<Item = &Line> {
        self.days.values().flat_map(|day| day.lines.values())
    }

    pub fn unreadable(&self) -> u64 {
        self.days.values().map(|day| day.unreadable).sum()
    }

    /// Every day that is kept, oldest first. Needs the lock.
    pub fn history(&self) -> Result<Vec<(Date, Vec<Line>)>, Error> {
        let mut days = Vec::new();
        for day in self.files()? {
            let (path, mut read) = (self.path(day), Day::default());
            read.read(&path).map_err(failed("read", &path))?;
            days.push((day, read.lines.into_values().collect()));
        }
        Ok(days)
    }

    /// Names this ledger: two processes that share a folder tell the same. Needs the lock.
    pub fn id(&self) -> Result<Uuid, Error> {
        let path = self.folder.join("id");
        match fs::read_to_string(&path).map(|text| text.trim().parse()) {
            Ok(Ok(id)) => Ok(id),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("read", &path)(error)),
            _ => {
                let id = Uuid::new_v4();
                fs::write(&path, id.to_string()).map_err(failed("write", &path))?;
                Ok(id)
            }
        }
    }

    fn files(&self) -> Result<Vec<Date>, Error> {
        let unlisted = failed("list", &self.folder);
        let mut days = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(&unlisted)? {
            let name = entry.map_err(&unlisted)?.file_name();
            let day = name.to_str().and_then(|name| name.strip_suffix(".jsonl")?.parse::<Date>().ok());
            days.extend(day);
        }
        days.sort_unstable();
        Ok(days)
    }

    fn remove_old(&self, today: Date) -> Result<(), Error> {
        let oldest = today.saturating_sub(KEPT_DAYS.days());
        for day in self.files()?.into_iter().filter(|day| *day < oldest) {
            let path = self.path(day);
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
        Ok(())
    }

    fn path(&self, day: Date) -> PathBuf {
        self.folder.join(format!("{day}.jsonl"))
    }
}

impl Day {
    /// Takes in whole lines that are new; an unfinished last one is left for later.
    fn read(&mut self, path: &Path) -> io::Result<()> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() < self.read {
            // Somebody put another file in its place.
            *self = Self::default();
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut new = Vec::new();
        file.read_to_end(&mut new)?;
        for line in new.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            self.read += line.len() as u64;
            match serde_json::from_slice::<Line>(line) {
                Ok(line) => drop(self.lines.insert(line.id, line)),
                Err(_) if line.trim_ascii().is_empty() => {}
                Err(_) => self.unreadable += 1,
            }
        }
        Ok(())
    }

    fn append(&mut self, path: &Path, line: &Line) -> io::Result<()> {
        let mut file = File::options().create(true).append(true).open(path)?;
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        if file.metadata()?.len() != self.read {
            // What a process left unfinished when it died ends here, and is not read as part of ours.
            text.insert(0, b'\n');
        }
        file.write_all(&text)?;
        file.sync_data()?;
        self.read(path)
    }
}

/// Makes a folder that only its owner can look into.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn failed(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> Error + Copy {
    move |source| Error::Record { operation, path: path.to_owned(), source }
}
