//! One value of the CPF changes: told beforehand, recorded, done, looked up again.

use instance_agent::{Applied, InstanceSettings, Prepared, Probe};
use instance_contract::{AppliedChange, Digest, Failure, Forecast, SetCpf};
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    edit::{self, Edit},
    memory::{self, HostMemory},
    read::{LastLook, Live},
};

/// What the ledger keeps of a change, enough to recognise it and to take it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Material {
    pub section: String,
    pub parameter: String,
    /// Name of the backup, beside the CPF. `None` when there was nothing to change.
    pub backup: Option<String>,
    /// SHA-256 of the whole file before.
    pub before_sha256: Digest,
    /// SHA-256 of the whole file after.
    pub after_sha256: Digest,
}

impl Material {
    pub fn of(prepared: &Prepared) -> Result<Self, Failure> {
        serde_json::from_value(prepared.material.clone()).map_err(|error| {
            let message = format!("the ledger's record of the change cannot be read: {error}");
            Failure::permanent("ledger_unreadable", message)
        })
    }

    /// The present value; `None` when the parameter is no longer there.
    pub fn value<'a>(&self, live: &'a Live) -> Option<&'a str> {
        live.document.get(&self.section, &self.parameter)
    }

    /// As the plan names it.
    pub fn target(&self) -> String {
        target(&self.section, &self.parameter)
    }

    /// The change, as it is reported.
    pub fn change(&self, from: &str, to: &str) -> (String, AppliedChange) {
        let change = AppliedChange {
            parameter: self.parameter.clone(),
            old_value: Some(from.to_owned()),
            new_value: Some(to.to_owned()),
            validated: true,
        };
        (self.target(), change)
    }

    /// Somebody else has set the parameter: their value stays.
    pub fn foreign(&self, found: Option<&str>, expected: &str) -> Failure {
        let found = found.map_or("no longer there".to_owned(), |value| format!("\"{value}\""));
        let message = format!(
            "[{}] {} is {found} and not \"{expected}\": somebody else has changed it, so it is left as it is",
            self.section, self.parameter
        );
        Failure::permanent("foreign_change", message)
    }
}

/// Exactly what would change.
pub fn forecast(config: &Config, instance: &InstanceSettings, wanted: &SetCpf) -> Result<Forecast, Failure> {
    let live = Live::read(instance)?;
    let edit = edit::edit(&live.document, wanted)?;
    let host = HostMemory::read(&config.proc_root);
    let judgement = memory::judge(&edit.document, &wanted.cpf_section, &wanted.parameter, host);
    Ok(Forecast {
        target: target(&wanted.cpf_section, &wanted.parameter),
        before: edit.before,
        after: edit.after,
        needs_restart: edit.needs_restart,
        restart_reason: edit.restart_reason,
        dangerous: judgement.dangerous,
        warnings: edit.warnings.into_iter().chain(judgement.warnings).collect(),
    })
}

/// What must be recorded before the effect. Writes nothing.
pub fn prepare(instance: &InstanceSettings, wanted: &SetCpf) -> Result<Prepared, Failure> {
    let live = Live::read(instance)?;
    let edit = edit::edit(&live.document, wanted)?;
    let already = edit.before == edit.after;
    let backup = if already { None } else { Some(live.next_backup()?) };
    let material = Material {
        section: wanted.cpf_section.clone(),
        parameter: wanted.parameter.clone(),
        backup,
        before_sha256: live.snapshot.digest.clone(),
        after_sha256: Digest::of(&edit.document.to_bytes()),
    };
    let material = serde_json::to_value(material).expect("texts and digests are JSON");
    Ok(Prepared { before: edit.before, wanted: edit.after, already, material })
}

/// Sets the value. Doing it twice is doing it once.
pub fn apply(
    config: &Config,
    instance: &InstanceSettings,
    wanted: &SetCpf,
    prepared: &Prepared,
    last_look: LastLook<'_>,
) -> Result<Applied, Failure> {
    let material = Material::of(prepared)?;
    let live = Live::read(instance)?;
    let found = material.value(&live);
    if found == Some(&prepared.wanted) {
        live.make_durable()?;
        return Ok(applied(&material, prepared, Vec::new()));
    }
    if found != Some(&prepared.before) {
        return Err(material.foreign(found, &prepared.before));
    }
    if live.snapshot.digest != material.before_sha256 {
        let message = format!("\"{}\" has changed since it was looked at", live.path().display());
        return Err(Failure::transient("lost_update", message));
    }
    let Edit { document, mut warnings, .. } = edit::edit(&live.document, wanted)?;
    if let Some(backup) = &material.backup {
        live.keep(backup)?;
    }
    live.put(&document.to_bytes(), last_look)?;
    warnings.extend(live.prune(config.kept_backups.get()));
    Ok(applied(&material, prepared, warnings))
}

/// What is true after a crash with only the intent known.
pub fn probe(instance: &InstanceSettings, prepared: &Prepared) -> Result<Probe, Failure> {
    let material = Material::of(prepared)?;
    let live = Live::read(instance)?;
    Ok(match material.value(&live) {
        Some(found) if found == prepared.wanted => {
            live.make_durable()?;
            Probe::Done(applied(&material, prepared, Vec::new()))
        }
        Some(found) if found == prepared.before => Probe::NotDone,
        found => Probe::Other { found: found.unwrap_or("(not there)").to_owned() },
    })
}

fn applied(material: &Material, prepared: &Prepared, warnings: Vec<String>) -> Applied {
    let changes = vec![material.change(&prepared.before, &prepared.wanted)];
    Applied { changes, warnings, rollback_available: true }
}

fn target(section: &str, parameter: &str) -> String {
    format!("cpf [{section}] {parameter}")
}
