//! The system daemons as processes: they do nothing but live, and can be killed as real ones are.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::thread::{self, JoinHandle};

use instance_clock::Clock as _;
use nix::sys::signal::{SigSet, Signal};

use crate::shell::instance_clock::InstanceClock;
use crate::shell::log_file::LogFile;
use crate::shell::process::ProcessKey;
use crate::shell::settings::Settings;
use crate::world::act::{Daemon, Entry, Severity, Writer};

/// What a control process says to its daemons before it lets go of them; a killed one says nothing.
const GOODBYE: &[u8] = b".";

/// The running daemons. Dropping it ends them in good order.
#[derive(Debug, Default)]
pub struct Daemons {
    running: BTreeMap<Daemon, Running>,
}

#[derive(Debug)]
struct Running {
    process: ProcessKey,
    /// A daemon lives as long as this pipe: it dies with the control process, however that ends.
    life: Option<ChildStdin>,
    reaper: Option<JoinHandle<()>>,
}

impl Daemons {
    /// Starts one process per daemon from the program `irisdb`; `died` is told when one ends, for whatever reason.
    pub fn start(irisdb: &Path, died: impl Fn(Daemon, u32) + Clone + Send + 'static) -> io::Result<Self> {
        let mut daemons = Self::default();
        for daemon in Daemon::ALL {
            let mut child = Command::new(irisdb)
                .args(["daemon", daemon.name()])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            let pid = child.id();
            let process =
                ProcessKey::of(pid).ok_or_else(|| io::Error::other(format!("{daemon} ended at once")))?;
            let life = child.stdin.take();
            let died = died.clone();
            let reaper = thread::spawn(move || {
                // Nobody else waits for this child, so this cannot fail.
                let _ = child.wait();
                died(daemon, pid);
            });
            daemons.running.insert(daemon, Running { process, life, reaper: Some(reaper) });
        }
        Ok(daemons)
    }

    /// The process of a daemon that was started, alive or not.
    pub fn process(&self, daemon: Daemon) -> Option<ProcessKey> {
        self.running.get(&daemon).map(|running| running.process)
    }

    /// Every daemon with its process.
    pub fn processes(&self) -> impl Iterator<Item = (Daemon, ProcessKey)> + '_ {
        self.running.iter().map(|(daemon, running)| (*daemon, running.process))
    }

    /// Ends them all and waits until they are gone.
    pub fn stop(&mut self) {
        for running in self.running.values_mut() {
            if let Some(mut life) = running.life.take() {
                // One that somebody has stopped could not hear it.
                running.process.go_on();
                // One that is dead already needs no goodbye.
                let _ = life.write_all(GOODBYE);
            }
        }
        for running in self.running.values_mut() {
            if let Some(reaper) = running.reaper.take() {
                // A reaper only waits and reports; it does not panic.
                let _ = reaper.join();
            }
        }
    }
}

impl Drop for Daemons {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a daemon process does: it lives until its control process lets go of it. The write daemon says so in the log
/// when that process has died.
pub fn live(name: &str) -> ExitCode {
    // A host that goes down signals everybody; the control process is the one to answer.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    if signals.thread_block().is_err() {
        return ExitCode::FAILURE;
    }
    let mut word = [0; 64];
    let mut in_order = false;
    loop {
        match io::stdin().lock().read(&mut word) {
            Ok(0) => break,
            Ok(_) => in_order = true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return ExitCode::FAILURE,
        }
    }
    if !in_order && name == Daemon::WriteDaemon.name() {
        let text = "Write Daemon: Control Daemon has exited - freezing system";
        let entry = Entry::kernel(Writer::Daemon(Daemon::WriteDaemon), Severity::Fatal, text);
        // Daemons work in the manager directory. One without settings takes the host's time.
        let clock = Settings::read(Path::new("../sim.toml"))
            .map_or_else(|_| InstanceClock::of_the_host(), |settings| settings.clock());
        let at = clock.now().to_zoned(jiff::tz::TimeZone::system());
        // One that cannot write its log ends without a word.
        let _ = LogFile::at(Path::new("messages.log"), Path::new("alerts.log")).write(
            &at,
            std::process::id(),
            entry,
        );
    }
    ExitCode::SUCCESS
}
