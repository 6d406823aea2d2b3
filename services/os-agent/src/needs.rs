//! What the instances of a host need of it, by their CPFs and the formula of InterSystems.

use std::{io, path::PathBuf};

use instance_agent::{InstanceSettings, evidence::conditions_in};
use instance_iris::cpf::{
    Document,
    memory::{SharedMemory, disables_large_pages, huge_pages},
};
use instance_knowledge::{KernelParameter, Need};

use memchr::memmem;

use crate::{
    config::Config,
    host::{Cpfs, Evidence, Host},
    huge_pages::HostMemory,
};

/// Added to what the CPFs ask for when pages are reserved for them, in MB: "several" by InterSystems [RES], this many by
/// us, as in the remedy for too few huge pages.
const CUSHION_MB: u64 = 16;
/// Real starts take 1 to 2 % less than the formula says, with small caches far less (cpf.md), and what IRIS prints is exact. So this share of the
/// formula is the least that counts as enough.
const ENOUGH_PERCENT: u64 = 95;
/// How IRIS begins to say that it may not use huge pages; the catalogue's condition decides.
const NO_RIGHT: &str = "Insufficient privileges";
/// How IRIS goes on after the megabytes that a start takes.
const NAMED: &str = "MB shared memory";
/// More than any start takes: a pebibyte.
const MOST_MB: u64 = 1 << 30;

/// Why nobody knows what an instance needs.
#[derive(Debug, thiserror::Error)]
pub enum Unknown {
    #[error(
        "whether this is enough for instance {instance} is not known: its CPF \"{path}\" could not be read ({source}); give \
         os-agent its group (SupplementaryGroups=irisusr in its unit, say) or CAP_DAC_READ_SEARCH (CapabilityBoundingSet=)"
    )]
    Unread { instance: String, path: PathBuf, source: io::Error },
    #[error(
        "whether this is enough for instance {instance} is not known: its CPF \"{path}\" is not understood ({reason})"
    )]
    Strange { instance: String, path: PathBuf, reason: String },
}

/// What one instance takes of the host at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Shared memory in MB.
    pub mb: u64,
    /// Would it use huge pages? `memlock` may say no.
    pub huge_pages: bool,
}

/// What each of these instances asks for.
pub fn asked(
    cpfs: &dyn Cpfs,
    instances: &[InstanceSettings],
    memory: &HostMemory,
) -> Result<Vec<Asked>, Unknown> {
    instances.iter().map(|instance| asked_by(cpfs.at_next_start(instance), instance, memory)).collect()
}

fn asked_by(
    cpf: io::Result<Vec<u8>>,
    instance: &InstanceSettings,
    memory: &HostMemory,
) -> Result<Asked, Unknown> {
    let (name, path) = (instance.name.to_string(), instance.cpf.clone());
    let bytes =
        cpf.map_err(|source| Unknown::Unread { instance: name.clone(), path: path.clone(), source })?;
    let document = Document::parse(&bytes);
    let asked = SharedMemory::of(&document);
    let asked =
        asked.map_err(|fault| Unknown::Strange { instance: name, path, reason: fault.to_string() })?;
    let mb = asked.with_defaults(memory.total_kb / 1024).total_mb();
    Ok(Asked { mb, huge_pages: !disables_large_pages(&document) })
}

/// Huge pages that all instances of this host ask for together.
pub fn pages_of_host(cpfs: &dyn Cpfs, config: &Config, memory: &HostMemory) -> Result<u64, Unknown> {
    Ok(pages(&asked(cpfs, &config.instances, memory)?, memory))
}

/// As [`pages_of_host`], with the cushion that InterSystems advises.
pub fn pages_to_reserve(cpfs: &dyn Cpfs, config: &Config, memory: &HostMemory) -> Result<u64, Unknown> {
    let cushion = huge_pages(CUSHION_MB, memory.huge_page_kb);
    // Where nobody uses any, there is nothing to cushion.
    let with_cushion = |pages: u64| if pages == 0 { 0 } else { pages.saturating_add(cushion) };
    pages_of_host(cpfs, config, memory).map(with_cushion)
}

