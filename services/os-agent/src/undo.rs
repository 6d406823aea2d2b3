//! A change is taken back in reverse: the value now, then the value of the next boot; each while it is still ours.

use instance_agent::{Applied, Prepared, Probe};
use instance_contract::Failure;

use crate::{
    apply::{LastLook, Material, set},
    config::Config,
    drop_in::DropIn,
    error::KernelError,
    kernel::Kernel,
};

/// Sets the former value again and gives the drop-in its former text. Doing it twice is doing it once.
pub fn undo(
    config: &Config,
    kernel: &dyn Kernel,
    done: &Prepared,
    last_look: LastLook<'_>,
) -> Result<Applied, Failure> {
    let (material, parameter) = Material::of(done)?;
    let found = kernel.read(parameter).map_err(KernelError::into_failure)?;
    if found != done.wanted && found != done.before {
        return Err(material.foreign(&found, &done.wanted));
    }
    if found != done.before {
        set(kernel, parameter, &done.wanted, &done.before, last_look)?;
    }
    let warnings = restore_drop_in(config, &material, last_look)?;
    Ok(undone(&material, done, warnings))
}

/// Is the former state back?
pub fn probe(config: &Config, kernel: &dyn Kernel, done: &Prepared) -> Result<Probe, Failure> {
    let (material, parameter) = Material::of(done)?;
    let found = kernel.read(parameter).map_err(KernelError::into_failure)?;
    if found != done.wanted && found != done.before {
        return Ok(Probe::Other { found });
    }
    let text =
        DropIn::of(&config.sysctl_dir, &material.parameter).read().map_err(KernelError::into_failure)?;
    let still_ours = material.drop_in.as_ref().is_some_and(|change| {
        text.as_deref() == Some(&change.after) && change.before.as_deref() != Some(&change.after)
    });
    if found != done.before || still_ours {
        return Ok(Probe::NotDone);
    }
    Ok(Probe::Done(undone(&material, done, Vec::new())))
}

fn restore_drop_in(
    config: &Config,
    material: &Material,
    last_look: LastLook<'_>,
) -> Result<Vec<String>, Failure> {
    let Some(change) = &material.drop_in else { return Ok(Vec::new()) };
    let file = DropIn::of(&config.sysctl_dir, &material.parameter);
    // Past this line the value is back already: a failure leaves a part.
    let text = file.read().map_err(KernelError::into_unknown)?;
    if text == change.before {
        return Ok(Vec::new());
    }
    if text.as_deref() != Some(&change.after) {
        let path = file.path().display();
        return Ok(vec![format!("{path} was changed by somebody else and is left as it is")]);
    }
    last_look()?;
    file.put(change.before.as_deref()).map_err(KernelError::into_unknown)?;
    Ok(Vec::new())
}

fn undone(material: &Material, done: &Prepared, warnings: Vec<String>) -> Applied {
    let changes = vec![material.change(&done.wanted, &done.before)];
    Applied { changes, warnings, rollback_available: false }
}
