//! What is true of the host and of an instance's processes, for people and for planning. Reads only.

use instance_agent::InstanceSettings;
use instance_contract::Failure;
use instance_knowledge::{KernelParameter, KernelRoot, host_settings, kernel_parameters};
use serde_json::{Map, Value, json};

use crate::{config::Config, error::HostError, host::Host, needs};

pub fn facts(config: &Config, host: &Host, instance: &InstanceSettings) -> Result<Value, Failure> {
    let memory = host.memory.figures().map_err(HostError::into_failure)?;
    let of_one = std::slice::from_ref(instance);
    Ok(json!({
        "memory": memory,
        "largest_huge_page_pool": memory.largest_pool(config.memory_reserve_mb),
        "shared_memory_mb_by_cpf": needs::asked(&*host.cpfs, of_one, &memory).ok().map(|all| all.iter().map(|one| one.mb).sum::<u64>()),
        "huge_pages_needed_by_host": needs::pages_of_host(&*host.cpfs, config, &memory).ok(),
        "kept_from_huge_pages": needs::kept_from_huge_pages(&*host.cpfs, config),
        "without_right_to_huge_pages": needs::without_right(&*host.evidence, config),
        "parameters": parameters(config, host),
        "processes": processes(host, instance),
        "limits": limits(host, instance),
    }))
}

/// Each allowed parameter of the host: its value now, what is kept for the next boot, and what a source advises. Null
/// where there is none.
fn parameters(config: &Config, host: &Host) -> Map<String, Value> {
    let memory_mb = host.memory.figures().map_or(0, |memory| memory.total_kb / 1024);
    let row = |parameter: &KernelParameter| {
        let kept = host.drop_ins.text(&parameter.name).ok().flatten();
        let least = host
            .memory
            .figures()
            .ok()
            .and_then(|memory| needs::least(parameter, host, config, &memory).ok()?);
        let value = json!({
            "value": host.kernel.read(parameter).ok(), "drop_in": kept, "least_for_iris": least,
            "advised": parameter.recommended_for(memory_mb),
        });
        (parameter.name.clone(), value)
    };
    kernel_parameters().iter().filter(|parameter| parameter.root != KernelRoot::Process).map(row).collect()
}

/// How many there are, where they may run, and what share they have. Null where nobody can tell.
fn processes(host: &Host, instance: &InstanceSettings) -> Value {
    let threads = host.processes.threads(instance).unwrap_or_default();
    let mut sets: Vec<&str> = threads.iter().map(|thread| thread.cpus.as_str()).collect();
    sets.sort_unstable();
    sets.dedup();
    let mut ids: Vec<u32> = threads.iter().map(|thread| thread.process).collect();
    ids.dedup();
    let group = host.processes.cpu_group(instance).ok();
    let weight = group.as_ref().and_then(|group| {
        let raw = host.processes.read_share(&group.file()).ok().flatten()?;
        group.weight(&raw).ok()
    });
    json!({
        "count": ids.len(), "threads": threads.len(), "cpu_affinity": sets,
        "cpu_weight": weight, "control_group": group.map(|group| group.path),
    })
}

/// The host settings that a running process shows of itself, read from the oldest one of the instance. They are
/// advised and never written.
fn limits(host: &Host, instance: &InstanceSettings) -> Map<String, Value> {
    let text = |name: &str| host.processes.told_by_oldest(instance, name).unwrap_or_default();
    let (limits, status) = (text("limits"), text("status"));
    let capabilities = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let shown = |setting: &'static instance_knowledge::HostSetting| {
        let value = match (&setting.limit, setting.capability) {
            (Some(limit), _) => limit_in(&limits, limit).map(Value::from),
            (None, Some(bit)) => capabilities.map(|mask| Value::from(mask >> bit & 1 == 1)),
            (None, None) => return None,
        };
        let value =
            json!({"value": value, "advised": setting.recommendation, "applies_to": setting.applies_to});
        Some((setting.id.clone(), value))
    };
    host_settings().iter().filter_map(shown).collect()
}

/// The soft limit in a text like `/proc/<pid>/limits`.
fn limit_in(limits: &str, name: &str) -> Option<String> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::limit_in;

    #[test]
    fn a_limit_is_read_by_its_name() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
            Max open files            1024                 524288               files     \n\
            Max locked memory         unlimited            unlimited            bytes     \n";
        assert_eq!(limit_in(limits, "Max locked memory").as_deref(), Some("unlimited"));
        assert_eq!(limit_in(limits, "Max open files").as_deref(), Some("1024"));
        assert_eq!(limit_in(limits, "Max processes"), None);
    }
}
