//! One process of the run, and what the kernel says about it.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

/// One clock tick of `/proc/stat` and `/proc/PID/stat`, as Linux has it on every machine that we run on.
pub const TICK_US: u64 = 10_000;

/// A running process. Dropping it kills it and waits until it is gone.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts it; what it says goes to `<name>.log` in `folder`.
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Result<Self> {
        let log = File::create(folder.join(format!("{name}.log"))).context("could not create a log")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("could not start {name}: {command:?}"))?;
        Ok(Self { child })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As `kill -9`, and waits until it is gone.
    pub fn end(&mut self) {
        // Fails only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The exit status, once it has ended.
    pub fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| status.to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// User and system time of a process so far, in microseconds, in steps of 10 ms.
pub fn cpu_us(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may hold anything; behind its bracket utime and stime are the 12th and 13th field.
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    ticks.sum::<u64>() * TICK_US
}

/// The most memory that a process has had resident so far, in kB.
pub fn peak_rss_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kb| kb.parse().ok()).unwrap_or_default()
}
