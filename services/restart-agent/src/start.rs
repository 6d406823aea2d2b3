//! The instance is started, and watched until it takes logons.

use std::time::{Duration, Instant};

use instance_agent::evidence;
use instance_chassis::crash_point;
use instance_iris::messages_log::Entry;

use crate::{
    error::RestartError,
    observe::{LOOK_AGAIN, LogEnd, Observed, Site, State, complaints, logons_enabled},
    stop::program,
};

/// How long a port may take to take a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// What a start took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Until the program returned.
    pub command_took: Duration,
    /// Until the instance took logons.
    pub ready_took: Duration,
}

/// Starts the instance and waits until it is ready, both within `limit`.
pub fn start(site: &Site<'_>, limit: Duration) -> Result<Started, RestartError> {
    let began = Instant::now();
    let log = site.log_end()?;
    let failed = |error: &dyn std::fmt::Display| RestartError::StartFailed { reason: error.to_string() };
    crash_point("restart.to-start");
    let finished = program(site)
        .arguments(["start", site.instance.name.as_str(), "quietly"])
        .run(limit)
        .map_err(|error| failed(&RestartError::Program(error)))?;
    crash_point("restart.start-asked");
    let command_took = began.elapsed();
    let words = match finished.last_words() {
        words if words.is_empty() => "nothing".to_owned(),
        words => words,
    };
    await_ready(site, log, limit.saturating_sub(began.elapsed())).map_err(|error| match error {
        RestartError::StartFailed { reason } => failed(&format!("{reason}; iris start said \"{words}\"")),
        other => failed(&other),
    })?;
    crash_point("restart.ready");
    Ok(Started { command_took, ready_took: began.elapsed() })
}

/// Waits until the instance runs, has enabled logons since `log`, and its superserver takes a connection.
pub fn await_ready(site: &Site<'_>, log: LogEnd, limit: Duration) -> Result<(), RestartError> {
    let began = Instant::now();
    loop {
        let observed = site.observe()?;
        let entries = site.log_since(log)?;
        let missing = missing(&observed, &entries);
        let Some(missing) = missing else { return Ok(()) };
        let is_over = began.elapsed() >= limit;
        if observed.state == State::Down || is_over {
            return Err(RestartError::StartFailed { reason: reason(missing, &entries) });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// What is not there yet, in words; `None` when the instance is ready.
pub fn missing(observed: &Observed, entries: &[Entry]) -> Option<String> {
    if observed.state != State::Running {
        return Some(format!("it is {}", observed.state));
    }
    if !logons_enabled(entries) {
        return Some("its log does not say \"Enabling logons\"".to_owned());
    }
    let Some(port) = observed.qlist.superserver_port else {
        return Some("it tells no superserver port".to_owned());
    };
    let accepts = evidence::superserver_accepts("127.0.0.1", port, CONNECT_LIMIT);
    (!accepts).then(|| format!("its superserver does not accept on port {port}"))
}

/// The instance's own words first: they name the cause.
fn reason(missing: String, entries: &[Entry]) -> String {
    let complaints = complaints(entries);
    let named: Vec<_> = evidence::conditions_in(entries)
        .into_iter()
        .filter(|(_, text)| complaints.contains(text))
        .map(|(id, _)| String::from(id))
        .collect();
    let mut reason = missing;
    if let Some(condition) = named.first() {
        reason = format!("{condition}; {reason}");
    }
    if !complaints.is_empty() {
        reason = format!("{reason}; its log says: {}", complaints.join(" | "));
    }
    reason
}
