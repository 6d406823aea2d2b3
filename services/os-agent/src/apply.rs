//! One kernel parameter changes: told beforehand, recorded, kept for the next boot, set, read back.

use instance_agent::{Applied, Prepared, Probe};
use instance_chassis::{crash_point, mutant};
use instance_contract::{AppliedChange, Failure, Forecast, SetKernel};
use instance_knowledge::{self as knowledge, KernelParameter};
use serde::{Deserialize, Serialize};

use crate::{
    check,
    config::Config,
    drop_in::DropIn,
    error::KernelError,
    huge_pages::{self, HostMemory},
    kernel::Kernel,
};

/// Asked directly before something is changed: may we still act?
pub type LastLook<'a> = &'a dyn Fn() -> Result<(), Failure>;

/// What the ledger keeps of a change, enough to recognise it and to take it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Material {
    pub parameter: String,
    /// `None` when the value is not kept over a reboot.
    pub drop_in: Option<DropInChange>,
}

/// The drop-in before and after, each its whole text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropInChange {
    /// `None` when there was none.
    pub before: Option<String>,
    pub after: String,
}

impl Material {
    pub fn of(prepared: &Prepared) -> Result<(Self, &'static KernelParameter), Failure> {
        let unreadable = |reason: String| {
            let message = format!("the ledger's record of the change cannot be read: {reason}");
            Failure::permanent("ledger_unreadable", message)
        };
        let material: Self = serde_json::from_value(prepared.material.clone())
            .map_err(|error| unreadable(error.to_string()))?;
        let row = knowledge::kernel_parameter(&material.parameter).ok_or_else(|| {
            unreadable(format!("\"{}\" is no longer on the allowed list", material.parameter))
        })?;
        Ok((material, row))
    }

    /// The change, as it is reported.
    pub fn change(&self, from: &str, to: &str) -> (String, AppliedChange) {
        let change = AppliedChange {
            parameter: self.parameter.clone(),
            old_value: Some(from.to_owned()),
            new_value: Some(to.to_owned()),
            validated: true,
        };
        (target(&self.parameter), change)
    }

    /// Somebody else has set the parameter: their value stays.
    pub fn foreign(&self, found: &str, expected: &str) -> Failure {
        let message = format!(
            "{} is {found} and not {expected}: somebody else has changed it, so it is left as it is",
            self.parameter
        );
        Failure::permanent("foreign_change", message)
    }
}

/// Exactly what would change.
pub fn forecast(config: &Config, kernel: &dyn Kernel, wanted: &SetKernel) -> Result<Forecast, Failure> {
    let parameter = checked(config, wanted)?;
    let before = kernel.read(parameter).map_err(KernelError::into_failure)?;
    let (needs_restart, restart_reason) = restart(&parameter.name);
    Ok(Forecast {
        target: target(&parameter.name),
        before,
        after: wanted.new_value.clone(),
        needs_restart,
        restart_reason: restart_reason.to_owned(),
        dangerous: parameter.dangerous,
        warnings: warnings(config, parameter, wanted)?,
    })
}

/// What must be recorded before the effect. Writes nothing.
pub fn prepare(config: &Config, kernel: &dyn Kernel, wanted: &SetKernel) -> Result<Prepared, Failure> {
    let parameter = checked(config, wanted)?;
    let before = kernel.read(parameter).map_err(KernelError::into_failure)?;
    let drop_in = match kept(config, parameter) {
        None => None,
        Some(file) => Some(DropInChange {
            before: file.read().map_err(KernelError::into_failure)?,
            after: file.text(&wanted.new_value),
        }),
    };
    let is_kept = drop_in.as_ref().is_none_or(|change| change.before.as_deref() == Some(&change.after));
    let already = before == wanted.new_value && is_kept;
    let material = Material { parameter: parameter.name.clone(), drop_in };
    let material = serde_json::to_value(material).expect("texts are JSON");
    Ok(Prepared { before, wanted: wanted.new_value.clone(), already, material })
}

