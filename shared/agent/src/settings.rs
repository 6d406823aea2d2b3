//! What an agent's settings must say for the loop.

use std::path::PathBuf;

use serde::Deserialize;

/// Where an agent keeps what must survive it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSettings {
    /// Folder of the ledger; this agent's alone, on a disk that keeps what was synced.
    pub state_dir: PathBuf,
    /// Folder of the fence; the same for the three agents of a host.
    pub fence_dir: PathBuf,
}
