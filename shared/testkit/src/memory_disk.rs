//! A flat file system in memory, served to the kernel by a thread of the test. One fault can be armed.

mod served; // What the kernel asks of it.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use fuser::{BackgroundSession, Config, MountOption};

/// The call that fails, counted from the moment that it is armed.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// What the call answers, as the kernel numbers it: `EIO`, `ENOSPC`.
    pub errno: i32,
    /// Which call fails; the first one is 0.
    pub at: u64,
    /// Every call after it fails too.
    pub for_ever: bool,
}

/// A real file system of the test's own, whose calls fail when the test says so: FUSE, so mounting one needs root and
/// `/dev/fuse`, as CI has. Flat: it holds files and no folders. Gone with its value.
#[derive(Debug)]
pub struct MemoryDisk {
    folder: tempfile::TempDir,
    state: Arc<Mutex<State>>,
    session: Option<BackgroundSession>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<u64, File>,
    names: BTreeMap<String, u64>,
    last_inode: u64,
    /// Renames with no flag alone.
    plain: bool,
    fault: Option<Fault>,
    calls: u64,
    failed: Option<&'static str>,
}

#[derive(Debug, Clone)]
struct File {
    bytes: Vec<u8>,
    mode: u16,
    uid: u32,
    gid: u32,
    written: SystemTime,
    links: u32,
}

impl MemoryDisk {
    /// Only root may mount, and only where the kernel offers `/dev/fuse`; elsewhere a test is skipped.
    pub fn can_be_mounted() -> bool {
        let offered = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse");
        let can = nix::unistd::geteuid().is_root() && offered.is_ok();
        if !can {
            crate::skipped(format_args!(
                "a file system of the test's own needs root and /dev/fuse ({offered:?})"
            ));
        }
        can
    }

    /// An empty one, at a folder of its own.
    ///
    /// # Panics
    /// Where nothing may be mounted.
    pub fn mount() -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let state = Arc::new(Mutex::new(State { last_inode: 1, ..State::default() }));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("instance-test".to_owned())];
        let session = fuser::spawn_mount(served::Served(Arc::clone(&state)), folder.path(), &config)
            .expect("this test mounts a file system of its own, which needs root and /dev/fuse");
        Self { folder, state, session: Some(session) }
    }

    /// The same, of the kind that can exchange no two files, and does not rename on condition.
    ///
    /// # Panics
    /// Where nothing may be mounted.
    pub fn mount_plain() -> Self {
        let disk = Self::mount();
        disk.state().plain = true;
        disk
    }

    /// Where it is mounted.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// From now on a call fails.
    pub fn arm(&self, fault: Fault) {
        let mut state = self.state();
        (state.fault, state.calls, state.failed) = (Some(fault), 0, None);
    }

    /// From now on none does. The first call that has failed.
    pub fn disarm(&self) -> Option<&'static str> {
        let mut state = self.state();
        state.fault = None;
        state.failed.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MemoryDisk {
    fn drop(&mut self) {
        drop(self.session.take());
    }
}
