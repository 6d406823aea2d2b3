//! The instance is asked to stop, and watched until it is down. It is killed only where everybody has agreed to that.

use std::time::{Duration, Instant};

use instance_agent::host::HostError;
use instance_chassis::crash_point;

use crate::{
    error::RestartError,
    observe::{LOOK_AGAIN, LogEnd, Observed, Site, State},
};

/// How long `iris force` may take until nothing is left.
pub const FORCE_LIMIT: Duration = Duration::from_secs(10);

/// What a stop took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    pub took: Duration,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// Stops the instance in order, within `limit`. Exit codes are not believed: `iris qlist` must say "down", and none of
/// its processes may be left.
pub fn stop(
    site: &Site<'_>,
    before: &Observed,
    failover: bool,
    limit: Duration,
) -> Result<Stopped, RestartError> {
    let began = Instant::now();
    let log = site.log_end()?;
    let mut words = vec!["stop", site.instance.name.as_str()];
    let mut warnings = Vec::new();
    if before.is_primary() && failover {
        warnings.push("the instance was the primary of a mirror: its partner was to take over".to_owned());
    } else if before.is_primary() {
        words.push("nofailover");
        warnings.push("the instance is the primary of a mirror: it was stopped without failover".to_owned());
    }
    // The last word: anywhere else it does not count, and without it the program asks on a terminal.
    words.push("quietly");
    crash_point("restart.to-stop");
    let said = ask(site, &words, limit)?;
    crash_point("restart.stop-asked");
    until_down(site, began, limit, &said)?;
    crash_point("restart.stopped");
    warnings.extend(users_who_remained(site, log));
    Ok(Stopped { took: began.elapsed(), warnings })
}

/// Fails where the instance runs and none of its processes is found: after the stop, "none left" would prove nothing.
pub fn processes_are_seen(site: &Site<'_>) -> Result<(), RestartError> {
    // Processes that cannot be listed count as left by whoever looks after the stop.
    if site.host.processes().is_ok_and(|processes| processes.is_empty()) {
        let manager_dir = site.instance.manager_dir().display().to_string();
        return Err(RestartError::NoProcesses { manager_dir });
    }
    Ok(())
}

/// Kills the instance, as a crash does. Recovery follows at the next start.
pub fn force(site: &Site<'_>, limit: Duration) -> Result<Stopped, RestartError> {
    let began = Instant::now();
    let limit = limit.min(FORCE_LIMIT);
    tracing::warn!(instance = %site.instance.name, "forcing the instance down");
    crash_point("restart.to-force");
    let said = ask(site, &["force", site.instance.name.as_str()], limit)?;
    crash_point("restart.force-asked");
    until_down(site, began, limit, &said)?;
    crash_point("restart.forced");
    let warnings = vec!["it did not stop and was forced down: look what held it".to_owned()];
    Ok(Stopped { took: began.elapsed(), warnings })
}

/// Runs `iris` with these words, the first of them its verb, and gives what it said as the end of a sentence. Whoever
/// calls this looks afterwards at what came of it.
fn ask(site: &Site<'_>, words: &[&str], limit: Duration) -> Result<String, RestartError> {
    match site.host.iris(words, limit) {
        Ok(finished) => {
            let said = finished.last_words();
            Ok(if said.is_empty() { said } else { format!(" (iris {} said \"{said}\")", words[0]) })
        }
        // It was started, and may have done its work.
        Err(HostError::Watch { .. }) => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

fn until_down(site: &Site<'_>, began: Instant, limit: Duration, said: &str) -> Result<(), RestartError> {
    loop {
        let left = || limit.saturating_sub(began.elapsed());
        let found = site.observe_within(left()).map(|observed| observed.state);
        // The look itself may have taken the rest of the time.
        let left = left();
        let state = match found {
            Ok(State::Down) => match left_of_it(site) {
                None => return Ok(()),
                Some(left) => State::Other(left),
            },
            Ok(state) => state,
            Err(error) if left.is_zero() => return Err(RestartError::LostAfterAsking(Box::new(error))),
            // It may answer again.
            Err(_) => State::Other("unknown".to_owned()),
        };
        if left.is_zero() {
            let seconds = began.elapsed().as_secs();
            let still_runs = matches!(state, State::Running | State::Hung);
            return Err(RestartError::StopFailed {
                state: state.to_string(),
                still_runs,
                seconds,
                said: said.to_owned(),
            });
        }
        std::thread::sleep(LOOK_AGAIN.min(left));
    }
}

/// Before every start, whoever has stopped the instance and however that ended: it is told to be down, and waited for, at
/// most for `limit`, until none of its processes is left either.
pub fn await_nothing_left(site: &Site<'_>, limit: Duration) -> Result<(), RestartError> {
    let began = Instant::now();
    let mut has_waited = false;
    while let Some(state) = left_of_it(site) {
        let left = limit.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(RestartError::ProcessesLeft { state, seconds: began.elapsed().as_secs() });
        }
        std::thread::sleep(LOOK_AGAIN.min(left));
        has_waited = true;
    }
    if !has_waited {
        return Ok(());
    }
    // Somebody else may have started it meanwhile.
    match site.observe()?.state {
        State::Down => Ok(()),
        state => Err(RestartError::Unsettled { state: state.to_string() }),
    }
}

/// What is left of an instance that is told to be down, in words: a run whose processes are there has not ended.
fn left_of_it(site: &Site<'_>) -> Option<String> {
    match site.host.processes() {
        Ok(processes) if processes.is_empty() => None,
        Ok(processes) => {
            let ids: Vec<_> = processes.iter().map(|process| process.id.to_string()).collect();
            Some(format!("down, but its processes {} still run", ids.join(", ")))
        }
        Err(error) => Some(format!("down, but its processes cannot be seen ({error})")),
    }
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
