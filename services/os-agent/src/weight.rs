//! The share of the CPUs that the processes of an instance get when they are short: the weight of the control group
//! that holds them and nobody else.

use std::path::PathBuf;

use instance_agent::{Applied, InstanceSettings, Prepared, Probe, Work};
use instance_chassis::crash_point;
use instance_contract::{AppliedChange, Failure, Forecast};
use instance_knowledge::KernelParameter;
use serde::{Deserialize, Serialize};

use crate::{apply::target, error::HostError, host::Processes};

/// What the ledger keeps of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Material {
    parameter: String,
    /// The file of the group.
    file: PathBuf,
    /// What it held, and what it is to hold, as it is written there: version 1 counts in other units.
    before: String,
    after: String,
}

impl Material {
    fn read(prepared: &Prepared) -> Result<Self, Failure> {
        serde_json::from_value(prepared.material.clone()).map_err(|error| {
            let message = format!("the ledger's record of the change cannot be read: {error}");
            Failure::permanent("ledger_unreadable", message)
        })
    }

    fn change(&self, from: &str, to: &str) -> Vec<(String, AppliedChange)> {
        let change = AppliedChange {
            parameter: self.parameter.clone(),
            old_value: Some(from.to_owned()),
            new_value: Some(to.to_owned()),
            validated: true,
        };
        vec![(target(&self.parameter), change)]
    }

    fn foreign(&self, found: &str) -> Failure {
        let message = format!(
            "\"{}\" holds {found}, which is neither {} nor {}: somebody else has changed it, so it is left as it is",
            self.file.display(),
            self.before,
            self.after
        );
        Failure::permanent("foreign_change", message)
    }
}

/// Exactly what would change.
pub fn forecast(
    processes: &dyn Processes,
    instance: &InstanceSettings,
    row: &KernelParameter,
    wanted: &str,
) -> Result<Forecast, Failure> {
    let prepared = prepare(processes, instance, row, wanted)?;
    Ok(Forecast {
        unknown_version: None,
        target: target(&row.name),
        before: prepared.before,
        after: prepared.wanted,
        needs_restart: false,
        may_be_live: false,
        restart_reason: "the kernel shares out the CPUs by it at once".to_owned(),
        dangerous: row.dangerous,
        warnings: vec![format!("{} does not outlive the control group: {}", row.name, row.recommendation)],
    })
}

/// What must be recorded before the effect. Changes nothing.
pub fn prepare(
    processes: &dyn Processes,
    instance: &InstanceSettings,
    row: &KernelParameter,
    wanted: &str,
) -> Result<Prepared, Failure> {
    row.check(wanted).map_err(|fault| Failure::refused("invalid_value", fault))?;
    let group = processes.cpu_group(instance).map_err(HostError::into_failure)?;
    let file = group.file();
    let raw = processes.read_share(&file).map_err(HostError::into_failure)?;
    let raw = raw.ok_or_else(|| HostError::Absent(file.clone()).into_failure())?;
    let weight =
        group.weight(&raw).map_err(|_| HostError::strange(file.clone(), &raw).into_failure())?.to_string();
    let after = group.raw_of(wanted.parse().expect("the catalogue takes canonical decimals only"));
    let already = raw == after;
    let material = Material { parameter: row.name.clone(), file, before: raw, after };
    let material = serde_json::to_value(material).expect("texts and paths are JSON");
    Ok(Prepared { before: weight, wanted: wanted.to_owned(), already, material })
}

/// Writes the share and reads it back. Doing it twice is doing it once.
pub fn apply(
    processes: &dyn Processes,
    instance: &InstanceSettings,
    prepared: &Prepared,
    work: &Work<'_>,
) -> Result<Applied, Failure> {
    let material = Material::read(prepared)?;
    let group = processes.cpu_group(instance).map_err(HostError::into_failure)?;
    if group.file() != material.file {
        let message =
            format!("the processes of the instance have moved to control group \"{}\"", group.path.display());
        return Err(Failure::permanent("foreign_change", message));
    }
    let found = present(processes, &material)?.ok_or_else(|| HostError::NoProcesses.into_failure())?;
    if found != material.before && found != material.after {
        return Err(material.foreign(&found));
    }
    if found != material.after {
        set(processes, &material, &material.before, &material.after, work)?;
    }
    let changes = material.change(&prepared.before, &prepared.wanted);
    Ok(Applied { changes, warnings: Vec::new(), rollback_available: true })
}

/// What is true after a crash with only the intent known.
pub fn probe(processes: &dyn Processes, prepared: &Prepared) -> Result<Probe, Failure> {
    let material = Material::read(prepared)?;
    Ok(match present(processes, &material)? {
        Some(found) if found == material.after => {
            let changes = material.change(&prepared.before, &prepared.wanted);
            Probe::Done(Applied { changes, warnings: Vec::new(), rollback_available: true })
        }
        Some(found) if found != material.before => Probe::Other { found },
        _ => Probe::NotDone,
    })
}

/// Gives the group its former share, as long as it is ours. Doing it twice is doing it once.
pub fn undo(processes: &dyn Processes, done: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
    let material = Material::read(done)?;
    match present(processes, &material)? {
        Some(found) if found == material.after && found != material.before => {
            set(processes, &material, &material.after, &material.before, work)?;
        }
        Some(found) if found != material.before => return Err(material.foreign(&found)),
        _ => {}
    }
    Ok(undone(processes, &material, done))
}

/// Is the former share back?
pub fn probe_undo(processes: &dyn Processes, done: &Prepared) -> Result<Probe, Failure> {
    let material = Material::read(done)?;
    Ok(match present(processes, &material)? {
        Some(found) if found == material.before => Probe::Done(undone(processes, &material, done)),
        Some(found) if found == material.after => Probe::NotDone,
        Some(found) => Probe::Other { found },
        None => Probe::Done(undone(processes, &material, done)),
    })
}

fn present(processes: &dyn Processes, material: &Material) -> Result<Option<String>, Failure> {
    processes.read_share(&material.file).map_err(HostError::into_failure)
}

fn set(
    processes: &dyn Processes,
    material: &Material,
    from: &str,
    to: &str,
    work: &Work<'_>,
) -> Result<(), Failure> {
    work.before_effect()?;
    crash_point("os.weight-to-write");
    processes.write_share(&material.file, to).map_err(HostError::into_failure)?;
    crash_point("os.weight-written");
    let reached = processes.read_share(&material.file).map_err(HostError::into_unknown)?;
    if reached.as_deref() == Some(to) {
        return Ok(());
    }
    let reached = reached.unwrap_or_else(|| "nothing".to_owned());
    processes.write_share(&material.file, from).map_err(HostError::into_unknown)?;
    let message = format!(
        "\"{}\": asked for {to}, the kernel reached {reached}; {from} is written again",
        material.file.display()
    );
    Err(Failure::permanent("clamped", message))
}

fn undone(processes: &dyn Processes, material: &Material, done: &Prepared) -> Applied {
    let is_gone = matches!(processes.read_share(&material.file), Ok(None));
    let ended = "the control group is no more, and its share with it".to_owned();
    let changes = material.change(&done.wanted, &done.before);
    Applied { changes, warnings: is_gone.then_some(ended).into_iter().collect(), rollback_available: false }
}
