//! The instance is started, and watched until it takes logons.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use instance_agent::{
    evidence::{self, Health},
    host::HostError,
};
use instance_chassis::crash_point;
use instance_iris::{cpf::Document, messages_log::Entry};

use crate::{
    databases::{self, Mounted},
    error::{RestartError, whole},
    host::{Owner, Socket, Use},
    observe::{LOOK_AGAIN, LogEnd, Observed, Site, State, UNUSUAL, complaints, logons_enabled},
};

/// How long a port may take to take a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// One that is free takes it at once.
const CONNECT_LEAST: Duration = Duration::from_millis(100);

/// What a start took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Until the program returned.
    pub command_took: Duration,
    /// Until the instance took logons.
    pub ready_took: Duration,
    pub ready: Ready,
}

/// An instance that takes logons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// How many databases it has mounted since its start.
    pub databases: usize,
    /// How many processes it has.
    pub processes: usize,
    /// It says `alert` of itself, as it did before: IRIS may at a start that all is well with (five system alerts make it so).
    pub in_alert: bool,
}

/// What a start must bring back: what the run before it had.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Empty where nothing is known of an earlier run: then the CPF alone tells.
    pub databases: &'a Mounted,
    /// Its private web server took connections.
    pub web_server: bool,
    /// It was neither down nor in trouble by its own word.
    pub well: bool,
}

/// Starts the instance and waits until it is ready, both within `limit`.
pub fn start(site: &Site<'_>, expected: Expected<'_>, limit: Duration) -> Result<Started, RestartError> {
    let began = Instant::now();
    let log = site.log_end()?;
    let failed = |error: &dyn std::fmt::Display| RestartError::StartFailed { reason: error.to_string() };
    crash_point("restart.to-start");
    let words = ["start", site.instance.name.as_str(), "quietly"];
    let (is_lost, said) = match site.host.iris(&words, limit) {
        Ok(finished) => {
            let words = finished.last_words();
            (false, format!("iris start said \"{}\"", if words.is_empty() { "nothing" } else { &words }))
        }
        // It was started, and may do its work yet.
        Err(error @ HostError::Watch { .. }) => {
            (true, format!("the answer of iris start was lost ({})", whole(&error)))
        }
        Err(error) => return Err(failed(&RestartError::Program(error))),
    };
    crash_point("restart.start-asked");
    let command_took = began.elapsed();
    let left = limit.saturating_sub(began.elapsed());
    let ready = watch(site, log, expected, left, is_lost).map_err(|error| match error {
        RestartError::StartFailed { reason } => failed(&format!("{reason}; {said}")),
        lost @ RestartError::LostAfterStart(_) => lost,
        other => failed(&other),
    })?;
    crash_point("restart.ready");
    Ok(Started { command_took, ready_took: began.elapsed(), ready })
}

/// Waits until the instance runs and is well, has enabled logons since `log`, its own superserver takes a connection, the
/// databases are mounted that were before, and its web server answers that did.
pub fn await_ready(
    site: &Site<'_>,
    log: LogEnd,
    expected: Expected<'_>,
    limit: Duration,
) -> Result<Ready, RestartError> {
    watch(site, log, expected, limit, false)
}

/// `may_begin_yet`: one that is down may be on its way up all the same.
fn watch(
    site: &Site<'_>,
    log: LogEnd,
    expected: Expected<'_>,
    limit: Duration,
    may_begin_yet: bool,
) -> Result<Ready, RestartError> {
    let began = Instant::now();
    let mut told = None;
    loop {
        let left = || limit.saturating_sub(began.elapsed());
        let observed = match site.observe_within(left()) {
            Ok(observed) => observed,
            Err(error) if left().is_zero() => return Err(RestartError::LostAfterStart(Box::new(error))),
            // It may answer again: a look that failed tells nothing of the start.
            Err(_) => {
                std::thread::sleep(LOOK_AGAIN.min(left()));
                continue;
            }
        };
        let entries = site.log_since(log)?;
        let missing = match ready(site, &observed, &entries, expected) {
            Ok(ready) => return Ok(ready),
            Err(missing) => missing,
        };
        let left = left();
        if (observed.state == State::Down && !may_begin_yet) || left.is_zero() {
            return Err(RestartError::StartFailed { reason: reason(missing, &entries) });
        }
        if began.elapsed() >= UNUSUAL && told.as_ref() != Some(&missing) {
            tracing::info!(instance = %site.instance.name, missing, "the instance is not ready yet");
            told = Some(missing);
        }
        std::thread::sleep(LOOK_AGAIN.min(left));
    }
}