/// The instances that `memlock` keeps from huge pages. More pages do not help them.
pub fn kept_from_huge_pages(cpfs: &dyn Cpfs, config: &Config) -> Vec<String> {
    let kept = |instance: &&InstanceSettings| {
        cpfs.at_next_start(instance).is_ok_and(|bytes| disables_large_pages(&Document::parse(&bytes)))
    };
    config.instances.iter().filter(kept).map(|instance| instance.name.to_string()).collect()
}

/// Each has a segment of its own, of whole pages.
fn pages(asked: &[Asked], memory: &HostMemory) -> u64 {
    let users = asked.iter().filter(|one| one.huge_pages);
    users.map(|one| huge_pages(one.mb, memory.huge_page_kb)).fold(0, u64::saturating_add)
}

/// The least value of a parameter with which the instances get their memory: a little below the formula, or what an
/// instance named at its last start when that is less, with what a coming CPF adds to it. `None` where there is none.
pub fn least(
    parameter: &KernelParameter,
    host: &Host,
    config: &Config,
    memory: &HostMemory,
) -> Result<Option<u64>, Unknown> {
    let Some(need) = parameter.iris_need else { return Ok(None) };
    let by_formula = asked(&*host.cpfs, &config.instances, memory)?;
    let enough = |(one, instance): (Asked, &InstanceSettings)| {
        let less = one.mb / 100 * ENOUGH_PERCENT + one.mb % 100 * ENOUGH_PERCENT / 100;
        let named = named_mb(&*host.evidence, instance).and_then(|named| {
            let present = asked_by(host.cpfs.present(instance), instance, memory).ok()?;
            Some(named.saturating_add(one.mb).saturating_sub(present.mb))
        });
        Asked { mb: named.map_or(less, |named| named.min(less)), ..one }
    };
    let least: Vec<Asked> = by_formula.into_iter().zip(&config.instances).map(enough).collect();
    let sizes = least.iter().map(|one| one.mb);
    let bytes = |mb: u64| mb.saturating_mul(1024 * 1024);
    Ok(match need {
        Need::HugePages => Some(pages(&least, memory)),
        Need::LargestSegmentBytes => sizes.max().map(bytes),
        Need::AllSegmentsPages => {
            Some(bytes(sizes.fold(0, u64::saturating_add)).div_ceil(host.memory.page_bytes().max(1)))
        }
    })
}

/// The megabytes that the instance named last in its log, exact where the formula is not: `Allocated 742MB shared memory`,
/// `Failed to allocate 742MB shared memory using Huge Pages`.
fn named_mb(evidence: &dyn Evidence, instance: &InstanceSettings) -> Option<u64> {
    let bytes = evidence.log(instance).ok()?;
    let before = &bytes[..memmem::rfind(&bytes, NAMED.as_bytes())?];
    let digits = before.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let named = std::str::from_utf8(&before[before.len() - digits..]).ok()?.parse().ok()?;
    // Whoever may write into the log may write any number there.
    (1..=MOST_MB).contains(&named).then_some(named)
}

/// The instances that had no right to huge pages at their last start, by their own logs. More pages do not help them.
pub fn without_right(evidence: &dyn Evidence, config: &Config) -> Vec<String> {
    let lacks = |instance: &&InstanceSettings| {
        // Most logs say nothing of it, and reading one as entries takes long.
        let bytes = evidence.log(instance).unwrap_or_default();
        if memmem::find(&bytes, NO_RIGHT.as_bytes()).is_none() {
            return false;
        }
        let Ok(entries) = evidence.log_of_this_run(instance) else { return false };
        let entries: Vec<_> =
            entries.into_iter().filter(|entry| entry.message_text().contains(NO_RIGHT)).collect();
        conditions_in(&entries).iter().any(|(condition, _)| condition.as_str() == "huge-pages-no-right")
    };
    config.instances.iter().filter(lacks).map(|instance| instance.name.to_string()).collect()
}
