//! The world of the demo: one stand-in instance on a made-up host, driven as an operator drives a real one.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::{
    checker::{Fault, Site, Snapshot},
    choice::Choice,
};
use crate::{
    exit::{Exit, Stop},
    up::programs,
};

/// Name of the instance.
pub const INSTANCE: &str = "DEMO";
/// How many times faster than in a real instance its waits pass: the write daemon's cycle of 80 s is one second.
const SPEED: &str = "80";
/// With the real kernel: a pool that IRIS tries and that is too small. Without any pool it would not try.
const SMALL_POOL: u64 = 16;
/// Memory in MB that must be free beyond what the demo takes of a real host.
const LEFT_OVER_MB: u64 = 1024;
/// More than any instance of the demo takes, in MB.
const MOST_MB: u64 = 1280;

/// Program, instance, and where there is one a file with what belongs into it.
const LAST: &str = "\"$1\" force \"$2\"; [ $# -lt 4 ] || echo \"$4\" > \"$3\"";

/// The instance and its host.
pub struct World {
    folder: PathBuf,
    pub site: Site,
    choice: Choice,
    simulator: PathBuf,
    /// What the real kernel's pool held before us; put back when this is dropped.
    pool_before: Option<String>,
}

impl World {
    /// Makes the instance; nothing is started.
    pub fn make(run: &Path, choice: Choice, real_kernel: bool) -> Result<Self> {
        let simulator = programs::ours("instance-iris-sim")?;
        programs::ours("iris")?;
        let folder = run.join("iris");
        let host = if real_kernel { PathBuf::from("/proc") } else { run.join("host") };
        let site = Site {
            name: INSTANCE.to_owned(),
            instance: folder.join(INSTANCE),
            programs: folder.join("bin"),
            host: host.clone(),
            real_kernel,
        };
        let mut world = Self { folder, site, choice, simulator, pool_before: None };
        if real_kernel {
            world.shrink_real_pool()?;
        }
        let globals = choice.globals_mb.to_string();
        let mut words = vec!["--globals", &globals, "--speed", SPEED, "--host-root"];
        let root = host.to_string_lossy().into_owned();
        words.push(&root);
        let pages = choice.huge_pages.to_string();
        if !real_kernel {
            words.extend(["--make-host-root", "--host-huge-pages", &pages]);
        }
        let seed = choice.seed.to_string();
        words.extend(["--seed", &seed]);
        world.simulate("create", &words)?;
        Ok(world)
    }

    /// What it was made from; with the real kernel the pool is another one than the seed says.
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    pub fn iris(&self) -> PathBuf {
        self.site.programs.join("iris")
    }

    pub fn messages_log(&self) -> PathBuf {
        self.site.instance.join("mgr/messages.log")
    }

    /// The file of the kernel value that one of the faults is about.
    pub fn huge_pages(&self) -> PathBuf {
        self.site.host.join("sys/vm/nr_hugepages")
    }

    /// What a shell does when this process was killed: the instance is forced, the real kernel gets its value back.
    pub fn last_command(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = ["/bin/sh", "-c", LAST, "instance-demo"].map(OsString::from).into();
        words.extend([self.iris().into_os_string(), INSTANCE.into()]);
        if let Some(before) = &self.pool_before {
            words.extend([self.huge_pages().into_os_string(), before.trim().into()]);
        }
        words
    }

    /// `iris start`.
    pub fn start(&self) -> Result<()> {
        said(Command::new(self.iris()).args(["start", INSTANCE, "quietly"]).env_clear()).map(|_| ())
    }

    /// Brings the fault about. Too few huge pages are there from the beginning.
    pub fn break_it(&self) -> Result<()> {
        match self.choice.fault {
            Fault::Globals => self.load(self.choice.load_mb),
            Fault::HugePages => Ok(()),
            Fault::WriteDaemon => self.kill_write_daemon(),
        }
    }

    /// Brings the cause back after it was cured, so that only who really looks can tell.
    pub fn break_it_again(&self) -> Result<()> {
        match self.choice.fault {
            // More than the doubled buffers bear.
            Fault::Globals => self.load(self.choice.globals_mb * 2 + 64),
            Fault::HugePages => {
                let path = self.huge_pages();
                fs::write(&path, format!("{}\n", self.choice.huge_pages))
                    .with_context(|| format!("could not write \"{}\"", path.display()))
            }
            Fault::WriteDaemon => self.kill_write_daemon(),
        }
    }

    fn load(&self, megabytes: u64) -> Result<()> {
        self.simulate("load", &["--dirty-mb", &megabytes.to_string()])
    }

    fn kill_write_daemon(&self) -> Result<()> {
        self.simulate("kill-daemon", &["WRTDMN"])
    }

    fn simulate(&self, subcommand: &str, words: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.simulator);
        command.arg(subcommand).arg("--dir").arg(&self.folder).args(["--name", INSTANCE]).args(words);
        said(&mut command).map(|_| ())
    }

    /// Only where the pages fit, and only with the right to set them.
    fn shrink_real_pool(&mut self) -> Result<()> {
        let meminfo = fs::read_to_string("/proc/meminfo").context("could not read /proc/meminfo")?;
        let available = figure(&meminfo, "MemAvailable").unwrap_or_default() / 1024;
        if available < MOST_MB + LEFT_OVER_MB {
            let text = format!(
                "this host has {available} MB of memory available, the demo needs {} for its huge pages",
                MOST_MB + LEFT_OVER_MB
            );
            return Err(Stop::new(Exit::Refused, text).next("leave --real-kernel out").into());
        }
        let path = self.huge_pages();
        let before =
            fs::read_to_string(&path).with_context(|| format!("could not read \"{}\"", path.display()))?;
        fs::write(&path, format!("{SMALL_POOL}\n")).map_err(|error| {
            let text = format!("could not set \"{}\": {error}", path.display());
            Stop::new(Exit::Refused, text).next("run it as root, or leave --real-kernel out")
        })?;
        self.pool_before = Some(before);
        self.choice.huge_pages = SMALL_POOL;
        Ok(())
    }

    /// Ends the instance, whatever state it is in: asked first, then forced. No process of it is left.
    pub fn end(&self) -> Result<()> {
        if !self.iris().exists() {
            return Ok(());
        }
        let stop = said(Command::new(self.iris()).args(["stop", INSTANCE, "quietly"]).env_clear());
        if stop.is_ok() && Snapshot::take(&self.site).is_ok_and(|now| now.state() == "down") {
            return Ok(());
        }
        said(Command::new(self.iris()).args(["force", INSTANCE]).env_clear()).map(|_| ())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(before) = &self.pool_before
            && let Err(error) = fs::write(self.huge_pages(), before)
        {
            eprintln!("instance: could not put vm.nr_hugepages back to {}: {error}", before.trim());
        }
    }
}

/// The figure of a line of `/proc/meminfo`, in KB.
fn figure(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Runs a program to its end; an error holds what it said.
fn said(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("could not run \"{program}\""))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    bail!(
        "\"{program}\" failed ({}): {}{}",
        output.status,
        text,
        String::from_utf8_lossy(&output.stderr).trim()
    );
}
