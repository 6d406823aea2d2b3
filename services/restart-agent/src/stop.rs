//! The instance is asked to stop, and watched until it is down. It is never forced.

use std::time::{Duration, Instant};

use instance_agent::host::Program;
use instance_chassis::crash_point;

use crate::{
    error::RestartError,
    observe::{LOOK_AGAIN, LogEnd, Observed, Site, State},
};

/// What a stop took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    pub took: Duration,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// Stops the instance in order, within `limit`. Exit codes are not believed: only `iris qlist` says "down".
pub fn stop(site: &Site<'_>, before: &Observed, limit: Duration) -> Result<Stopped, RestartError> {
    let started = Instant::now();
    let log = site.log_end()?;
    let mut arguments = vec!["stop", site.instance.name.as_str()];
    let mut warnings = Vec::new();
    if before.is_primary() {
        arguments.push("nofailover");
        warnings.push("the instance is the primary of a mirror: it was stopped without failover".to_owned());
    }
    // The last word: anywhere else it does not count, and without it the program asks on a terminal.
    arguments.push("quietly");
    crash_point("restart.to-stop");
    let finished = program(site).arguments(arguments).run(limit)?;
    crash_point("restart.stop-asked");
    let said = Some(finished.last_words()).filter(|words| !words.is_empty());
    let said = said.map_or_else(String::new, |words| format!(" (iris stop said \"{words}\")"));
    loop {
        let state = site.observe().map_err(|error| RestartError::LostAfterAsking(Box::new(error)))?.state;
        if state == State::Down {
            crash_point("restart.stopped");
            warnings.extend(users_who_remained(site, log));
            return Ok(Stopped { took: started.elapsed(), warnings });
        }
        if started.elapsed() >= limit {
            let seconds = started.elapsed().as_secs();
            let still_runs = matches!(state, State::Running | State::Hung);
            return Err(RestartError::StopFailed { state: state.to_string(), still_runs, seconds, said });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// The `iris` program, with the little environment that its scripts need.
pub fn program(site: &Site<'_>) -> Program {
    Program::new(&site.config.iris_command)
        .variable("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

/// The stop itself counts those who did not leave in time: `<n> user process(es) remain`.
fn users_who_remained(site: &Site<'_>, log: LogEnd) -> Option<String> {
    let entries = site.log_since(log).ok()?;
    let count = entries.iter().rev().find_map(|entry| {
        let text = entry.message_text();
        let (count, _) = text.trim().split_once(" user process(es) remain")?;
        count.parse::<u64>().ok()
    })?;
    (count > 0).then(|| format!("{count} user process(es) were still there when the instance stopped"))
}
