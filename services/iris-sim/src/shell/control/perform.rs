//! The world's acts, done.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::shell::ask::{self, Answer};
use crate::shell::control::{Control, News};
use crate::shell::daemons::Daemons;
use crate::shell::host;
use crate::shell::ids_file::IdsFile;
use crate::shell::jobs::Jobs;
use crate::shell::locks;
use crate::shell::log_monitor::Notice;
use crate::shell::process::ProcessKey;
use crate::shell::rights::InstanceUser;
use crate::shell::status_file::StatusFile;
use crate::shell::superserver::Superserver;
use crate::shell::volumes;
use crate::shell::wij_file::{WijFile, fingerprint};
use crate::world::Event;
use crate::world::act::{Act, Alarm, Ending, Entry, Job, Severity, Writer};
use crate::world::health::is_alert;

/// Journals are kept by the day.
const DAY: Duration = Duration::from_hours(24);

impl Control {
    /// Does one act; the answer, where the world waits for one.
    ///
    /// Log and state files are written as far as the disk lets us: an instance with a full disk goes on too.
    pub(super) fn perform(&mut self, act: Act) -> Option<Event> {
        match act {
            Act::Log(entry) => self.write(&self.now(), entry),
            Act::LogWithMoment(entry) => {
                let at = self.now();
                self.write(&at, entry.ending_with(&at));
            }
            Act::Banner(text) => {
                let at = self.now();
                let _ = self.log.write_banner(&at, &text);
            }
            Act::Say(text) => self.answer(&Answer::Say(text)),
            Act::StartDaemons => return self.start_daemons(),
            Act::RewriteCpf => return Some(Event::CpfRewritten(self.cpf.rewrite(self.asker_pid))),
            Act::KeepLastGood => {
                // The bytes that this start has checked: the file may have been edited since.
                let _ = self.cpf.keep_as(&self.folder.last_good_cpf());
            }
            Act::StartJournal(file) => {
                let _ = fs::OpenOptions::new().create(true).append(true).open(file);
            }
            Act::WriteJournal { file, mb } => {
                return Some(Event::JournalWritten(volumes::extend(Path::new(&file), mb).is_ok()));
            }
            Act::SwitchJournal { directory } => {
                let may = InstanceUser::of(&self.folder).may_make_files_in(Path::new(&directory));
                let file = may.then(|| volumes::new_journal(&directory, &self.now()).ok()).flatten();
                return Some(Event::JournalSwitched(file));
            }
            Act::PurgeJournals { directory, days, in_use } => {
                if days > 0 {
                    let age = self.settings.scaled(DAY * u32::try_from(days).unwrap_or(u32::MAX));
                    return Some(Event::JournalsPurged(volumes::purge_journals(&directory, age, &in_use)));
                }
            }
            Act::ExpandDatabase { directory, mb } => {
                let file = Path::new(&directory).join("IRIS.DAT");
                if volumes::is_damaged(&file) {
                    return Some(Event::DatabaseDamaged(directory));
                }
                let expanded = volumes::extend(&file, mb).is_ok();
                return Some(Event::DatabaseExpanded(directory, expanded));
            }
            Act::LockDatabase(directory) => locks::take(&directory),
            Act::UnlockDatabase(directory) => locks::give_back(&directory),
            Act::OpenSuperserver { port, address } => return Some(self.open_superserver(&address, port)),
            Act::CloseSuperserver => self.superserver = None,
            Act::CloseSession(session) => {
                if let Some(superserver) = &mut self.superserver {
                    superserver.close(session);
                }
            }
            Act::OpenWebServer { port } => return Some(self.open_web_server(port)),
            Act::StopDaemons => self.daemons.stop(),
            Act::Ready => self.ready(),
            Act::Wake(after, alarm) => {
                self.alarms.insert(alarm, Instant::now() + self.settings.scaled(after));
                if alarm == Alarm::Pass {
                    self.write_wij(true);
                }
            }
            Act::End(ending) => self.end(ending),
        }
        None
    }

    fn write(&mut self, at: &jiff::Zoned, entry: Entry) {
        let pid = match entry.writer {
            Writer::Control => std::process::id(),
            Writer::Daemon(daemon) => {
                self.daemons.process(daemon).map_or_else(std::process::id, |process| process.pid)
            }
            Writer::Job(job) => self.jobs.number(job).unwrap_or_else(std::process::id),
            Writer::Asker => self.asker_pid,
        };
        let alert = is_alert(entry.severity).then(|| entry.clone());
        // An instance that cannot write its log tells of its alerts all the same.
        let notice = self.log.write(at, pid, entry).unwrap_or(Some(Notice::Reported));
        if let (Some(alert), Some(notice)) = (alert, notice) {
            self.alerts.note(at.timestamp(), &alert, notice);
        }
    }

