//! An instance as it can be seen from outside: registry, files, process table.

use std::fs;
use std::time::{Duration, Instant};

use instance_iris::cpf::Document;

use crate::shell::ids_file::IdsFile;
use crate::shell::process::ProcessKey;
use crate::shell::registry::Registered;
use crate::shell::settings::Settings;
use crate::shell::status_file::StatusFile;
use crate::shell::wij_file::WijFile;

/// What is known about an instance now.
#[derive(Debug)]
pub struct Observed {
    /// Its processes that are alive.
    pub alive: Vec<ProcessKey>,
    /// What it tells; only while its control process is alive.
    pub status: Option<StatusFile>,
}

/// Looks at the process table and at what the instance tells.
pub fn observe(instance: &Registered) -> Observed {
    let ids = IdsFile::read(&instance.folder.ids());
    let control = ids.as_ref().and_then(IdsFile::control);
    Observed {
        alive: ids.iter().flat_map(IdsFile::alive).collect(),
        status: control
            .and_then(|_| StatusFile::read(&instance.folder.status()).or_else(|| Some(beginning(instance)))),
    }
}

impl Observed {
    /// Whether the control process is alive.
    pub fn is_up(&self) -> bool {
        self.status.is_some()
    }
}

/// Waits until none of these processes is left; false when some are after `limit`.
pub fn wait_until_gone(processes: &[ProcessKey], limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while processes.iter().any(|process| process.is_alive()) {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Moment of the last use of an instance that is down.
pub fn last_used(instance: &Registered) -> Option<jiff::Timestamp> {
    let wij = WijFile::read(&instance.folder.wij()).map(|wij| wij.used_at);
    wij.or_else(|| Settings::read(&instance.folder.settings()).ok().map(|settings| settings.created_at))
}

/// Superserver and web port of the CPF; 0 for what cannot be read.
pub fn ports(instance: &Registered) -> (u16, u16) {
    let document = Document::parse(&fs::read(instance.folder.cpf()).unwrap_or_default());
    let port = |name| document.get("Startup", name).and_then(|value| value.trim().parse().ok()).unwrap_or(0);
    (port("DefaultPort"), port("WebServerPort"))
}

/// A control process that has not told anything yet is starting.
fn beginning(instance: &Registered) -> StatusFile {
    StatusFile {
        status: "starting".to_owned(),
        health: String::new(),
        since: last_used(instance).unwrap_or(jiff::Timestamp::UNIX_EPOCH),
        ports: ports(instance),
        ..StatusFile::default()
    }
}
