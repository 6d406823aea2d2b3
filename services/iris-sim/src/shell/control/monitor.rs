//! What the instance tells over its web port.

use std::fs;
use std::path::Path;
use std::sync::mpsc::Sender;

use instance_iris::messages_log::parse;
use nix::sys::statvfs::statvfs;
use serde::Serialize;

use crate::shell::control::{Control, News};
use crate::shell::host;
use crate::shell::log_monitor::Notice;
use crate::shell::web_server::{self, Page};
use crate::world::Event;
use crate::world::act::Entry;
use crate::world::metrics::{DatabaseSpace, DiskSpace, JournalSpace, Surroundings};

const MB: f64 = 1024.0 * 1024.0;

/// The alerts since the start.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    since_start: u64,
    /// Nobody has read them yet; whoever does takes them away for all others too.
    new: Vec<Alert>,
}

/// One element of the array that `/api/monitor/alerts` answers with.
#[derive(Debug, Serialize)]
struct Alert {
    time: String,
    severity: String,
    message: String,
}

impl Alerts {
    pub fn note(&mut self, at: jiff::Timestamp, entry: &Entry, notice: Notice) {
        self.since_start += 1;
        if notice == Notice::Suppressed {
            return;
        }
        let message = entry.text.lines().next().unwrap_or_default().to_owned();
        let time = at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
        self.new.push(Alert { time, severity: entry.severity.as_u8().to_string(), message });
    }
}

impl Control {
    pub(super) fn open_web_server(&mut self, port: u16) -> Event {
        let news = self.news.clone();
        let ask = move |page, answer| {
            // The instance may have ended meanwhile; then nobody answers.
            let _ = news.send(News::PageAsked(page, answer));
        };
        Event::WebServerOpened(web_server::serve(port, ask).is_ok())
    }

    /// Answers, unless the instance hangs.
    pub(super) fn show(&mut self, page: Page, answer: &Sender<String>) {
        if self.world.is_frozen() {
            return;
        }
        let body = match page {
            Page::Metrics => self.world.metrics(&self.surroundings()),
            Page::Alerts => {
                let new = std::mem::take(&mut self.alerts.new);
                serde_json::to_string(&new).expect("texts are JSON")
            }
        };
        // The asker may be gone.
        let _ = answer.send(body);
    }

    fn surroundings(&self) -> Surroundings {
        let in_log = fs::read(self.folder.alerts_log()).unwrap_or_default();
        let entries = parse(&in_log).iter().filter(|entry| entry.header.is_some()).count();
        let entries = u64::try_from(entries).unwrap_or(u64::MAX);
        let new = u64::try_from(self.alerts.new.len()).unwrap_or(u64::MAX);
        Surroundings {
            at: self.now(),
            alerts: [entries, self.alerts.since_start, new],
            databases: self
                .world
                .mounted()
                .iter()
                .map(|(name, directory)| self.space(name, directory))
                .collect(),
            journals: self.journals(),
            memory_percent: host::memory_percent(&self.settings.host_root).unwrap_or(0.0),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "two digits after the point are shown")]
    fn space(&self, name: &str, directory: &str) -> DatabaseSpace {
        DatabaseSpace {
            name: name.to_owned(),
            directory: directory.to_owned(),
            size_mb: size(&Path::new(directory).join("IRIS.DAT")),
            free_mb: self.world.free_mb(name) as f64,
            disk: disk(directory),
        }
    }

    fn journals(&self) -> Vec<JournalSpace> {
        let Some(parameters) = self.world.parameters() else { return Vec::new() };
        let directories = [
            ("primary", &parameters.journal_directory),
            ("secondary", &parameters.alternate_journal_directory),
        ];
        let space = |(id, directory): (&'static str, &String)| JournalSpace {
            id,
            directory: directory.clone(),
            size_mb: fs::read_dir(directory)
                .into_iter()
                .flatten()
                .flatten()
                .map(|file| size(&file.path()))
                .sum(),
            disk: disk(directory),
        };
        directories.into_iter().filter(|(_, directory)| !directory.is_empty()).map(space).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "two digits after the point are shown")]
fn size(file: &Path) -> f64 {
    fs::metadata(file).map_or(0.0, |found| found.len() as f64 / MB)
}

#[expect(clippy::cast_precision_loss, reason = "two digits after the point are shown")]
fn disk(directory: &str) -> DiskSpace {
    let Ok(found) = statvfs(Path::new(directory)) else { return DiskSpace::default() };
    let (blocks, free) = (found.blocks() as f64, found.blocks_available() as f64);
    DiskSpace {
        free_mb: free * found.fragment_size() as f64 / MB,
        percent_full: if blocks > 0.0 { (blocks - free) * 100.0 / blocks } else { 0.0 },
    }
}