/// Sets the value, for the next boot first, then now. Doing it twice is doing it once.
pub fn apply(
    config: &Config,
    kernel: &dyn Kernel,
    wanted: &SetKernel,
    prepared: &Prepared,
    last_look: LastLook<'_>,
) -> Result<Applied, Failure> {
    let (material, parameter) = Material::of(prepared)?;
    checked(config, wanted)?;
    let found = kernel.read(parameter).map_err(KernelError::into_failure)?;
    if found != prepared.before && found != prepared.wanted {
        return Err(material.foreign(&found, &prepared.before));
    }
    let warnings = warnings(config, parameter, wanted)?;
    let file = DropIn::of(&config.sysctl_dir, &material.parameter);
    if let Some(change) = &material.drop_in {
        keep(&file, change, last_look)?;
    }
    if found != prepared.wanted
        && let Err(failure) = set(kernel, parameter, &prepared.before, &prepared.wanted, last_look)
    {
        return Err(take_back_drop_in(&file, &material, failure));
    }
    let changes = vec![material.change(&prepared.before, &prepared.wanted)];
    Ok(Applied { changes, warnings, rollback_available: true })
}

/// What is true after a crash with only the intent known.
pub fn probe(config: &Config, kernel: &dyn Kernel, prepared: &Prepared) -> Result<Probe, Failure> {
    let (material, parameter) = Material::of(prepared)?;
    let found = kernel.read(parameter).map_err(KernelError::into_failure)?;
    if found != prepared.before && found != prepared.wanted {
        return Ok(Probe::Other { found });
    }
    let text =
        DropIn::of(&config.sysctl_dir, &material.parameter).read().map_err(KernelError::into_failure)?;
    let is_kept = material.drop_in.as_ref().is_none_or(|change| text.as_deref() == Some(&change.after));
    if found != prepared.wanted || !is_kept {
        return Ok(Probe::NotDone);
    }
    let changes = vec![material.change(&prepared.before, &prepared.wanted)];
    Ok(Probe::Done(Applied { changes, warnings: Vec::new(), rollback_available: true }))
}

/// Writes one value and reads it back. When another one came out, the former value is set again, and the failure
/// says what was reached.
pub fn set(
    kernel: &dyn Kernel,
    parameter: &KernelParameter,
    from: &str,
    to: &str,
    last_look: LastLook<'_>,
) -> Result<(), Failure> {
    last_look()?;
    crash_point("os.value-to-write");
    if let Err(error) = kernel.write(parameter, to) {
        let untouched = kernel.read(parameter).is_ok_and(|found| found == from);
        return Err(if untouched { error.into_failure() } else { error.into_unknown() });
    }
    crash_point("os.value-written");
    let reached = kernel.read(parameter).map_err(KernelError::into_unknown)?;
    crash_point("os.value-read-back");
    if reached == to || mutant("os.read-back-skipped") {
        return Ok(());
    }
    let name = &parameter.name;
    // No last look: a value that nobody asked for must not stay.
    kernel.write(parameter, from).map_err(KernelError::into_unknown)?;
    let restored = kernel.read(parameter).map_err(KernelError::into_unknown)?;
    if restored != from {
        let message = format!(
            "{name}: asked for {to}, the kernel reached {reached}; going back to {from} it reached {restored}"
        );
        return Err(Failure::unknown("clamped", message));
    }
    let message =
        format!("{name}: asked for {to}, the kernel reached {reached}; {from} is set again{}", advice(name));
    Err(Failure::permanent("clamped", message))
}

/// Writes the drop-in, unless somebody else has written it since it was looked at.
fn keep(file: &DropIn, change: &DropInChange, last_look: LastLook<'_>) -> Result<(), Failure> {
    let found = file.read().map_err(KernelError::into_failure)?;
    if found.as_deref() == Some(&change.after) {
        return Ok(());
    }
    if found != change.before {
        let message = format!("\"{}\" has changed since it was looked at", file.path().display());
        return Err(Failure::transient("lost_update", message));
    }
    last_look()?;
    file.put(Some(&change.after)).map_err(KernelError::into_failure)
}

