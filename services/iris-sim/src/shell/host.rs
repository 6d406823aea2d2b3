//! The host as the instance sees it: under a root folder, `/proc` or one that a test made.

use std::fs;
use std::path::Path;

use nix::sys::utsname::uname;

use crate::world::facts::{HostMemory, SystemName};

/// Why the host could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A file is missing or cannot be read.
    #[error("could not read host file \"{path}\"")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file does not say what it should.
    #[error("host file \"{path}\" has no number for \"{name}\"")]
    Number {
        /// The file.
        path: String,
        /// The line or value looked for.
        name: &'static str,
    },
}

/// Memory of the host: `<root>/meminfo` and `<root>/sys/vm/nr_hugepages`.
pub fn memory(root: &Path) -> Result<HostMemory, HostError> {
    let meminfo_path = root.join("meminfo");
    let meminfo = read(&meminfo_path)?;
    let kilobytes = |name: &'static str| {
        of_meminfo(&meminfo, name)
            .ok_or_else(|| HostError::Number { path: meminfo_path.display().to_string(), name })
    };
    let pool_path = root.join("sys/vm/nr_hugepages");
    let huge_pages = match read(&pool_path) {
        Ok(text) => text
            .trim()
            .parse()
            .map_err(|_| HostError::Number { path: pool_path.display().to_string(), name: "nr_hugepages" })?,
        // A kernel without huge pages has no such file.
        Err(HostError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => 0,
        Err(other) => return Err(other),
    };
    Ok(HostMemory {
        total_mb: kilobytes("MemTotal")? / 1024,
        huge_pages,
        huge_page_kb: if huge_pages == 0 { 2048 } else { kilobytes("Hugepagesize")? },
        may_lock: may_lock(root),
    })
}

/// Number of `CAP_IPC_LOCK`, linux/capability.h.
const CAP_IPC_LOCK: u32 = 14;

/// Whether the line `CapEff` of `<root>/self/status` has `CAP_IPC_LOCK`. On a made-up host without that file everybody does.
fn may_lock(root: &Path) -> bool {
    let Ok(status) = read(&root.join("self/status")) else { return true };
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    effective.is_none_or(|bits| bits >> CAP_IPC_LOCK & 1 == 1)
}

/// The name of the host: `<root>/sys/kernel/hostname`, and what `uname` says where a made-up host has no such file.
pub fn node(root: &Path) -> String {
    let told = read(&root.join("sys/kernel/hostname")).map(|text| text.trim().to_owned());
    told.ok().filter(|name| !name.is_empty()).unwrap_or_else(|| system().node)
}

/// How much of the memory cannot be had, in percent.
#[expect(clippy::cast_precision_loss, reason = "two digits after the point are shown")]
pub fn memory_percent(root: &Path) -> Option<f64> {
    let meminfo = read(&root.join("meminfo")).ok()?;
    let total = of_meminfo(&meminfo, "MemTotal")? as f64;
    let available = of_meminfo(&meminfo, "MemAvailable")? as f64;
    (total > 0.0).then(|| (total - available) * 100.0 / total)
}

fn of_meminfo(meminfo: &str, name: &str) -> Option<u64> {
    let value =
        |line: &str| line.strip_prefix(name)?.strip_prefix(':')?.split_whitespace().next()?.parse().ok();
    meminfo.lines().find_map(value)
}

/// What `uname` says. A host that does not answer is named so.
pub fn system() -> SystemName {
    let Ok(name) = uname() else {
        let unknown = "unknown".to_owned();
        return SystemName {
            node: unknown.clone(),
            version: unknown.clone(),
            release: unknown.clone(),
            machine: unknown,
        };
    };
    let text = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
    SystemName {
        node: text(name.nodename()),
        version: text(name.version()),
        release: text(name.release()),
        machine: text(name.machine()),
    }
}

fn read(path: &Path) -> Result<String, HostError> {
    fs::read_to_string(path).map_err(|source| HostError::Read { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use tempfile::TempDir;

    use super::{may_lock, memory, node, system};
    use crate::world::facts::HostMemory;

    #[test]
    fn a_folder_can_be_the_host() {
        let root = TempDir::new().unwrap();
        assert!(memory(root.path()).is_err(), "there is no meminfo");
        fs::write(root.path().join("meminfo"), "MemTotal:  8388608 kB\nHugepagesize:     1024 kB\n").unwrap();
        let without = HostMemory { total_mb: 8192, huge_pages: 0, huge_page_kb: 2048, may_lock: true };
        assert_eq!(memory(root.path()).unwrap(), without);
        fs::create_dir_all(root.path().join("sys/vm")).unwrap();
        fs::write(root.path().join("sys/vm/nr_hugepages"), "10\n").unwrap();
        let with = memory(root.path()).unwrap();
        assert_eq!((with.pool_mb(), with.standard_mb()), (10, 8182));
    }

    #[test]
    fn the_right_to_lock_memory_is_read_off_the_capabilities() {
        let root = TempDir::new().unwrap();
        assert!(may_lock(root.path()), "nothing is said of it");
        fs::create_dir(root.path().join("self")).unwrap();
        for (effective, may) in [
            ("000001ffffffffff", true),
            ("0000000000004000", true),
            ("00000000a80425fb", false),
            ("none", true),
        ] {
            let status = format!("Name:\tiris\nCapPrm:\t0000000000000000\nCapEff:\t{effective}\n");
            fs::write(root.path().join("self/status"), status).unwrap();
            assert_eq!(may_lock(root.path()), may, "{effective}");
        }
    }

    #[test]
    fn a_made_up_host_may_have_a_name_of_its_own() {
        let root = TempDir::new().unwrap();
        assert_eq!(node(root.path()), system().node);
        fs::create_dir_all(root.path().join("sys/kernel")).unwrap();
        fs::write(root.path().join("sys/kernel/hostname"), "db-2\n").unwrap();
        assert_eq!(node(root.path()), "db-2");
    }

    #[test]
    fn the_real_host_can_be_read() {
        assert!(memory(Path::new("/proc")).unwrap().total_mb > 0);
    }
}
