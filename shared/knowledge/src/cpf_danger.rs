//! Combinations of CPF parameters that are legal one by one and dangerous together.
//!
//! A danger is a warning, not a fault: IRIS may start with it, with less than was meant or not at all.

use instance_iris::cpf::{
    Document,
    memory::{Globals, Routines, SharedMemory, disables_large_pages},
};

/// Memory of the host that the instance runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostRoom {
    /// Physical memory in MB.
    pub physical_mb: u64,
    /// Huge pages that are reserved, free or not.
    pub huge_pages: u64,
    /// Size of one of them in KB; 0 on a host without.
    pub huge_page_kb: u64,
    /// Shared memory in MB that the other instances of the host ask for, where they are known.
    pub others_mb: u64,
    /// Huge pages that those would use.
    pub others_huge_pages: u64,
}

impl HostRoom {
    /// Reads the text of `/proc/meminfo`; `None` when it tells no memory.
    pub fn parse(meminfo: &str) -> Option<Self> {
        let figure = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_ascii_whitespace().next()?.parse::<u64>().ok()
        };
        Some(Self {
            physical_mb: figure("MemTotal")? / 1024,
            huge_pages: figure("HugePages_Total").unwrap_or(0),
            huge_page_kb: figure("Hugepagesize").unwrap_or(0),
            ..Self::default()
        })
    }
}

/// One dangerous combination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Danger {
    /// One word, for programs.
    pub rule: &'static str,
    /// `[config]` or the section that the parameters stand in.
    pub section: &'static str,
    /// The parameters that take part, the one to look at first in front.
    pub parameters: &'static [&'static str],
    /// For people: what is so, and what comes of it.
    pub text: String,
    /// True when the instance would ask for more than there is: a person must agree.
    pub beyond_host: bool,
    /// Tag of the source; explained in the crate's README.
    pub source: &'static str,
}

/// Block or buffer sizes of the six figures of `globals` and `routines`, in KB.
const POOL_KB: [u64; 6] = [2, 4, 8, 16, 32, 64];
/// The least buffers of a pool of `routines` that is not 0, and always of the last one.
const LEAST_ROUTINE_BUFFERS: u64 = 430;
/// The least single figure of `routines` that the reference documents, in MB.
const LEAST_ROUTINES_MB: u64 = 80;
/// The least `jrnbufs` of an instance that is not an 8-bit one, in MB.
const LEAST_JRNBUFS_MB: u64 = 16;
/// Less than this of the memory is hardly enough for processes and system, in MB. The sources name no figure; this one
/// is ours, the same that os-agent keeps back from huge pages.
const LEAST_LEFT_MB: u64 = 512;
/// `jrnbufs` and `FileSizeLimit` together, in MB.
const JOURNAL_LIMIT_MB: u64 = 4096;
/// Bits of `memlock`.
const LARGE_PAGES_DISABLED: u64 = 32;
const LARGE_PAGES_REQUIRED: u64 = 64;

/// Every dangerous combination in a CPF; those that need the host only when it is known. A parameter that cannot be
/// read is left to the check of single values.
pub fn dangers(document: &Document, host: Option<HostRoom>) -> Vec<Danger> {
    let mut dangers = Vec::new();
    dangers.extend(host.and_then(|host| beyond_memory(document, host)));
    dangers.extend(host.and_then(|host| huge_pages(document, host)));
    dangers.extend(large_pages(document, host));
    dangers.extend(lock_table(document, host));
    dangers.extend(journal_buffers(document));
    dangers.extend(journal_sizes(document));
    dangers.extend(block_sizes(document));
    dangers.extend(routine_pools(document));
    dangers
}

fn danger(
    rule: &'static str,
    section: &'static str,
    parameters: &'static [&'static str],
    text: String,
    source: &'static str,
) -> Danger {
    Danger { rule, section, parameters, text, beyond_host: false, source }
}

fn number(document: &Document, section: &str, name: &str) -> Option<u64> {
    document.get(section, name)?.parse().ok()
}

const MEMORY: &[&str] = &["globals", "routines", "gmheap", "jrnbufs", "MaxServers", "MaxServerConn"];

fn beyond_memory(document: &Document, host: HostRoom) -> Option<Danger> {
    let total = SharedMemory::of(document).ok()?.with_defaults(host.physical_mb).total_mb();
    let others = match host.others_mb {
        0 => String::new(),
        mb => format!(", the other instances of the host ask for about {mb} MB"),
    };
    let asked = format!(
        "the instance would ask for about {total} MB of shared memory{others}, the host has {} MB",
        host.physical_mb
    );
    let sum = total.saturating_add(host.others_mb);
    if sum > host.physical_mb {
        let danger = danger("memory_beyond_host", "config", MEMORY, asked, "RES");
        return Some(Danger { beyond_host: true, ..danger });
    }
    let left = host.physical_mb - sum;
    let text = format!("{asked}: {left} MB are left for all processes and the system");
    (left < LEAST_LEFT_MB).then(|| danger("memory_little_left", "config", MEMORY, text, "RES"))
}

