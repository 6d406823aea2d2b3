//! A folder that looks like the part of `/proc` an instance depends on.

use std::fs;
use std::io;
use std::path::Path;

/// What the made-up host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewHost {
    /// MB of memory.
    pub memory_mb: u64,
    /// Huge pages of 2 MB in the pool.
    pub huge_pages: u64,
}

/// Page size of the made-up host, KB.
const HUGE_PAGE_KB: u64 = 2048;

/// Values of an ordinary Linux host under `sys`: file and content.
const KERNEL_VALUES: &[(&str, &str)] = &[
    ("sys/vm/swappiness", "60"),
    ("sys/vm/dirty_ratio", "20"),
    ("sys/vm/dirty_background_ratio", "10"),
    ("sys/vm/overcommit_memory", "0"),
    ("sys/vm/max_map_count", "65530"),
    ("sys/vm/min_free_kbytes", "67584"),
    ("sys/vm/hugetlb_shm_group", "0"),
    ("sys/kernel/shmmax", "18446744073692774399"),
    ("sys/kernel/shmall", "18446744073692774399"),
    ("sys/kernel/shmmni", "4096"),
    ("sys/kernel/msgmni", "32000"),
    ("sys/kernel/msgmax", "8192"),
    ("sys/kernel/msgmnb", "16384"),
    ("sys/kernel/sem", "32000\t1024000000\t500\t32000"),
    ("sys/fs/file-max", "9223372036854775807"),
    ("sys/fs/aio-max-nr", "65536"),
];

/// Makes the folder. Files that are there already stay as they are, so that two instances can share a host.
pub fn make(root: &Path, host: NewHost) -> io::Result<()> {
    let total_kb = host.memory_mb * 1024;
    let pool_kb = host.huge_pages * HUGE_PAGE_KB;
    let free_kb = total_kb.saturating_sub(pool_kb);
    let meminfo = format!(
        "MemTotal:       {total_kb:>8} kB\nMemFree:        {free_kb:>8} kB\nMemAvailable:   {free_kb:>8} kB\n\
         HugePages_Total: {pages:>7}\nHugePages_Free:  {pages:>7}\nHugePages_Rsvd:        0\n\
         HugePages_Surp:        0\nHugepagesize:   {HUGE_PAGE_KB:>8} kB\nHugetlb:        {pool_kb:>8} kB\n",
        pages = host.huge_pages,
    );
    put(root, "meminfo", &meminfo)?;
    put(root, "sys/vm/nr_hugepages", &format!("{}\n", host.huge_pages))?;
    for (file, value) in KERNEL_VALUES {
        put(root, file, &format!("{value}\n"))?;
    }
    Ok(())
}

fn put(root: &Path, file: &str, content: &str) -> io::Result<()> {
    let path = root.join(file);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if path.exists() {
        return Ok(());
    }
    fs::write(path, content)
}
