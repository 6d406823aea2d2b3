//! The memory that a CPF is weighed against.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use instance_knowledge::HostRoom;

use crate::exit::{Exit, Stop};

#[derive(Debug, clap::Args)]
pub struct Room {
    /// Physical memory of the machine that the instance runs on
    #[arg(long, value_name = "MB", conflicts_with = "this_host")]
    memory_mb: Option<u64>,
    /// Huge pages that it reserves
    #[arg(long, value_name = "PAGES", requires = "memory_mb", default_value_t = 0)]
    huge_pages: u64,
    /// Size of a huge page
    #[arg(long, value_name = "KB", requires = "memory_mb", default_value_t = 2048)]
    huge_page_kb: u64,
    /// Weigh it against this machine, wherever the file lies
    #[arg(long)]
    this_host: bool,
}

impl Room {
    /// What was asked for; else this machine, when the CPF belongs to an instance on it: a file from elsewhere says
    /// nothing about the memory here.
    pub fn of(&self, file: &Path) -> Result<Option<HostRoom>> {
        if let Some(physical_mb) = self.memory_mb {
            let (huge_pages, huge_page_kb) = (self.huge_pages, self.huge_page_kb);
            return Ok(Some(HostRoom { physical_mb, huge_pages, huge_page_kb, ..HostRoom::default() }));
        }
        if !self.this_host && !is_of_an_instance(file) {
            return Ok(None);
        }
        let meminfo = fs::read_to_string("/proc/meminfo").context("could not read \"/proc/meminfo\"")?;
        let room = HostRoom::parse(&meminfo);
        room.map(Some).ok_or_else(|| Stop::new(Exit::Failure, "/proc/meminfo tells no memory").into())
    }
}

/// IRIS keeps its manager directory and a copy of the last CPF that started beside its CPF.
fn is_of_an_instance(file: &Path) -> bool {
    file.with_file_name("mgr").is_dir() || file.with_file_name("_LastGood_.cpf").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_from_elsewhere_is_not_weighed_against_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("iris.cpf");
        let here = Room { memory_mb: None, huge_pages: 0, huge_page_kb: 2048, this_host: false };
        assert_eq!(here.of(&file).unwrap(), None);
        fs::create_dir(folder.path().join("mgr")).unwrap();
        assert!(here.of(&file).unwrap().is_some_and(|room| room.physical_mb > 0));
        let asked = Room { memory_mb: Some(1024), ..here };
        let expected = HostRoom { physical_mb: 1024, huge_page_kb: 2048, ..HostRoom::default() };
        assert_eq!(asked.of(&file).unwrap(), Some(expected));
    }
}
