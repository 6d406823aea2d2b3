//! `iris.shid`: what a running instance tells about itself. A real one has it in shared memory.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The state of an instance that is up, or was when its control process was killed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusFile {
    /// First word of field 4 of `iris qlist`.
    pub status: String,
    /// Field 9.
    pub health: String,
    /// When it was started.
    pub since: jiff::Timestamp,
    /// Superserver and web port in force.
    pub ports: (u16, u16),
    /// Open sessions.
    pub sessions: usize,
    /// Whole shared memory, MB.
    pub shared_memory_mb: u64,
    /// Whether it lies in huge pages.
    pub huge_pages: bool,
    /// 8 KB global buffers in force, MB.
    pub globals_8k_mb: u64,
    /// MB the users change between two passes of the write daemon.
    pub dirty_mb_per_pass: u64,
    /// Passes of the write daemon.
    pub passes: u64,
    /// Whether the last pass found too few buffers.
    pub in_panic: bool,
}

impl StatusFile {
    /// Reads the file; `None` when it is absent or torn.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Replaces the file.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        super::replace(path, &serde_json::to_vec(self).expect("plain values"))
    }
}
