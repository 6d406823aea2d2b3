//! One kernel parameter changes: told beforehand, recorded, kept for the next boot, set, read back.

use std::time::Duration;

use instance_agent::{Applied, Prepared, Probe, Work};
use instance_chassis::{crash_point, mutant};
use instance_contract::{AppliedChange, Failure, Forecast, SetKernel};
use instance_knowledge::{self as knowledge, KernelParameter};
use serde::{Deserialize, Serialize};

use crate::{
    check,
    config::Config,
    conflicts::{advice, conflicts},
    error::HostError,
    host::{DropIns, Host, Kernel, drop_in_text},
    huge_pages, needs, twin,
    wanted::resolve,
};

/// Kept back of the time of a step, so that a write that was cut off can be taken back and told.
const MARGIN: Duration = Duration::from_millis(250);

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
pub fn forecast(config: &Config, host: &Host, wanted: &SetKernel) -> Result<Forecast, Failure> {
    let wanted = &resolve(config, host, wanted)?;
    let parameter = checked(config, host, wanted)?;
    let before = host.kernel.read(parameter).map_err(HostError::into_failure)?;
    let against = conflicts(config, host, parameter, &wanted.new_value);
    let dangerous = parameter.dangerous || !against.is_empty();
    let mut warnings = warnings(config, host, parameter, &wanted.new_value)?;
    for conflict in against {
        if !warnings.contains(&conflict) {
            warnings.push(conflict);
        }
    }
    Ok(Forecast {
        unknown_version: None,
        target: target(&parameter.name),
        before,
        after: wanted.new_value.clone(),
        needs_restart: parameter.at_start,
        may_be_live: false,
        restart_reason: restart_reason(parameter).to_owned(),
        dangerous,
        warnings,
    })
}

/// What must be recorded before the effect. Writes nothing.
pub fn prepare(config: &Config, host: &Host, wanted: &SetKernel) -> Result<Prepared, Failure> {
    let wanted = resolve(config, host, wanted)?;
    let parameter = checked(config, host, &wanted)?;
    let before = host.kernel.read(parameter).map_err(HostError::into_failure)?;
    let drop_in = if is_kept(config, parameter) {
        let before = host.drop_ins.text(&parameter.name).map_err(HostError::into_failure)?;
        Some(DropInChange { before, after: drop_in_text(&parameter.name, &wanted.new_value) })
    } else {
        None
    };
    let is_kept = drop_in.as_ref().is_none_or(|change| change.before.as_deref() == Some(&change.after));
    let already = before == wanted.new_value && is_kept;
    let material = Material { parameter: parameter.name.clone(), drop_in };
    let material = serde_json::to_value(material).expect("texts are JSON");
    Ok(Prepared { before, wanted: wanted.new_value, already, material })
}

/// Sets the value, for the next boot first, then now. Doing it twice is doing it once.
pub fn apply(
    config: &Config,
    host: &Host,
    wanted: &SetKernel,
    prepared: &Prepared,
    work: &Work<'_>,
) -> Result<Applied, Failure> {
    let (material, parameter) = Material::of(prepared)?;
    // What was recorded is what is done, whatever the CPFs say by now.
    let wanted = SetKernel { new_value: prepared.wanted.clone(), ..wanted.clone() };
    checked(config, host, &wanted)?;
    let found = host.kernel.read(parameter).map_err(HostError::into_failure)?;
    if found != prepared.before && found != prepared.wanted {
        return Err(material.foreign(&found, &prepared.before));
    }
    let warnings = warnings(config, host, parameter, &prepared.wanted)?;
    if let Some(change) = &material.drop_in {
        keep(&*host.drop_ins, &material.parameter, change, work)?;
    }
    crash_point("os.value-considered");
    if found != prepared.wanted
        && let Err(failure) = set(&*host.kernel, parameter, &prepared.before, &prepared.wanted, work)
    {
        return Err(take_back_drop_in(&*host.drop_ins, &material, failure));
    }
    let changes = vec![material.change(&prepared.before, &prepared.wanted)];
    Ok(Applied { changes, warnings, rollback_available: true })
}

/// What is true after a crash with only the intent known.
pub fn probe(host: &Host, prepared: &Prepared) -> Result<Probe, Failure> {
    let (material, parameter) = Material::of(prepared)?;
    let found = host.kernel.read(parameter).map_err(HostError::into_failure)?;
    if found != prepared.before && found != prepared.wanted {
        return Ok(Probe::Other { found });
    }
    let text = host.drop_ins.text(&material.parameter).map_err(HostError::into_failure)?;
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
    work: &Work<'_>,
) -> Result<(), Failure> {
    work.before_effect()?;
    crash_point("os.value-to-write");
    let written = kernel.write(parameter, to, work.remaining().saturating_sub(MARGIN));
    crash_point("os.value-written");
    let cut_off = match written {
        Ok(()) => false,
        Err(HostError::TimedOut(_)) => true,
        Err(error) => {
            let untouched = kernel.read(parameter).is_ok_and(|found| found == from);
            return Err(if untouched { error.into_failure() } else { error.into_unknown() });
        }
    };
    let reached = kernel.read(parameter).map_err(HostError::into_unknown)?;
    crash_point("os.value-read-back");
    if reached == to || mutant("os.read-back-skipped") {
        return Ok(());
    }
    let name = &parameter.name;
    // No last look: a value that nobody asked for must not stay.
    kernel.write(parameter, from, work.remaining().max(MARGIN)).map_err(HostError::into_unknown)?;
    let restored = kernel.read(parameter).map_err(HostError::into_unknown)?;
    let asked = format!("{name}: asked for {to}, the kernel had reached {reached}");
    if restored != from {
        let message = format!("{asked}; going back to {from} it reached {restored}");
        return Err(Failure::unknown("clamped", message));
    }
    if cut_off {
        let message = format!("{asked} when the time was over; {from} is set again");
        return Err(Failure::transient("timed_out", message));
    }
    let message = format!("{asked}; {from} is set again{}", cure(name));
    Err(Failure::permanent("clamped", message))
}

