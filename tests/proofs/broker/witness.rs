//! What happens to the CPFs, told by the kernel and the files alone. Shares no code with the agents.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent},
};

use crate::plan::KEYS;

const CPF: &str = "iris.cpf";
/// Between two looks; the kernel keeps 16,384 events meanwhile.
const PAUSE: Duration = Duration::from_millis(5);

/// How often a CPF was changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effects {
    /// Another file has taken its place.
    pub replaced: usize,
    /// Somebody has written into the file itself, which nobody may.
    pub written_into: usize,
}

/// The folders of all instances, watched from their beginning.
pub struct Witness {
    folders: Vec<PathBuf>,
    before: Vec<String>,
    effects: Arc<Mutex<Vec<Effects>>>,
    over: Arc<AtomicBool>,
    watching: Option<JoinHandle<()>>,
}

impl Witness {
    pub fn over(folders: Vec<PathBuf>) -> Self {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).unwrap();
        // Each rename has a cookie of its own, so the kernel never tells two of them as one.
        let flags = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_MODIFY;
        let watch = |(index, folder): (usize, &PathBuf)| (inotify.add_watch(folder, flags).unwrap(), index);
        let watched: HashMap<_, _> = folders.iter().enumerate().map(watch).collect();
        let before = folders.iter().map(|folder| fs::read_to_string(folder.join(CPF)).unwrap()).collect();
        let effects = Arc::new(Mutex::new(vec![Effects::default(); folders.len()]));
        let over = Arc::new(AtomicBool::new(false));
        let (counts, stop) = (Arc::clone(&effects), Arc::clone(&over));
        let watching = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match inotify.read_events() {
                    Ok(events) => {
                        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                        for event in events {
                            assert!(
                                !event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW),
                                "effects went by uncounted"
                            );
                            count(&event, &mut counts[watched[&event.wd]]);
                        }
                    }
                    Err(Errno::EAGAIN) => std::thread::sleep(PAUSE),
                    Err(error) => panic!("could not watch the CPFs: {error}"),
                }
            }
        });
        Self { folders, before, effects, over, watching: Some(watching) }
    }

    /// How often the CPF of an instance was changed so far.
    pub fn effects(&self, instance: usize) -> Effects {
        let watches = self.watching.as_ref().is_some_and(|thread| !thread.is_finished());
        assert!(watches, "nobody watches the CPFs any more");
        // Whatever has happened by now is there at the second look.
        std::thread::sleep(PAUSE * 2);
        self.effects.lock().unwrap_or_else(PoisonError::into_inner)[instance]
    }

    /// Everything that is wrong with an instance in which these values came true, and nothing else.
    pub fn faults(&self, instance: usize, values: &[Option<String>; 3]) -> Vec<String> {
        let folder = &self.folders[instance];
        let found = fs::read_to_string(folder.join(CPF)).unwrap();
        let wanted = with(&self.before[instance], values);
        let mut faults = Vec::new();
        let (mut is, mut should) = (found.lines(), wanted.lines());
        loop {
            match (is.next(), should.next()) {
                (None, None) => break,
                (is, should) if is == should => {}
                (is, should) => faults.push(format!("CPF line {is:?} should be {should:?}")),
            }
        }
        faults.extend(litter(folder).into_iter().map(|name| format!("{name} was left behind")));
        faults
    }
}

fn count(event: &InotifyEvent, effects: &mut Effects) {
    if event.name.as_ref().is_some_and(|name| name == CPF) {
        effects.replaced += usize::from(event.mask.contains(AddWatchFlags::IN_MOVED_TO));
        effects.written_into += usize::from(event.mask.contains(AddWatchFlags::IN_MODIFY));
    }
}

/// Drafts and other hidden files do not belong there.
fn litter(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with('.')).collect()
}

/// The CPF with these values in place of those that were there.
fn with(text: &str, values: &[Option<String>; 3]) -> String {
    let line = |line: &str| {
        let name = line.split_once('=').map(|(name, _)| name);
        let step = KEYS.iter().position(|(_, parameter)| name == Some(*parameter));
        match step.and_then(|step| values[step].as_ref().map(|value| (step, value))) {
            Some((step, value)) => format!("{}={value}", KEYS[step].1),
            None => line.to_owned(),
        }
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // A thread that has panicked was noticed by whoever asked it.
        let _ = self.watching.take().map(JoinHandle::join);
    }
}
