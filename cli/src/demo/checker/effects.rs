//! How often something was done, counted at the thing itself and not in anybody's report.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::snapshot::Snapshot;

/// What was done between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effects {
    /// Copies of the CPF, one for each change of it.
    pub backups: usize,
    /// Lines of the CPF that differ.
    pub cpf_lines: usize,
    /// Starts of the instance.
    pub starts: usize,
    /// Writes of the kernel value.
    pub kernel_writes: usize,
}

impl Effects {
    pub fn between(before: &Snapshot, after: &Snapshot, kernel_writes: usize) -> Self {
        Self {
            backups: after.backups.iter().filter(|name| !before.backups.contains(name)).count(),
            cpf_lines: super::difference::changed_lines(&before.cpf, &after.cpf).len(),
            starts: after.starts().saturating_sub(before.starts()),
            kernel_writes,
        }
    }
}

/// Counts the writes of one small file for as long as it lives. The file is looked at every millisecond, and the
/// kernel's clock for files moves every four: two writes in one tick count as one.
#[derive(Debug)]
pub struct Writes {
    count: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

const LOOK_AGAIN: Duration = Duration::from_millis(1);

impl Writes {
    pub fn of(path: &Path) -> Self {
        let (count, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped, file) = (count.clone(), stop.clone(), path.to_owned());
        let mut last = look(&file);
        let watcher = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(LOOK_AGAIN);
                let now = look(&file);
                // Between truncation and writing a file is empty; that is one write, not two.
                if now != last && now.as_ref().is_some_and(|(_, bytes)| !bytes.is_empty()) {
                    counted.fetch_add(1, Ordering::Relaxed);
                    last = now;
                }
            }
        });
        Self { count, stop, watcher: Some(watcher) }
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}

type Look = (Option<(u64, i64, i64)>, Vec<u8>);

/// Identity and time of change, and the content. Values of a real kernel have no time: only another content counts.
fn look(path: &Path) -> Option<Look> {
    let bytes = fs::read(path).ok()?;
    let stamp = fs::metadata(path).ok().map(|meta| (meta.ino(), meta.mtime(), meta.mtime_nsec()));
    Some((if path.starts_with("/proc") { None } else { stamp }, bytes))
}
