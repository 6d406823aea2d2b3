//! Routers and agents, under a supervisor that starts again whatever has ended.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::processes::{Process, command};

/// How soon the supervisor sees that a process has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// Everything that is supervised, by name. Dropping it ends all of it.
pub struct Services {
    folder: PathBuf,
    by_name: Mutex<BTreeMap<String, Service>>,
}

struct Service {
    program: &'static str,
    process: Option<Process>,
    /// Killed, and not to be started again yet.
    held: bool,
    /// The passing of a crash point at which its next process freezes itself.
    freezes_at: Option<String>,
    /// How often it has ended without being killed.
    own_exits: usize,
}

impl Services {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), by_name: Mutex::default() }
    }

    /// Adds one, with its settings; [`Services::tend`] starts it.
    pub fn add(&self, name: &str, program: &'static str, settings: &str) {
        std::fs::write(self.file(name), settings).unwrap();
        let service = Service { program, process: None, held: false, freezes_at: None, own_exits: 0 };
        self.lock().insert(name.to_owned(), service);
    }

    /// Starts again whatever has ended, for ever.
    pub async fn tend(&self) {
        loop {
            for (name, service) in self.lock().iter_mut().filter(|(_, service)| !service.held) {
                if service.process.as_mut().is_some_and(Process::is_running) {
                    continue;
                }
                let has_ended = service.process.take().is_some() && service.freezes_at.is_none();
                service.own_exits += usize::from(has_ended);
                service.process = Some(self.start(name, service.program, service.freezes_at.take()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn start(&self, name: &str, program: &str, freezes_at: Option<String>) -> Process {
        let mut command = command(program);
        command.arg("--config").arg(self.file(name)).env("HOME", &self.folder);
        // Says when a reading broke off, and why.
        command.args(["--log", "info,instance_bus=debug"]);
        command.envs(freezes_at.map(|passing| ("PAUSE_AT", passing)));
        Process::start(name, &self.folder, &mut command)
    }

    /// The next process of this service freezes itself at that passing of a crash point, as `kill -STOP` does.
    pub fn freeze_next_at(&self, name: &str, passing: String) {
        self.lock().get_mut(name).unwrap().freezes_at = Some(passing);
    }

    /// SIGTERM; the supervisor starts it again when it has finished what it took.
    pub fn drain(&self, name: &str) {
        self.signal(name, Signal::SIGTERM);
    }

    /// A frozen one goes on.
    pub fn thaw(&self, name: &str) {
        self.signal(name, Signal::SIGCONT);
    }

    fn signal(&self, name: &str, signal: Signal) {
        self.lock()[name].process.as_ref().unwrap().signal(signal);
    }

    /// Does the kernel show it as stopped?
    pub fn is_frozen(&self, name: &str) -> bool {
        let Some(pid) = self.lock()[name].process.as_ref().map(Process::pid) else { return false };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// Everything that it has written, in all its lives.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap_or_default()
    }

    /// `kill -9`; the supervisor starts it again.
    pub fn kill(&self, name: &str) {
        self.lock().get_mut(name).unwrap().process = None;
    }

    /// `kill -9`, and nobody starts it again until [`Services::release`].
    pub fn hold(&self, name: &str) {
        let mut services = self.lock();
        let service = services.get_mut(name).unwrap();
        service.held = true;
        service.process = None;
    }

    pub fn release(&self, name: &str) {
        self.lock().get_mut(name).unwrap().held = false;
    }

    pub fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// How often services have ended without being killed.
    pub fn own_exits(&self) -> usize {
        self.lock().values().map(|service| service.own_exits).sum()
    }

    /// The ends of all logs, for the message of a failure.
    pub fn last_words(&self) -> String {
        let end = |name: &String| {
            let log = self.log(name);
            let lines: Vec<&str> = log.lines().collect();
            format!("--- {name}\n{}\n", lines[lines.len().saturating_sub(12)..].join("\n"))
        };
        self.names().iter().map(end).collect()
    }

    /// Keeps all logs for whoever wants to know why.
    pub fn keep_logs(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        for name in self.names() {
            let log = format!("{name}.log");
            std::fs::copy(self.folder.join(&log), folder.join(&log))?;
        }
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.toml"))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Service>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