/// The catalogue's row, when the value may be set on this host.
fn checked(config: &Config, wanted: &SetKernel) -> Result<&'static KernelParameter, Failure> {
    let parameter = check::check(wanted, u64::try_from(config.instances.len()).unwrap_or(u64::MAX))?;
    if parameter.name == huge_pages::PARAMETER {
        let pages = wanted.new_value.parse().expect("the catalogue takes canonical decimals only");
        HostMemory::read(&config.proc_root)?.check_pool(pages, config.memory_reserve_mb)?;
    }
    Ok(parameter)
}

/// The file that keeps the parameter over a reboot, where it is to be kept.
fn kept(config: &Config, parameter: &KernelParameter) -> Option<DropIn> {
    (config.persist && parameter.persistent).then(|| DropIn::of(&config.sysctl_dir, &parameter.name))
}

/// Nothing was set, so nothing may be set at the next boot.
fn take_back_drop_in(file: &DropIn, material: &Material, failure: Failure) -> Failure {
    let Some(change) = &material.drop_in else { return failure };
    // After an unknown outcome the pair stays as it is, for the probe.
    if matches!(failure, Failure::Unknown { .. }) {
        return failure;
    }
    match file.put(change.before.as_deref()) {
        Ok(()) => failure,
        Err(error) => {
            let cause = error.into_failure().cause().clone();
            let message = format!("{}; and the drop-in stayed: {}", failure.cause().message, cause.message);
            Failure::unknown(&failure.cause().code, message)
        }
    }
}

fn warnings(
    config: &Config,
    parameter: &KernelParameter,
    wanted: &SetKernel,
) -> Result<Vec<String>, Failure> {
    let mut warnings = Vec::new();
    match kept(config, parameter) {
        Some(file) => {
            warnings.extend(file.overridden_by().iter().map(|later| {
                format!("{} sets {} too and wins at the next boot", later.display(), parameter.name)
            }));
        }
        None if !parameter.persistent => {
            warnings
                .push(format!("{} does not outlive a reboot: {}", parameter.name, parameter.recommendation));
        }
        None => warnings.push(format!("{} does not outlive a reboot (setting \"persist\")", parameter.name)),
    }
    if parameter.name == huge_pages::PARAMETER {
        let host = HostMemory::read(&config.proc_root)?;
        let pages = wanted.new_value.parse().unwrap_or(0);
        warnings.extend(huge_pages::warnings(pages, needed(config, &host), &host));
    }
    if parameter.reboot_advised {
        warnings.push(format!("when {} is not reached, a reboot of the host may be needed", parameter.name));
    }
    Ok(warnings)
}

/// Huge pages that all instances of this host ask for together; `None` when a CPF cannot be read.
pub fn needed(config: &Config, host: &HostMemory) -> Option<u64> {
    config.instances.iter().map(|instance| huge_pages::needed_by(&instance.cpf, host)).sum()
}

/// Does IRIS take notice without a restart?
fn restart(name: &str) -> (bool, &'static str) {
    match name {
        "vm.nr_hugepages" | "vm.hugetlb_shm_group" => (true, "IRIS looks at huge pages only at its start"),
        "kernel.shmmax" | "kernel.shmall" | "kernel.shmmni" | "kernel.msgmni" | "kernel.sem" => {
            (true, "IRIS takes shared memory, semaphores and queues only at its start")
        }
        _ => (false, "the kernel uses the value at once, and IRIS does not ask for it"),
    }
}

fn advice(name: &str) -> &'static str {
    match name {
        "vm.nr_hugepages" => "; memory is too fragmented: free memory, compact it, or reboot the host",
        _ => "",
    }
}

fn target(name: &str) -> String {
    format!("kernel {name}")
}
