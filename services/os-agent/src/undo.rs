//! A change is taken back in reverse: the value now, then the value of the next boot; each while it is still ours.

use instance_agent::{Applied, Prepared, Probe, Work};
use instance_chassis::crash_point;
use instance_contract::Failure;

use crate::{
    apply::{Material, set},
    error::HostError,
    host::{DropIns, Host},
};

/// Sets the former value again and gives the drop-in its former text. Doing it twice is doing it once.
pub fn undo(host: &Host, done: &Prepared, work: &Work<'_>) -> Result<Applied, Failure> {
    let (material, parameter) = Material::of(done)?;
    let found = host.kernel.read(parameter).map_err(HostError::into_failure)?;
    if found != done.wanted && found != done.before {
        return Err(material.foreign(&found, &done.wanted));
    }
    if found != done.before {
        set(&*host.kernel, parameter, &done.wanted, &done.before, work)?;
    }
    crash_point("os.undo-value-back");
    let warnings = restore_drop_in(&*host.drop_ins, &material, work)?;
    Ok(undone(&material, done, warnings))
}

/// Is the former state back?
pub fn probe(host: &Host, done: &Prepared) -> Result<Probe, Failure> {
    let (material, parameter) = Material::of(done)?;
    let found = host.kernel.read(parameter).map_err(HostError::into_failure)?;
    if found != done.wanted && found != done.before {
        return Ok(Probe::Other { found });
    }
    let text = host.drop_ins.text(&material.parameter).map_err(HostError::into_failure)?;
    let still_ours = material.drop_in.as_ref().is_some_and(|change| {
        text.as_deref() == Some(&change.after) && change.before.as_deref() != Some(&change.after)
    });
    if found != done.before || still_ours {
        return Ok(Probe::NotDone);
    }
    Ok(Probe::Done(undone(&material, done, Vec::new())))
}

fn restore_drop_in(
    drop_ins: &dyn DropIns,
    material: &Material,
    work: &Work<'_>,
) -> Result<Vec<String>, Failure> {
    let Some(change) = &material.drop_in else { return Ok(Vec::new()) };
    // Past this line the value is back already: a failure leaves a part.
    let text = drop_ins.text(&material.parameter).map_err(HostError::into_unknown)?;
    if text == change.before {
        return Ok(Vec::new());
    }
    if text.as_deref() != Some(&change.after) {
        let path = drop_ins.path(&material.parameter);
        let path = path.display();
        return Ok(vec![format!("{path} was changed by somebody else and is left as it is")]);
    }
    work.before_effect()?;
    drop_ins.put(&material.parameter, change.before.as_deref()).map_err(HostError::into_unknown)?;
    Ok(Vec::new())
}

fn undone(material: &Material, done: &Prepared, warnings: Vec<String>) -> Applied {
    let changes = vec![material.change(&done.wanted, &done.before)];
    Applied { changes, warnings, rollback_available: false }
}