fn huge_pages(document: &Document, host: HostRoom) -> Option<Danger> {
    let memory = SharedMemory::of(document).ok()?.with_defaults(host.physical_mb);
    let pages = memory.huge_pages(host.huge_page_kb);
    let sum = pages.saturating_add(host.others_huge_pages);
    if host.huge_pages == 0 || sum <= host.huge_pages || disables_large_pages(document) {
        return None;
    }
    let (kb, kept, others) = (host.huge_page_kb, host.huge_pages, host.others_huge_pages);
    let text = if pages > kept {
        format!(
            "about {pages} huge pages of {kb} KB would be needed, the host keeps {kept}: the instance would use none of \
             them, and they stay reserved"
        )
    } else {
        format!(
            "about {pages} huge pages of {kb} KB would be needed and {others} by the other instances, the host keeps \
             {kept}: whoever starts last uses none of them"
        )
    };
    Some(danger("huge_pages_too_few", "config", MEMORY, text, "RES, H2"))
}

fn large_pages(document: &Document, host: Option<HostRoom>) -> Option<Danger> {
    let bits = number(document, "config", "memlock")?;
    let both = LARGE_PAGES_DISABLED | LARGE_PAGES_REQUIRED;
    let text = if bits & both == both {
        "memlock asks for large pages or nothing (64) and for no large pages (32)".to_owned()
    } else if bits & LARGE_PAGES_REQUIRED != 0 && host.is_some_and(|host| host.huge_pages == 0) {
        "memlock asks for large pages or nothing (64), and the host reserves none: the start would be aborted"
            .to_owned()
    } else {
        return None;
    };
    Some(danger("large_pages_contradiction", "config", &["memlock"], text, "CPF, RES"))
}

fn lock_table(document: &Document, host: Option<HostRoom>) -> Option<Danger> {
    let locks = number(document, "config", "locksiz").filter(|bytes| *bytes > 0)?;
    let (heap, taken) = match number(document, "config", "gmheap")? {
        0 => (automatic_heap_kb(document, host)?, "gmheap=0, of which IRIS makes about"),
        kb => (kb, "gmheap"),
    };
    let heap = heap.saturating_mul(1024);
    let text = format!(
        "locksiz is {locks} bytes, and the heap that it is taken from ({taken} {heap} bytes) is smaller: the heap is \
         used up first"
    );
    (locks > heap).then(|| {
        danger("lock_table_beyond_heap", "config", &["locksiz", "gmheap", "globals"], text, "CPF, RES")
    })
}

/// What IRIS takes for `gmheap=0`, in KB: 3 % of globals, 300 MB to 2 GB, more with many CPUs, which is left out. Nothing
/// where globals are automatic too and the memory of the host is not known.
fn automatic_heap_kb(document: &Document, host: Option<HostRoom>) -> Option<u64> {
    let memory = SharedMemory::of(document).ok()?;
    let physical_mb = match host {
        Some(host) => host.physical_mb,
        None if memory.globals_mb > 0 => 0,
        None => return None,
    };
    Some(memory.with_defaults(physical_mb).gmheap_kb)
}

/// Whether an instance is an 8-bit one does not stand in its CPF, so the value is not refused.
fn journal_buffers(document: &Document) -> Option<Danger> {
    let buffers = number(document, "config", "jrnbufs")?;
    let text = format!(
        "jrnbufs is {buffers} MB: below {LEAST_JRNBUFS_MB} MB is for 8-bit instances alone, and most are Unicode"
    );
    (8..LEAST_JRNBUFS_MB)
        .contains(&buffers)
        .then(|| danger("journal_buffers_small", "config", &["jrnbufs"], text, "CPF"))
}

fn journal_sizes(document: &Document) -> Option<Danger> {
    let buffers = number(document, "config", "jrnbufs")?;
    let file = number(document, "Journal", "FileSizeLimit")?;
    let sum = buffers.saturating_add(file);
    let text = format!(
        "[config] jrnbufs ({buffers} MB) and [Journal] FileSizeLimit ({file} MB) are {sum} MB together; the limit is \
         {JOURNAL_LIMIT_MB} MB"
    );
    (sum > JOURNAL_LIMIT_MB)
        .then(|| danger("journal_beyond_limit", "Journal", &["FileSizeLimit", "jrnbufs"], text, "CPF"))
}

