//! What the instances of a host need of it, by their CPFs and the formula of InterSystems.

use instance_agent::{
    InstanceSettings,
    evidence::{conditions_in, entries_since_last_start},
};
use instance_iris::cpf::{
    Document,
    memory::{SharedMemory, huge_pages},
};
use instance_knowledge::{KernelParameter, Need};

use memchr::memmem;

use crate::{config::Config, huge_pages::HostMemory};

/// Added to what the CPFs ask for when pages are reserved for them, in MB: "several" by InterSystems [RES], this many by
/// us, as in the remedy for too few huge pages.
const CUSHION_MB: u64 = 16;
/// Real starts take 1 to 2 % less than the formula says (cpf.md), and what IRIS prints is exact. So this share of the
/// formula is the least that counts as enough.
const ENOUGH_PERCENT: u64 = 95;
/// How IRIS begins to say that it may not use huge pages; the catalogue's condition decides.
const NO_RIGHT: &str = "Insufficient privileges";
/// How IRIS goes on after the megabytes that a start takes.
const NAMED: &str = "MB shared memory";

/// Shared memory of each instance of the host, in MB; `None` when a CPF cannot be read.
pub fn shared_memory_mb(instances: &[InstanceSettings], host: &HostMemory) -> Option<Vec<u64>> {
    let of_one = |instance: &InstanceSettings| {
        let document = Document::parse(&std::fs::read(&instance.cpf).ok()?);
        let memory = SharedMemory::of(&document).ok()?.with_defaults(host.total_kb / 1024);
        Some(memory.total_mb())
    };
    instances.iter().map(of_one).collect()
}

/// Huge pages that all instances of this host ask for together; `None` when a CPF cannot be read.
pub fn pages_of_host(config: &Config, host: &HostMemory) -> Option<u64> {
    let sizes = shared_memory_mb(&config.instances, host)?;
    // Each has a segment of its own, of whole pages.
    Some(sizes.iter().map(|mb| huge_pages(*mb, host.huge_page_kb)).fold(0, u64::saturating_add))
}

/// As [`pages_of_host`], with the cushion that InterSystems advises.
pub fn pages_to_reserve(config: &Config, host: &HostMemory) -> Option<u64> {
    let cushion = huge_pages(CUSHION_MB, host.huge_page_kb);
    pages_of_host(config, host).map(|pages| pages.saturating_add(cushion))
}

/// The least value of a parameter with which the instances get their memory: a little below the formula, or what an
/// instance named at its last start when that is less. `None` where there is none, or a CPF cannot be read.
pub fn least(
    parameter: &KernelParameter,
    config: &Config,
    host: &HostMemory,
    page_bytes: u64,
) -> Option<u64> {
    let need = parameter.iris_need?;
    let by_formula = shared_memory_mb(&config.instances, host)?;
    let enough = |(mb, instance): (u64, &InstanceSettings)| {
        let less = mb / 100 * ENOUGH_PERCENT + mb % 100 * ENOUGH_PERCENT / 100;
        named_mb(instance).map_or(less, |named| named.min(less))
    };
    let sizes: Vec<u64> = by_formula.into_iter().zip(&config.instances).map(enough).collect();
    let sum = |figures: &mut dyn Iterator<Item = u64>| figures.fold(0, u64::saturating_add);
    let bytes = |mb: u64| mb.saturating_mul(1024 * 1024);
    Some(match need {
        Need::HugePages => sum(&mut sizes.iter().map(|mb| huge_pages(*mb, host.huge_page_kb))),
        Need::LargestSegmentBytes => bytes(sizes.into_iter().max()?),
        Need::AllSegmentsPages => bytes(sum(&mut sizes.into_iter())).div_ceil(page_bytes.max(1)),
    })
}

/// The megabytes that the instance named last in its log, exact where the formula is not: `Allocated 742MB shared memory`,
/// `Failed to allocate 742MB shared memory using Huge Pages`.
fn named_mb(instance: &InstanceSettings) -> Option<u64> {
    let bytes = std::fs::read(&instance.messages_log).ok()?;
    let before = &bytes[..memmem::rfind(&bytes, NAMED.as_bytes())?];
    let digits = before.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&before[before.len() - digits..]).ok()?.parse().ok().filter(|mb| *mb > 0)
}

/// The instances that had no right to huge pages at their last start, by their own logs. More pages do not help them.
pub fn without_right(config: &Config) -> Vec<String> {
    let lacks = |instance: &&InstanceSettings| {
        // Most logs say nothing of it, and reading one as entries takes long.
        let bytes = std::fs::read(&instance.messages_log).unwrap_or_default();
        if memmem::find(&bytes, NO_RIGHT.as_bytes()).is_none() {
            return false;
        }
        let Ok((entries, _)) = entries_since_last_start(&instance.messages_log) else { return false };
        let entries: Vec<_> =
            entries.into_iter().filter(|entry| entry.message_text().contains(NO_RIGHT)).collect();
        conditions_in(&entries).iter().any(|(condition, _)| condition.as_str() == "huge-pages-no-right")
    };
    config.instances.iter().filter(lacks).map(|instance| instance.name.to_string()).collect()
}
