//! Looking at one thing that must be true.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use instance_contract::{Expectation, Failure};
use instance_iris::cpf::Document;
use instance_knowledge::{KernelKind, KernelRoot, kernel_parameter};

use super::{CpuGroup, InstanceView, allowed_cpus, processes_of, qlist, reachable, superserver_accepts};

/// How long a port may take to take a connection; one that is free takes it at once.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const CONNECT_LEAST: Duration = Duration::from_millis(100);

/// One look at one thing, as a line `what: expected ..., found ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    Held(String),
    Wrong(String),
    /// It could not be looked at, so nobody knows.
    Unseen(String),
}

impl Finding {
    fn compare(what: &str, expected: &str, found: Option<&str>) -> Self {
        match found {
            Some(found) if found == expected => {
                Self::Held(format!("{what}: expected {expected}, found {found}"))
            }
            Some(found) => Self::Wrong(format!("{what}: expected {expected}, found {found}")),
            None => Self::Wrong(format!("{what}: expected {expected}, found no such parameter")),
        }
    }

    fn unseen(what: &str, expected: &str, error: &dyn std::fmt::Display) -> Self {
        Self::Unseen(format!("{what}: expected {expected}, found nothing to look at: {error}"))
    }

    pub fn line(&self) -> &str {
        match self {
            Self::Held(line) | Self::Wrong(line) | Self::Unseen(line) => line,
        }
    }
}

/// Looks once, at most for `limit`. Fails where looking again cannot help.
pub(super) fn look(
    view: &InstanceView,
    expectation: &Expectation,
    limit: Duration,
) -> Result<Finding, Failure> {
    match expectation {
        Expectation::CpfValue { section, parameter, value } => {
            Ok(cpf(&view.cpf, &format!("iris.cpf [{section}] {parameter}"), section, parameter, value))
        }
        Expectation::CpfAbsent { section, parameter } => {
            Ok(absent(&view.cpf, &format!("iris.cpf [{section}] {parameter}"), section, parameter))
        }
        Expectation::CpfInForce { section, parameter, value } => {
            let started_with = view.cpf.with_file_name("_LastGood_.cpf");
            Ok(cpf(&started_with, &format!("in force [{section}] {parameter}"), section, parameter, value))
        }
        Expectation::KernelValue { name, value } => kernel(view, name, value),
        Expectation::InstanceHealthy {} => healthy(view, limit),
    }
}

fn cpf(path: &Path, what: &str, section: &str, parameter: &str, value: &str) -> Finding {
    match fs::read(path) {
        Ok(bytes) => Finding::compare(what, value, Document::parse(&bytes).get(section, parameter)),
        Err(error) => Finding::unseen(what, value, &format!("{}: {error}", path.display())),
    }
}

fn absent(path: &Path, what: &str, section: &str, parameter: &str) -> Finding {
    let expected = "nothing";
    match fs::read(path) {
        Ok(bytes) => match Document::parse(&bytes).get(section, parameter) {
            None => Finding::Held(format!("{what}: expected {expected}, found {expected}")),
            Some(found) => Finding::Wrong(format!("{what}: expected {expected}, found {found}")),
        },
        Err(error) => Finding::unseen(what, expected, &format!("{}: {error}", path.display())),
    }
}

fn kernel(view: &InstanceView, name: &str, value: &str) -> Result<Finding, Failure> {
    let dotted = name.replace('/', ".");
    let row = kernel_parameter(&dotted).ok_or_else(|| {
        Failure::permanent(
            "unknown_kernel_parameter",
            format!("nothing is known about kernel parameter \"{name}\""),
        )
    })?;
    let what = format!("kernel {dotted}");
    let root: PathBuf = match row.root {
        KernelRoot::Proc => view.proc_root.clone(),
        KernelRoot::Sys => view.proc_root.with_file_name("sys"),
        KernelRoot::Process => {
            let found = match row.kind {
                KernelKind::Cpus => cpus(view),
                KernelKind::Numbers(_) | KernelKind::Word(_) => weight(view),
            };
            return Ok(match found {
                Ok(found) => Finding::compare(&what, value, Some(&found)),
                Err(error) => Finding::unseen(&what, value, &error),
            });
        }
    };
    let shown: io::Result<String> = fs::read_to_string(root.join(&row.path));
    Ok(match shown {
        Ok(shown) => Finding::compare(&what, value, row.shown_value(&shown).as_deref()),
        Err(error) => Finding::unseen(&what, value, &format!("{}: {error}", root.join(&row.path).display())),
    })
}

/// The CPUs that the threads of the instance may run on; several sets when they differ.
fn cpus(view: &InstanceView) -> io::Result<String> {
    let mut sets = BTreeSet::new();
    for process in processes_of(view)? {
        for thread in process.threads(&view.proc_root) {
            let folder = process.folder(&view.proc_root).join("task").join(thread.id.to_string());
            match allowed_cpus(&folder) {
                Ok(cpus) => drop(sets.insert(cpus)),
                // It has ended meanwhile.
                Err(_) if !folder.exists() => {}
                Err(error) => return Err(error),
            }
        }
    }
    if sets.is_empty() {
        return Err(io::Error::other("no process of the instance was found"));
    }
    Ok(sets.into_iter().collect::<Vec<_>>().join(" | "))
}

fn weight(view: &InstanceView) -> io::Result<String> {
    let processes = processes_of(view)?;
    let weight = CpuGroup::of(&view.proc_root, &processes).and_then(|group| group.weight(&group.raw()?));
    weight.map(|weight| weight.to_string()).map_err(io::Error::other)
}

fn healthy(view: &InstanceView, limit: Duration) -> Result<Finding, Failure> {
    let Some(command) = &view.iris_command else {
        let message =
            format!("no iris program is configured, so the state of \"{}\" cannot be seen", view.name);
        return Err(Failure::permanent("no_iris_command", message));
    };
    let began = Instant::now();
    let what = format!("instance {}", view.name);
    let expected = "running, healthy and accepting";
    let found = match qlist(command, &view.name, limit) {
        Ok(found) => found,
        Err(error) => return Ok(Finding::unseen(&what, expected, &error)),
    };
    let well = found.is_well();
    let told = format!("{what}: expected {expected}, found {}, health {}", found.state, found.health);
    let Some(port) = found.superserver_port else {
        return Ok(Finding::Wrong(format!("{told}, no superserver port")));
    };
    let left = limit.saturating_sub(began.elapsed()).clamp(CONNECT_LEAST, CONNECT_LIMIT);
    let address = superserver_address(view);
    let accepts = superserver_accepts(address, port, left);
    let port = if address == Ipv4Addr::LOCALHOST { port.to_string() } else { format!("{port} of {address}") };
    let line = format!("{told}, port {port} {}", if accepts { "accepts" } else { "does not accept" });
    Ok(if well && accepts { Finding::Held(line) } else { Finding::Wrong(line) })
}

/// Where the superserver takes connections: `[Startup] DefaultPortBindAddress` of the CPF that the instance started with,
/// or of the one that lies there where IRIS has kept no copy. Empty is every address.
fn superserver_address(view: &InstanceView) -> IpAddr {
    let started_with = view.cpf.with_file_name("_LastGood_.cpf");
    let text = fs::read(started_with).or_else(|_| fs::read(&view.cpf)).unwrap_or_default();
    let document = Document::parse(&text);
    let named = document.get("Startup", "DefaultPortBindAddress").and_then(|value| value.trim().parse().ok());
    reachable(named.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}