fn block_sizes(document: &Document) -> Option<Danger> {
    let globals: Globals = document.get("config", "globals")?.parse().ok()?;
    let allowed = document.get("Startup", "DBSizesAllowed").filter(|list| !list.is_empty())?;
    let allowed: Vec<u64> = allowed.split(',').filter_map(|size| size.trim().parse().ok()).collect();
    let idle: Vec<String> = POOL_KB
        .iter()
        .zip(globals.pools_mb)
        .filter(|(kb, mb)| *mb > 0 && !allowed.contains(&(**kb * 1024)))
        .map(|(kb, mb)| format!("{mb} MB of {kb} KB buffers"))
        .collect();
    let text = format!(
        "globals keeps {}, and [Startup] DBSizesAllowed allows no database of that block size",
        idle.join(", ")
    );
    (!idle.is_empty())
        .then(|| danger("buffers_without_use", "config", &["globals", "DBSizesAllowed"], text, "CPF"))
}

fn routine_pools(document: &Document) -> Option<Danger> {
    let pools = match document.get("config", "routines")?.parse().ok()? {
        Routines::Pools(pools) => pools,
        Routines::Total(mb) => return small_routine_cache(mb),
    };
    if pools.iter().all(|mb| *mb == 0) {
        return None;
    }
    let too_few: Vec<String> = POOL_KB
        .iter()
        .zip(pools)
        .filter(|(kb, mb)| (*mb > 0 || **kb == 64) && mb * 1024 / **kb < LEAST_ROUTINE_BUFFERS)
        .map(|(kb, mb)| format!("{mb} MB of {kb} KB buffers"))
        .collect();
    let text = format!(
        "routines keeps {}: a pool needs at least {LEAST_ROUTINE_BUFFERS} buffers",
        too_few.join(", ")
    );
    (!too_few.is_empty()).then(|| danger("routine_pool_too_small", "config", &["routines"], text, "RES"))
}

