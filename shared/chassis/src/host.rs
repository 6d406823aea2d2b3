//! The name of this machine.

use std::fs;
use std::path::Path;

use instance_contract::HostName;

const KERNEL_HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// The kernel's name for this machine, or why it cannot serve as a host name.
pub(crate) fn of_this_machine() -> Result<HostName, String> {
    read(Path::new(KERNEL_HOST_NAME))
}

fn read(file: &Path) -> Result<HostName, String> {
    let named =
        fs::read_to_string(file).map_err(|error| format!("could not read {}: {error}", file.display()))?;
    named.trim().parse().map_err(|error| format!("{} holds no usable name: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_a_name_or_says_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hostname");
        assert!(read(&file).unwrap_err().contains("could not read"));
        fs::write(&file, "db-1.example\n").unwrap();
        assert_eq!(read(&file).unwrap().as_str(), "db-1.example");
        fs::write(&file, "\n").unwrap();
        assert!(read(&file).unwrap_err().contains("no usable name"));
    }
}
