//! Values that are legal and go against what IRIS wants: a known list. Each needs an explicit yes.

use instance_knowledge::{KernelKind, KernelParameter, kernel_parameter};

use crate::{config::Config, host::Host, huge_pages, needs, twin};

const BACKGROUND: &str = "vm.dirty_background_ratio";
const FOREGROUND: &str = "vm.dirty_ratio";

/// What speaks against the value on this host.
pub fn conflicts(config: &Config, host: &Host, parameter: &KernelParameter, value: &str) -> Vec<String> {
    let mut conflicts = Vec::new();
    conflicts.extend(of_word(host, parameter, value));
    conflicts.extend(of_dirty_ratios(host, parameter, value));
    conflicts.extend(of_empty_pool(config, host, parameter, value));
    conflicts.extend(of_unused_pool(config, host, parameter, value));
    conflicts.extend(of_unknown_need(config, host, parameter));
    conflicts
}

/// What a source names for this host, when it is another value.
pub fn advice(host: &Host, parameter: &KernelParameter, value: &str) -> Option<String> {
    let memory = host.memory.figures().ok()?;
    let named = parameter.recommended_for(memory.total_kb / 1024)?;
    (named != value).then(|| {
        let (name, source) = (&parameter.name, &parameter.source);
        format!("for a host of this size {name} {named} is advised ({source})")
    })
}

/// A word other than the one that is advised on all hosts.
fn of_word(host: &Host, parameter: &KernelParameter, value: &str) -> Option<String> {
    matches!(parameter.kind, KernelKind::Word(_)).then(|| advice(host, parameter, value)).flatten()
}

/// Writing back must begin in the background before everybody has to wait for it.
fn of_dirty_ratios(host: &Host, parameter: &KernelParameter, value: &str) -> Option<String> {
    let twin = |name| twin::in_use(&*host.kernel, kernel_parameter(name)?).ok().flatten();
    let compared = match parameter.name.as_str() {
        BACKGROUND => FOREGROUND,
        FOREGROUND => BACKGROUND,
        _ => return None,
    };
    if let Some((other, bytes)) = twin(compared) {
        let name = &parameter.name;
        return Some(format!(
            "{other} is {bytes} on this host, in bytes: whether writing back begins in the background first cannot be told \
             of {name} {value}"
        ));
    }
    let other = |name| -> Option<u64> { host.kernel.read(kernel_parameter(name)?).ok()?.parse().ok() };
    let value: u64 = value.parse().ok()?;
    let (background, foreground) = match parameter.name.as_str() {
        BACKGROUND => (value, other(FOREGROUND)?),
        FOREGROUND => (other(BACKGROUND)?, value),
        _ => return None,
    };
    (background >= foreground).then(|| {
        format!("{BACKGROUND} {background} is not below {FOREGROUND} {foreground}: every writer would have to wait")
    })
}

/// What IRIS needs at least cannot be held against the value.
fn of_unknown_need(config: &Config, host: &Host, parameter: &KernelParameter) -> Option<String> {
    let unknown = needs::least(parameter, host, config, &host.memory.figures().ok()?).err()?;
    Some(unknown.to_string())
}

/// Without any pages IRIS goes back to ordinary ones.
fn of_empty_pool(config: &Config, host: &Host, parameter: &KernelParameter, value: &str) -> Option<String> {
    let memory = host.memory.figures().ok()?;
    let empties = parameter.name == huge_pages::PARAMETER && value == "0" && memory.huge_pages_total > 0;
    if !empties {
        return None;
    }
    let needed = needs::pages_of_host(&*host.cpfs, config, &memory).ok()?;
    (needed > 0).then(|| {
        format!("without huge pages the instances of this host take {needed} pages' worth of ordinary memory at their next start")
    })
}

/// Memory in the pool serves nothing else, so a pool that nobody uses is lost.
fn of_unused_pool(config: &Config, host: &Host, parameter: &KernelParameter, value: &str) -> Option<String> {
    if parameter.name != huge_pages::PARAMETER || value == "0" {
        return None;
    }
    let kept = needs::kept_from_huge_pages(&*host.cpfs, config);
    let nobody_uses_it = !kept.is_empty() && kept.len() == config.instances.len();
    nobody_uses_it.then(|| {
        format!(
            "memlock of {} keeps every instance of this host from huge pages (32): {value} pages would be lost",
            kept.join(", ")
        )
    })
}