    pub(super) fn rotate_log(&mut self) {
        let limit = self.world.parameters().map_or(5, |parameters| parameters.console_log_mb);
        let at = self.now();
        let _ = self.log.rotate(&at, limit);
    }

    fn start_daemons(&mut self) -> Option<Event> {
        let news = self.news.clone();
        let died = move |daemon, pid| {
            // The instance may have ended meanwhile.
            let _ = news.send(News::Event(Event::DaemonDied { daemon, pid }));
        };
        let started = Daemons::start(&self.order.bin.join("irisdb"), died);
        let outcome = started.and_then(|daemons| {
            self.daemons = daemons;
            self.jobs = Jobs::start()?;
            self.write_ids()
        });
        if let Err(error) = outcome {
            // Words of ours: a real instance has its binary.
            let text = format!("Failed to start system processes: {error}");
            let at = self.now();
            self.write(&at, Entry::kernel(Writer::Control, Severity::Fatal, text));
            self.end(Ending::StartFailed);
        }
        None
    }

    fn open_superserver(&mut self, address: &str, port: u16) -> Event {
        let news = self.news.clone();
        let tell = move |happened| {
            // The instance may have ended meanwhile.
            let _ = news.send(News::Session(happened));
        };
        Event::SuperserverOpened(match Superserver::open(address, port, tell) {
            Ok(open) => {
                self.superserver = Some(open);
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        })
    }

    fn ready(&mut self) {
        let log_monitor = self.jobs.number(Job::LogMonitor).unwrap_or_else(std::process::id);
        self.log.watch(log_monitor, self.settings.speed_of_stamps());
        self.write_wij(true);
        self.publish();
        self.answer(&Answer::Done { code: 0 });
        self.askers.clear();
    }

    pub(super) fn answer(&mut self, what: &Answer) {
        for asker in &mut self.askers {
            ask::answer(asker, what);
        }
    }

    /// Leaves the files as the ending leaves them, then lets go of whoever waits.
    fn end(&mut self, ending: Ending) {
        self.superserver = None;
        self.daemons.stop();
        let at = self.now();
        let _ = self.log.write_repeats(&at);
        match ending {
            // A failed start recovered nothing: what the last run left still stands.
            Ending::StartFailed => {}
            Ending::Clean => self.write_wij(false),
            Ending::Abnormal => self.write_wij(true),
        }
        for file in [self.folder.ids(), self.folder.status()] {
            let _ = fs::remove_file(file);
        }
        ask::forget(&self.folder.manager());
        self.answer(&Answer::Done { code: u8::from(ending == Ending::StartFailed) });
        self.ending = Some(ending);
    }

    pub(super) fn write_wij(&self, active: bool) {
        let cpf = fs::read(&self.order.cpf).unwrap_or_default();
        let wij = WijFile {
            active,
            used_at: self.now().timestamp(),
            node: Some(self.node.clone()),
            cpf_fingerprint: Some(fingerprint(&cpf)),
            info: self.world.wij().clone(),
        };
        let _ = wij.write(&self.folder.wij());
    }

    pub(super) fn write_ids(&self) -> io::Result<()> {
        let mut processes = vec![("CONTROL".to_owned(), ProcessKey::own())];
        processes
            .extend(self.daemons.processes().map(|(daemon, process)| (daemon.name().to_owned(), process)));
        IdsFile { node: host::system().node, processes }.write(&self.folder.ids())
    }

    /// Tells the `iris` program how things are, when that has changed.
    pub(super) fn publish(&mut self) {
        let view = self.world.view();
        let allocation = self.world.allocation();
        let status = StatusFile {
            status: view.status.to_owned(),
            health: view.health.to_owned(),
            since: self.since,
            ports: self.world.parameters().map_or((0, 0), |known| (known.superserver_port, known.web_port)),
            sessions: self.world.sessions(),
            shared_memory_mb: allocation.map_or(0, crate::world::memory::Allocation::total_mb),
            huge_pages: allocation.is_some_and(|allocation| allocation.huge_pages),
            globals_8k_mb: allocation.map_or(0, |allocation| allocation.globals_8k_mb),
            dirty_mb_per_pass: self.world.dirty_mb_per_pass(),
            passes: self.world.wij().passes,
            in_panic: self.world.is_in_panic(),
        };
        if self.published.as_ref() != Some(&status) {
            let _ = status.write(&self.folder.status());
            self.published = Some(status);
        }
    }
}