/// Writes the drop-in, unless somebody else has written it since it was looked at.
fn keep(
    drop_ins: &dyn DropIns,
    parameter: &str,
    change: &DropInChange,
    work: &Work<'_>,
) -> Result<(), Failure> {
    let found = drop_ins.text(parameter).map_err(HostError::into_failure)?;
    if found.as_deref() == Some(&change.after) {
        return Ok(());
    }
    if found != change.before {
        let path = drop_ins.path(parameter);
        let message = format!("\"{}\" has changed since it was looked at", path.display());
        return Err(Failure::transient("lost_update", message));
    }
    work.before_effect()?;
    drop_ins.put(parameter, Some(&change.after)).map_err(HostError::into_failure)
}

/// The catalogue's row, when the value may be set on this host.
fn checked(config: &Config, host: &Host, wanted: &SetKernel) -> Result<&'static KernelParameter, Failure> {
    let parameter = check::check(wanted)?;
    twin::check(&*host.kernel, parameter)?;
    let instances = u64::try_from(config.instances.len()).unwrap_or(u64::MAX);
    let mut least = None;
    if parameter.iris_need.is_some() {
        let memory = host.memory.figures().map_err(HostError::into_failure)?;
        if parameter.name == huge_pages::PARAMETER {
            let pages = wanted.new_value.parse().expect("the catalogue takes canonical decimals only");
            memory.check_pool(pages, config.memory_reserve_mb)?;
        }
        // Where it is not known now, nothing is held against the value; a forecast made then tells it as dangerous.
        least = needs::least(parameter, host, config, &memory).unwrap_or_default();
    }
    check::check_minimum(parameter, &wanted.new_value, instances, least)?;
    Ok(parameter)
}

/// Is the parameter to be kept over a reboot?
fn is_kept(config: &Config, parameter: &KernelParameter) -> bool {
    config.persist && parameter.persistent
}

/// Nothing was set, so nothing may be set at the next boot.
fn take_back_drop_in(drop_ins: &dyn DropIns, material: &Material, failure: Failure) -> Failure {
    let Some(change) = &material.drop_in else { return failure };
    // After an unknown outcome the pair stays as it is, for the probe.
    if matches!(failure, Failure::Unknown { .. }) {
        return failure;
    }
    match drop_ins.put(&material.parameter, change.before.as_deref()) {
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
    host: &Host,
    parameter: &KernelParameter,
    value: &str,
) -> Result<Vec<String>, Failure> {
    let mut warnings = Vec::new();
    let name = &parameter.name;
    if is_kept(config, parameter) {
        let wins = |later: &std::path::PathBuf| {
            let path = later.display();
            // systemd-sysctl does not read it.
            let who = if later.ends_with("etc/sysctl.conf") { " where `sysctl --system` is run" } else { "" };
            format!("{path} sets {name} too and wins at the next boot{who}")
        };
        warnings.extend(host.drop_ins.overriding(name).iter().map(wins));
    } else if parameter.persistent {
        warnings.push(format!("{name} does not outlive a reboot (setting \"persist\")"));
    } else {
        warnings.push(format!("{name} does not outlive a reboot: {}", parameter.recommendation));
    }
    warnings.extend(advice(host, parameter, value));
    if name == huge_pages::PARAMETER {
        let memory = host.memory.figures().map_err(HostError::into_failure)?;
        let pages = value.parse().unwrap_or(0);
        let needed = needs::pages_of_host(&*host.cpfs, config, &memory).ok();
        warnings.extend(huge_pages::warnings(pages, needed, &memory));
        let kept = needs::kept_from_huge_pages(&*host.cpfs, config);
        if pages > 0 && kept.len() < config.instances.len() {
            warnings.extend(kept.iter().map(|instance| {
                format!("instance {instance} uses no huge pages, as its memlock says (32): none are reckoned for it")
            }));
        }
        warnings.extend(needs::without_right(&*host.evidence, config).iter().map(|instance| {
            format!(
                "instance {instance} had no right to huge pages at its last start: more pages do not help it; give it \
                 CAP_IPC_LOCK, or its group the right by vm.hugetlb_shm_group"
            )
        }));
    }
    if parameter.reboot_advised {
        warnings.push(format!("when {name} is not reached, a reboot of the host may be needed"));
    }
    Ok(warnings)
}

/// Why IRIS does or does not take notice of the value without a restart.
fn restart_reason(parameter: &KernelParameter) -> &'static str {
    if parameter.name == huge_pages::PARAMETER {
        "IRIS looks at huge pages only at its start"
    } else if parameter.at_start {
        "IRIS takes shared memory, semaphores and queues only at its start"
    } else {
        "the kernel uses the value at once, and IRIS does not ask for it"
    }
}

fn cure(name: &str) -> &'static str {
    match name {
        huge_pages::PARAMETER => "; memory is too fragmented: free memory, compact it, or reboot the host",
        _ => "",
    }
}

pub fn target(name: &str) -> String {
    format!("kernel {name}")
}
