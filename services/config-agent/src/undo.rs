//! A change is taken back, while the value is still ours.

use instance_agent::{Applied, InstanceSettings, Prepared, Probe};
use instance_chassis::mutant;
use instance_contract::Failure;

use crate::{
    apply::Material,
    config::Config,
    edit,
    read::{LastLook, Live},
};

/// Sets the former value again. When nothing else in the file has changed since, the file is what it was, byte for
/// byte. Doing it twice is doing it once.
pub fn undo(
    config: &Config,
    instance: &InstanceSettings,
    done: &Prepared,
    last_look: LastLook<'_>,
) -> Result<Applied, Failure> {
    let material = Material::of(done)?;
    let live = Live::read(instance)?;
    let found = material.value(&live);
    if found == Some(&done.before) {
        live.make_durable()?;
        return Ok(undone(&material, done, Vec::new()));
    }
    if found != Some(&done.wanted) && !mutant("config.undo-unchecked") {
        return Err(material.foreign(found, &done.wanted));
    }
    let text = former_text(&live, &material, done)?;
    live.keep(&live.next_backup()?)?;
    live.put(&text, last_look)?;
    Ok(undone(&material, done, live.prune(config.kept_backups.get()).into_iter().collect()))
}

/// Is the former value back?
pub fn probe(instance: &InstanceSettings, done: &Prepared) -> Result<Probe, Failure> {
    let material = Material::of(done)?;
    let live = Live::read(instance)?;
    Ok(match material.value(&live) {
        Some(found) if found == done.before => {
            live.make_durable()?;
            Probe::Done(undone(&material, done, Vec::new()))
        }
        Some(found) if found == done.wanted => Probe::NotDone,
        found => Probe::Other { found: found.unwrap_or("(not there)").to_owned() },
    })
}

/// The whole file from the backup when it is exactly as we left it, else the present file with the former value.
fn former_text(live: &Live, material: &Material, done: &Prepared) -> Result<Vec<u8>, Failure> {
    if live.snapshot.digest == material.after_sha256 {
        let backup = material.backup.as_ref().and_then(|name| live.folder.read(name).ok());
        if let Some(backup) = backup.filter(|backup| backup.digest == material.before_sha256) {
            return Ok(backup.bytes);
        }
    }
    let mut document = live.document.clone();
    document
        .set(&material.section, &material.parameter, &done.before)
        .map_err(|error| Failure::from(edit::Conflict::Edit(error)))?;
    Ok(document.to_bytes())
}

fn undone(material: &Material, done: &Prepared, warnings: Vec<String>) -> Applied {
    let changes = vec![material.change(&done.wanted, &done.before)];
    Applied { changes, warnings, rollback_available: false }
}
