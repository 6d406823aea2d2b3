//! The thin shell around the world: files, ports, processes.

pub mod ask;
pub mod control; // Read this first: the process that is the instance.
pub mod cpf_file;
pub mod daemons;
pub mod folder;
pub mod gather;
pub mod host;
pub mod ids_file;
pub mod instance_clock;
pub mod jobs;
pub mod license;
pub mod locks;
pub mod log_file;
pub mod log_monitor;
pub mod obstacles;
pub mod process;
pub mod registry;
pub mod rehearsal;
pub mod rights;
pub mod settings;
pub mod status_file;
pub mod superserver;
pub mod volumes;
pub mod web_server;
pub mod wij_file;
pub mod wording;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Replaces a file in one step: readers see the old content or the new, never a part.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!("_{}", std::process::id()));
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    drop(file);
    fs::rename(&temporary, path)
}
