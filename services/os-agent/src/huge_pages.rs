//! Huge pages: whether the host has the memory, and whether its instances would use them.

use instance_contract::Failure;
use serde::Serialize;

/// The parameter that all of this is about.
pub const PARAMETER: &str = "vm.nr_hugepages";

/// What `/proc/meminfo` says of the host. Page sizes differ from host to host, so none is assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HostMemory {
    pub total_kb: u64,
    pub available_kb: u64,
    /// Pages in the pool, used or not. `MemAvailable` does not hold them.
    pub huge_pages_total: u64,
    pub huge_pages_free: u64,
    pub huge_page_kb: u64,
}

impl HostMemory {
    /// Reads the text of `/proc/meminfo`; `None` when a figure is missing.
    pub fn parse(meminfo: &str) -> Option<Self> {
        let figure = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_ascii_whitespace().next()?.parse::<u64>().ok()
        };
        Some(Self {
            total_kb: figure("MemTotal")?,
            available_kb: figure("MemAvailable")?,
            huge_pages_total: figure("HugePages_Total")?,
            huge_pages_free: figure("HugePages_Free").unwrap_or(0),
            huge_page_kb: figure("Hugepagesize").filter(|size| *size > 0)?,
        })
    }

    /// The largest pool that leaves `reserve_mb` for everything else.
    pub fn largest_pool(&self, reserve_mb: u64) -> u64 {
        let pool_kb = self.huge_pages_total.saturating_mul(self.huge_page_kb);
        let usable_kb =
            self.available_kb.saturating_add(pool_kb).saturating_sub(reserve_mb.saturating_mul(1024));
        usable_kb / self.huge_page_kb
    }

    /// Refuses a pool that would starve the host. Memory is looked at before the write: afterwards it is too late.
    pub fn check_pool(&self, pages: u64, reserve_mb: u64) -> Result<(), Failure> {
        let largest = self.largest_pool(reserve_mb);
        if pages <= largest.max(self.huge_pages_total) {
            return Ok(());
        }
        let message = format!(
            "{pages} huge pages of {} KB do not fit: at most {largest} do ({} MB available, {} pages in the pool, {reserve_mb} MB stay in reserve)",
            self.huge_page_kb,
            self.available_kb / 1024,
            self.huge_pages_total
        );
        Err(Failure::refused("not_enough_memory", message))
    }
}

/// What is to be said about a pool of `pages`, when the instances of the host need `needed` in all.
pub fn warnings(pages: u64, needed: Option<u64>, host: &HostMemory) -> Vec<String> {
    let mut warnings = Vec::new();
    // Where nobody knows the need, `conflicts` tells it.
    if let Some(needed) = needed.filter(|needed| pages > 0 && pages < *needed) {
        warnings.push(format!(
            "the CPFs of this host ask for about {needed} huge pages: with {pages} an instance may use none of them"
        ));
    }
    let used = host.huge_pages_total.saturating_sub(host.huge_pages_free);
    if pages < used {
        warnings.push(format!("{used} huge pages are in use now; the pool shrinks as they are given back"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "MemTotal:       16777216 kB\nMemFree:  100 kB\nMemAvailable:   8388608 kB\n\
        HugePages_Total:     512\nHugePages_Free:      100\nHugepagesize:       2048 kB\n";

    #[test]
    fn a_pool_must_leave_the_reserve() {
        let host = HostMemory::parse(HOST).unwrap();
        // 8192 MB available and 1024 MB in the pool, less 512 MB.
        assert_eq!(host.largest_pool(512), (8192 + 1024 - 512) / 2);
        host.check_pool(4352, 512).unwrap();
        let failure = host.check_pool(4353, 512).unwrap_err();
        assert_eq!(failure.cause().code, "not_enough_memory");
        assert!(failure.cause().message.contains("at most 4352"), "{failure}");
        // A pool that is there already may stay or shrink, whatever the reserve.
        host.check_pool(512, 1_000_000).unwrap();
        host.check_pool(u64::MAX, 512).unwrap_err();
    }

    #[test]
    fn page_sizes_are_those_of_the_host() {
        let host = HostMemory::parse(&HOST.replace("2048 kB", "1048576 kB").replace("512\n", "0\n")).unwrap();
        assert_eq!(host.largest_pool(512), 7);
        assert_eq!(HostMemory::parse(&HOST.replace("Hugepagesize:       2048", "Hugepagesize: 0")), None);
        assert_eq!(HostMemory::parse("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn what_iris_would_not_use_is_said() {
        let host = HostMemory::parse(HOST).unwrap();
        assert!(warnings(1000, Some(900), &host).is_empty());
        assert!(warnings(800, Some(900), &host)[0].contains("may use none"));
        assert!(warnings(0, Some(900), &host)[0].contains("412 huge pages are in use"));
        assert!(warnings(1000, None, &host).is_empty());
    }
}
