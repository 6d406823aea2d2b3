//! `iris.ids`: which processes are the instance. It exists while the instance is up, and stays behind when the
//! control process is killed.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::shell::process::ProcessKey;

/// The processes of an instance, the control process first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdsFile {
    /// Host the instance runs on.
    pub node: String,
    /// Role (`CONTROL`, `WRTDMN`, ...) and process.
    pub processes: Vec<(String, ProcessKey)>,
}

impl IdsFile {
    /// Reads the file; `None` when it is absent or torn, which both mean that nobody can be asked.
    pub fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let mut lines = text.lines();
        let node = lines.next()?.to_owned();
        let processes = lines.map(read_process).collect::<Option<Vec<_>>>()?;
        Some(Self { node, processes })
    }

    /// Replaces the file.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = format!("{}\n", self.node);
        for (role, process) in &self.processes {
            writeln!(text, "{role} {} {}", process.pid, process.started)
                .expect("writing to a string cannot fail");
        }
        super::replace(path, text.as_bytes())
    }

    /// The control process, when it is alive.
    pub fn control(&self) -> Option<ProcessKey> {
        self.process("CONTROL")
    }

    /// The process of that role, when it is alive.
    pub fn process(&self, role: &str) -> Option<ProcessKey> {
        self.processes
            .iter()
            .find(|(known, _)| known == role)
            .map(|(_, process)| *process)
            .filter(|it| it.is_alive())
    }

    /// Every process still alive.
    pub fn alive(&self) -> impl Iterator<Item = ProcessKey> + '_ {
        self.processes.iter().map(|(_, process)| *process).filter(|process| process.is_alive())
    }
}

fn read_process(line: &str) -> Option<(String, ProcessKey)> {
    let mut parts = line.split(' ');
    let (role, pid, started) = (parts.next()?, parts.next()?, parts.next()?);
    Some((role.to_owned(), ProcessKey { pid: pid.parse().ok()?, started: started.parse().ok()? }))
}
