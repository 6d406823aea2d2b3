//! `iris force`: the last resort.

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use instance_clock::Clock as _;

use crate::command::observed::{observe, wait_until_gone};
use crate::shell::ask;
use crate::shell::instance_clock::InstanceClock;
use crate::shell::log_file::LogFile;
use crate::shell::registry::Registered;
use crate::shell::settings::Settings;
use crate::world::act::{Entry, Severity, Writer};

/// A process that survives SIGKILL this long sleeps where nobody can reach it.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Kills every process of an instance. All of them are held first, so that none can report the death of another.
pub fn force(instance: &Registered) -> ExitCode {
    let before = observe(instance);
    if before.alive.is_empty() {
        println!("Instance is not running");
        println!("irisforce encountered an error.\n    See messages.log for details.");
        return ExitCode::FAILURE;
    }
    for process in &before.alive {
        process.pause();
    }
    for process in &before.alive {
        // Daemons may be gone by themselves by now: they do not outlive the control process.
        process.kill();
    }
    let killed = before.alive.len();
    let users = before.status.map_or(0, |status| status.sessions);
    if !wait_until_gone(&before.alive, KILL_LIMIT) {
        note(instance, Severity::Fatal, "irisforce failed to terminate all processes".to_owned());
        println!("irisforce encountered an error.\n    See messages.log for details.");
        return ExitCode::FAILURE;
    }
    let text = format!("irisforce killed {killed} system and {users} user processes.");
    println!("{text}");
    note(instance, Severity::Info, text);
    for file in [instance.folder.ids(), instance.folder.status()] {
        // Whoever was killed while writing may not have made it yet.
        let _ = fs::remove_file(file);
    }
    ask::forget(&instance.folder.manager());
    ExitCode::SUCCESS
}

fn note(instance: &Registered, severity: Severity, text: String) {
    let clock = Settings::read(&instance.folder.settings())
        .map_or_else(|_| InstanceClock::of_the_host(), |settings| settings.clock());
    let at = clock.now().to_zoned(jiff::tz::TimeZone::system());
    let entry = Entry::kernel(Writer::Asker, severity, text);
    if let Err(error) = LogFile::of(&instance.folder).write(&at, std::process::id(), entry) {
        eprintln!("iris: could not write messages.log: {error}");
    }
}
