//! `iris stop`, `iris stopnoshut`, `iris restart`.

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use crate::command::observed::{observe, wait_until_gone};
use crate::command::{fail, start};
use crate::shell::ask::{self, Request};
use crate::shell::process::user_name;
use crate::shell::registry::Registered;

/// How long the processes may take to leave after the instance said that it is down.
const LEAVE_LIMIT: Duration = Duration::from_secs(30);

/// Stops an instance in order; an instance that is frozen is forced after a minute.
pub fn stop(instance: &Registered, options: &[&str]) -> ExitCode {
    stop_and_maybe_start(instance, options, false, options.contains(&"restart"))
}

/// Without user shutdown routines.
pub fn stop_without_routines(instance: &Registered, options: &[&str]) -> ExitCode {
    stop_and_maybe_start(instance, options, true, false)
}

/// Stop and start.
pub fn restart(instance: &Registered, options: &[&str]) -> ExitCode {
    stop_and_maybe_start(instance, options, false, true)
}

fn stop_and_maybe_start(
    instance: &Registered,
    options: &[&str],
    without_routines: bool,
    then_start: bool,
) -> ExitCode {
    let known = ["restart", "nofailover", "bypass", "quietly"];
    if let Some(other) = options.iter().find(|option| !known.contains(option)) {
        return fail(format!("unknown option \"{other}\""));
    }
    let before = observe(instance);
    if !before.is_up() {
        println!("Instance is not running");
        return ExitCode::FAILURE;
    }
    // `quietly` counts only as the last word.
    if options.last() != Some(&"quietly") {
        match confirm(&instance.name) {
            Ok(true) => {}
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => {
                return fail(format!(
                    "could not ask on the terminal: {error}; end the command with \"quietly\""
                ));
            }
        }
    }
    let request = Request::Stop { pid: std::process::id(), user: user_name(), without_routines };
    match ask::ask(&instance.folder.manager(), &request, |line| println!("{line}")) {
        Ok(Some(_)) => {}
        Ok(None) if !observe(instance).is_up() => {}
        Ok(None) => return fail("the instance did not answer"),
        Err(error) => return fail(format!("could not reach the instance: {error}")),
    }
    if !wait_until_gone(&before.alive, LEAVE_LIMIT) {
        return fail("processes of the instance are still there");
    }
    if then_start { start::start(instance, &["quietly"]) } else { ExitCode::SUCCESS }
}

/// Asks the person at the terminal; an error when there is none.
fn confirm(name: &str) -> io::Result<bool> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    terminal.write_all(format!("Do you want to shut down {name}? <Yes> ").as_bytes())?;
    terminal.flush()?;
    let mut line = String::new();
    BufReader::new(terminal).read_line(&mut line)?;
    let word = line.trim().to_lowercase();
    Ok(!line.is_empty() && (word.is_empty() || "yes".starts_with(&word)))
}