fn small_routine_cache(mb: u64) -> Option<Danger> {
    let text = format!("routines is {mb} MB; the least that is documented is {LEAST_ROUTINES_MB} MB");
    let too_small = (1..LEAST_ROUTINES_MB).contains(&mb);
    too_small.then(|| danger("routine_cache_small", "config", &["routines"], text, "CPF"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: HostRoom = HostRoom {
        physical_mb: 16_384,
        huge_pages: 0,
        huge_page_kb: 2048,
        others_mb: 0,
        others_huge_pages: 0,
    };

    fn check(lines: &str, host: Option<HostRoom>, expected: &[&str]) {
        let document = Document::parse(format!("[config]\n{lines}").as_bytes());
        let found = dangers(&document, host);
        let rules: Vec<_> = found.iter().map(|danger| danger.rule).collect();
        assert_eq!(rules, expected, "{found:?}");
    }

    #[test]
    fn more_memory_than_the_host_has() {
        check("globals=0,0,12000,0,0,0\ngmheap=307200\n", Some(HOST), &[]);
        check("globals=0,0,20000,0,0,0\ngmheap=307200\n", Some(HOST), &["memory_beyond_host"]);
        check("globals=0,0,20000,0,0,0\n", None, &[]);
        check("globals=0,0,0,0,0,0\nroutines=0\ngmheap=0\n", Some(HOST), &[]);
    }

    #[test]
    fn a_pool_of_huge_pages_that_is_too_small_is_lost() {
        let host = HostRoom { huge_pages: 4000, ..HOST };
        check("globals=0,0,8192,0,0,0\n", Some(host), &["huge_pages_too_few"]);
        check("globals=0,0,8192,0,0,0\n", Some(HostRoom { huge_pages: 8000, ..HOST }), &[]);
        check("globals=0,0,8192,0,0,0\nmemlock=32\n", Some(host), &[]);
        check("memlock=64\n", Some(HOST), &["large_pages_contradiction"]);
        check("memlock=64\nglobals=0,0,256,0,0,0\n", Some(host), &[]);
        check("memlock=96\n", None, &["large_pages_contradiction"]);
    }

    /// Several instances share a host: what each asks for is summed.
    #[test]
    fn the_other_instances_of_a_host_count() {
        let lines = "globals=0,0,8192,0,0,0\ngmheap=307200\n";
        let beside = |others_mb, others_huge_pages, huge_pages| {
            Some(HostRoom { huge_pages, others_mb, others_huge_pages, ..HOST })
        };
        check(lines, beside(0, 0, 0), &[]);
        check(lines, beside(6_000, 0, 0), &["memory_little_left"]);
        check(lines, beside(7_000, 0, 0), &["memory_beyond_host"]);
        check(lines, beside(0, 0, 5_200), &[]);
        check(lines, beside(0, 500, 5_200), &["huge_pages_too_few"]);
        let document = Document::parse(format!("[config]\n{lines}").as_bytes());
        let told = |host| dangers(&document, host).remove(0);
        let beyond = told(beside(7_000, 0, 0));
        assert!(
            beyond.beyond_host && beyond.text.contains("other instances of the host ask for about 7000 MB"),
            "{beyond:?}"
        );
        assert!(!told(beside(6_000, 0, 0)).beyond_host);
        assert!(told(beside(0, 500, 5_200)).text.contains("whoever starts last"));
    }

    #[test]
    fn journal_buffers_that_only_an_8_bit_instance_may_have() {
        check("jrnbufs=8\n", None, &["journal_buffers_small"]);
        check("jrnbufs=15\n", None, &["journal_buffers_small"]);
        check("jrnbufs=16\n", None, &[]);
    }

    #[test]
    fn tables_and_buffers_that_do_not_fit_one_another() {
        check("locksiz=50000000\ngmheap=37568\n", None, &["lock_table_beyond_heap"]);
        check("locksiz=16777216\ngmheap=37568\n", None, &[]);
        check("locksiz=50000000\ngmheap=0\n", None, &[]);
        check("jrnbufs=1024\n[Journal]\nFileSizeLimit=4079\n", None, &["journal_beyond_limit"]);
        check("jrnbufs=1024\n[Journal]\nFileSizeLimit=1024\n", None, &[]);
        check("globals=0,0,256,64,0,0\n[Startup]\nDBSizesAllowed=8192\n", None, &["buffers_without_use"]);
        check("globals=0,0,256,64,0,0\n[Startup]\nDBSizesAllowed=8192,16384\n", None, &[]);
        check("routines=0,32,0,96,0,27\n", None, &[]);
        check("routines=0,1,0,96,0,27\n", None, &["routine_pool_too_small"]);
        check("routines=0,32,0,96,0,0\n", None, &["routine_pool_too_small"]);
        check("routines=200\n", None, &[]);
        check("routines=64\n", None, &["routine_cache_small"]);
    }

    #[test]
    fn a_heap_that_iris_sizes_itself_is_reckoned_with() {
        // 300 MB at least, 3 % of 20,000 MB, 2 GB at most.
        let beyond = &["lock_table_beyond_heap"][..];
        let small = "globals=0,0,256,0,0,0\ngmheap=0\n";
        check(&format!("{small}locksiz=314572800\n"), None, &[]);
        check(&format!("{small}locksiz=314572801\n"), None, beyond);
        let middle = "globals=0,0,20000,0,0,0\ngmheap=0\n";
        check(&format!("{middle}locksiz=600000000\n"), None, &[]);
        check(&format!("{middle}locksiz=700000000\n"), None, beyond);
        check("globals=0,0,99999,0,0,0\ngmheap=0\nlocksiz=2147483647\n", None, &[]);
        // Globals that IRIS sizes too: a quarter of the memory, when that is known.
        check("globals=0,0,0,0,0,0\ngmheap=0\nlocksiz=2147483647\n", None, &[]);
        check("globals=0,0,0,0,0,0\ngmheap=0\nlocksiz=400000000\n", Some(HOST), beyond);
        check("globals=0,0,0,0,0,0\ngmheap=0\nlocksiz=300000000\n", Some(HOST), &[]);
    }

    #[test]
    fn the_host_tells_its_memory() {
        let text = "MemTotal:       16384000 kB\nHugePages_Total:     400\nHugepagesize:       2048 kB\n";
        let room = HostRoom { physical_mb: 16_000, huge_pages: 400, ..HOST };
        assert_eq!(HostRoom::parse(text), Some(room));
        assert_eq!(HostRoom::parse("MemTotal: 2048 kB\n").map(|room| room.huge_page_kb), Some(0));
        assert_eq!(HostRoom::parse("MemTotalX: 1 kB"), None);
    }

    #[test]
    fn what_cannot_be_read_is_left_to_the_check_of_values() {
        check("globals=lots\ngmheap=0\nlocksiz=2147483647\n", Some(HOST), &[]);
        check("globals=lots\nroutines=x\ngmheap=\nlocksiz=-1\njrnbufs=1e9\nmemlock=x\n", Some(HOST), &[]);
    }
}
