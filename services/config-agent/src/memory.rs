//! What a CPF would take of the host's memory, before anybody finds out by a failed start.

use std::path::Path;

use instance_iris::cpf::{Document, memory::SharedMemory};

/// The parameters of `[config]` that decide how much shared memory an instance takes.
const DECISIVE: [&str; 6] = ["globals", "routines", "gmheap", "jrnbufs", "MaxServers", "MaxServerConn"];

/// Memory of the host, in KB, as `/proc/meminfo` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostMemory {
    /// `MemTotal`.
    pub total_kb: u64,
    /// `HugePages_Total`, in pages.
    pub huge_pages: u64,
    /// `Hugepagesize`.
    pub huge_page_kb: u64,
}

/// What is to be said about the memory of a CPF as it will be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judgement {
    /// More than the host has: a person must agree.
    pub dangerous: bool,
    /// For people.
    pub warnings: Vec<String>,
}

impl HostMemory {
    /// Reads `meminfo` below `proc_root`; `None` when it cannot be read.
    pub fn read(proc_root: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(proc_root.join("meminfo")).ok()?)
    }

    fn parse(meminfo: &str) -> Option<Self> {
        let figure = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_ascii_whitespace().next()?.parse::<u64>().ok()
        };
        Some(Self {
            total_kb: figure("MemTotal")?,
            huge_pages: figure("HugePages_Total").unwrap_or(0),
            huge_page_kb: figure("Hugepagesize").unwrap_or(0),
        })
    }
}

/// Weighs a change of `[section] name` against the host; says nothing about parameters that take no memory.
pub fn judge(after: &Document, section: &str, name: &str, host: Option<HostMemory>) -> Judgement {
    let mut judgement = Judgement::default();
    if section != "config" || !DECISIVE.contains(&name) {
        return judgement;
    }
    let Some(host) = host else {
        judgement
            .warnings
            .push("the memory of this host could not be read, so the change is not weighed".to_owned());
        return judgement;
    };
    let physical_mb = host.total_kb / 1024;
    let needed = match SharedMemory::of(after) {
        Ok(memory) => memory.with_defaults(physical_mb),
        Err(error) => {
            judgement.warnings.push(error.to_string());
            return judgement;
        }
    };
    let total_mb = needed.total_mb();
    if total_mb > physical_mb {
        judgement.dangerous = true;
        judgement.warnings.push(format!(
            "the instance would ask for about {total_mb} MB of shared memory, the host has {physical_mb} MB"
        ));
    }
    let pages = needed.huge_pages(host.huge_page_kb);
    if host.huge_pages > 0 && pages > host.huge_pages {
        judgement.warnings.push(format!(
            "about {pages} huge pages of {} KB would be needed, the host keeps {}: the instance would use none of them",
            host.huge_page_kb, host.huge_pages
        ));
    }
    judgement
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(globals: &str, name: &str, meminfo: &str, dangerous: bool, warnings: &[&str]) {
        let after =
            Document::parse(format!("[config]\nglobals={globals}\nroutines=100\ngmheap=102400\n").as_bytes());
        let judgement = judge(&after, "config", name, HostMemory::parse(meminfo));
        assert_eq!(judgement.dangerous, dangerous);
        assert_eq!(judgement.warnings, warnings);
    }

    #[test]
    fn more_than_the_host_has_needs_a_person() {
        let host = "MemTotal: 1048576 kB\nHugePages_Total: 0\nHugepagesize: 2048 kB\n";
        check("0,0,256,0,0,0", "globals", host, false, &[]);
        let warning = "the instance would ask for about 2784 MB of shared memory, the host has 1024 MB";
        check("0,0,2048,0,0,0", "globals", host, true, &[warning]);
        check("0,0,2048,0,0,0", "errlog", host, false, &[]);
        let unknown = "the memory of this host could not be read, so the change is not weighed";
        check("0,0,256,0,0,0", "globals", "", false, &[unknown]);
    }

    #[test]
    fn a_pool_of_huge_pages_that_becomes_too_small_is_named() {
        let host = "MemTotal: 16777216 kB\nHugePages_Total: 400\nHugepagesize: 2048 kB\n";
        let warning = "about 425 huge pages of 2048 KB would be needed, the host keeps 400: the instance would use none of them";
        check("0,0,256,0,0,0", "globals", host, false, &[warning]);
    }
}