/// An instance that is ready, or what is not there yet, in words.
pub fn ready(
    site: &Site<'_>,
    observed: &Observed,
    entries: &[Entry],
    expected: Expected<'_>,
) -> Result<Ready, String> {
    if observed.state != State::Running {
        return Err(format!("it is {}", observed.state));
    }
    let in_alert = observed.qlist.health == Health::Alert;
    if !observed.qlist.is_well() && (expected.well || !in_alert) {
        return Err(format!("its health is \"{}\"", observed.qlist.health));
    }
    if !logons_enabled(entries) {
        return Err("its log does not say \"Enabling logons\"".to_owned());
    }
    let processes = superserver_is_its_own(site, observed)?;
    let mounted = databases::mounted(entries);
    let cpf = site.host.cpf().map_err(|error| format!("its CPF cannot be read ({error})"))?;
    let cpf = Document::parse(&cpf);
    let mut missing = if expected.databases.is_empty() {
        // Its first start, or one whose log is gone: the CPF alone tells what to expect.
        databases::missing(&databases::required(&cpf), &mounted, &cpf)
    } else {
        databases::missing(expected.databases, &mounted, &cpf)
    };
    if expected.web_server
        && let Some((port, false)) = web_server(site, observed, &cpf)
    {
        missing.push(format!("its web server does not accept on port {port}"));
    }
    if missing.is_empty() {
        Ok(Ready { databases: mounted.len(), processes, in_alert })
    } else {
        Err(missing.join(", "))
    }
}

/// The private web server that the CPF wants (`[Startup] WebServer`): its port, as `iris qlist` tells it, and whether it takes
/// a connection. The web server of a site, which serves instances from outside, is none of a start.
pub fn web_server(site: &Site<'_>, observed: &Observed, cpf: &Document) -> Option<(u16, bool)> {
    let port = observed.qlist.web_server_port.filter(|port| *port != 0)?;
    let is_wanted = cpf.get("Startup", "WebServer").is_some_and(|value| value.trim() == "1");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    is_wanted.then(|| (port, site.host.accepts(address, site.left_of(CONNECT_LIMIT).max(CONNECT_LEAST))))
}

/// Does its superserver take connections, and is it the instance that listens there? How many processes it has.
pub fn superserver_is_its_own(site: &Site<'_>, observed: &Observed) -> Result<usize, String> {
    let Some(port) = observed.qlist.superserver_port else {
        return Err("it tells no superserver port".to_owned());
    };
    let unseen = |error: std::io::Error| format!("its processes cannot be seen ({error})");
    let processes = site.host.processes().map_err(unseen)?;
    if processes.is_empty() {
        return Err("no process of it is to be seen".to_owned());
    }
    let sockets = site.host.sockets(port, &processes).map_err(unseen)?;
    let listeners: Vec<&Socket> = sockets.iter().filter(|socket| socket.use_of == Use::Listens).collect();
    if listeners.is_empty() {
        return Err(format!("nobody listens on its superserver port {port}"));
    }
    let (own, foreign): (Vec<&Socket>, Vec<&Socket>) =
        listeners.into_iter().partition(|socket| socket.owner.is_the_instance());
    if own.is_empty() {
        let users = foreign.iter().find_map(|socket| match socket.owner {
            Owner::Foreign { user } => Some(user.to_string()),
            _ => None,
        });
        let user = users.unwrap_or_default();
        return Err(format!(
            "a process of user {user}, not of the instance, holds its superserver port {port}"
        ));
    }
    // Where it listens: `[Startup] DefaultPortBindAddress` may name an address that is not the loopback's.
    let accepts = |address| site.host.accepts(address, site.left_of(CONNECT_LIMIT).max(CONNECT_LEAST));
    if !own.iter().any(|socket| accepts(socket.local)) {
        return Err(format!("its superserver does not accept on {}", own[0].local));
    }
    Ok(processes.len())
}

/// The instance's own words first: they name the cause. Then what the catalogue advises.
fn reason(missing: String, entries: &[Entry]) -> String {
    let complaints = complaints(entries);
    let named = evidence::conditions_in(entries)
        .into_iter()
        .find(|(_, text)| complaints.contains(text))
        .map(|(id, _)| String::from(id));
    let mut reason = missing;
    if let Some(condition) = &named {
        reason = format!("{condition}; {reason}");
    }
    if !complaints.is_empty() {
        reason = format!("{reason}; its log says: {}", complaints.join(" | "));
    }
    match named.as_deref().and_then(instance_knowledge::condition) {
        Some(row) => format!("{reason}; remedy: {}", row.remedy),
        None => reason,
    }
}
