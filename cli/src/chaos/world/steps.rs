//! What is done to a world: the steps of a scenario, and the script with which a person takes the cause away.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use instance_iris::cpf::Document;
use instance_scenario::{Port, Step};
use nix::sys::signal::Signal;

use super::{
    World, days, files,
    programs::{run, well},
    snapshot,
    users::Manner,
};
use crate::{
    exit::{Exit, Stop},
    online,
};

/// An instance that is restarted takes load again within this time.
const RESTARTS_WITHIN: Duration = Duration::from_secs(30);
/// A plain tool that takes longer hangs.
const SCRIPT_LIMIT: Duration = Duration::from_mins(1);

impl World {
    /// Does one step.
    pub fn perform(&self, step: &Step) -> Result<()> {
        let amount = |amount| self.draw.borrow_mut().amount(amount);
        match step {
            Step::Cpf { section, parameter, value } => self.set_cpf(section, parameter, &self.filled(value)),
            Step::Edit { file, find, put } => {
                files::edit(&self.path(file), &self.filled(find), &self.filled(put))
            }
            Step::Write { file, text } => files::write(&self.path(file), &self.filled(text)),
            Step::Remove { file } => files::remove(&self.path(file)),
            Step::Mode { file, mode } => self.modes.set(&self.path(file), mode.bits()),
            Step::Kernel { name, value } => {
                let file = self.host.join("sys").join(name.replace('.', "/"));
                files::write(&file, &format!("{}\n", amount(*value)))
            }
            Step::Disk { folder, mb } => self.disks.mount(&self.path(folder), *mb),
            Step::HoldPort { port } => self.hold(*port),
            Step::Start { cpf, merge } => {
                let mut command = Command::new(self.iris());
                command.args(["start", &self.name]);
                command.args(cpf.as_ref().map(|cpf| self.path(cpf))).arg("quietly");
                command.envs(merge.as_ref().map(|merge| ("ISC_CPF_MERGE_FILE", self.path(merge))));
                // It may fail: that is what some scenarios are about.
                self.counting_starts(|| run(&mut command)).map(|_| ())
            }
            Step::Stop {} => {
                let before = snapshot::stops(&self.log());
                well(Command::new(self.iris()).args(["stop", &self.name, "quietly"]))?;
                let made = snapshot::stops(&self.log()).saturating_sub(before);
                self.own_stops.set(self.own_stops.get() + made);
                Ok(())
            }
            Step::Force {} => {
                self.own_kills.set(self.own_kills.get() + 1);
                well(Command::new(self.iris()).args(["force", &self.name]))
            }
            Step::Merge { file } => {
                run(Command::new(self.iris()).args(["merge", &self.name]).arg(self.path(file))).map(|_| ())
            }
            Step::Load { dirty_mb, journal_mb, database_mb } => {
                self.load(dirty_mb.map(amount), journal_mb.map(amount), database_mb.map(amount))
            }
            Step::Sessions { count, transaction, crash } => {
                let manner = match (transaction, crash) {
                    (_, true) => Manner::Crashing,
                    (true, false) => Manner::InTransaction,
                    (false, false) => Manner::Quiet,
                };
                self.users.hold(self.port("DefaultPort")?, amount(*count), manner);
                Ok(())
            }
            Step::Kill { process } => self.simulate("kill-daemon", &[process.as_str()]),
            Step::Pause { process } => self.signal(process, Signal::SIGSTOP),
            Step::Resume { process } => self.signal(process, Signal::SIGCONT),
            Step::Terminate {} => self.terminate(),
            Step::Wait { seconds } => {
                thread::sleep(Duration::from_secs(u64::from(*seconds)));
                Ok(())
            }
        }
    }

    /// Runs the script with which a person takes the cause away.
    pub fn by_hand(&self, script: &str) -> Result<()> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.folder.join("bin")).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(paths).context("could not make a PATH")?;
        let mut command = Command::new("timeout");
        command.arg(SCRIPT_LIMIT.as_secs().to_string()).args(["/bin/sh", "-e", "-c", script]);
        command.env("PATH", path).env("NAME", &self.name).env("DIR", self.instance()).env("HOST", &self.host);
        well(&mut command).context("the script by_hand failed")?;
        Ok(())
    }

    /// Sets a value in the CPF; nothing is started.
    pub fn set_cpf(&self, section: &str, parameter: &str, value: &str) -> Result<()> {
        let path = self.cpf();
        let text = fs::read(&path).with_context(|| format!("could not read \"{}\"", path.display()))?;
        let mut document = Document::parse(&text);
        document.set(section, parameter, value)?;
        fs::write(&path, document.to_bytes())
            .with_context(|| format!("could not write \"{}\"", path.display()))
    }

    pub(super) fn port(&self, parameter: &str) -> Result<u16> {
        let text = fs::read(self.cpf()).context("could not read the CPF")?;
        let document = Document::parse(&text);
        let port = document.get("Startup", parameter).and_then(|text| text.trim().parse().ok());
        port.with_context(|| format!("the CPF has no [Startup] {parameter}"))
    }

    fn hold(&self, port: Port) -> Result<()> {
        let number = self.port(match port {
            Port::Superserver => "DefaultPort",
            Port::WebServer => "WebServerPort",
        })?;
        // What held it a moment ago may still be about to let go.
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match TcpListener::bind(("127.0.0.1", number)) {
                Ok(listener) => {
                    self.held_ports.borrow_mut().push(listener);
                    return Ok(());
                }
                Err(error) if Instant::now() >= deadline => {
                    let text = format!("port {number} of this machine is not free: {error}");
                    return Err(Stop::new(Exit::Failure, text)
                        .next("run it again: another one will be taken")
                        .into());
                }
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    pub(super) fn load(
        &self,
        dirty_mb: Option<u32>,
        journal_mb: Option<u32>,
        database_mb: Option<u32>,
    ) -> Result<()> {
        let wishes = [("--dirty-mb", dirty_mb), ("--journal-mb", journal_mb), ("--database-mb", database_mb)];
        let words: Vec<String> = wishes
            .into_iter()
            .filter_map(|(flag, mb)| Some([flag.to_owned(), mb?.to_string()]))
            .flatten()
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        // Users come back to an instance that somebody restarts meanwhile.
        let deadline = Instant::now() + RESTARTS_WITHIN;
        loop {
            match self.simulate("load", &words) {
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(100)),
                outcome => return outcome,
            }
        }
    }

    fn simulate(&self, subcommand: &str, words: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.simulator);
        command.arg(subcommand).arg("--dir").arg(&self.folder).args(["--name", &self.name]).args(words);
        well(&mut command)
    }

    /// A signal to one process of the instance, which must be there.
    fn signal(&self, role: &str, signal: Signal) -> Result<()> {
        let ids = snapshot::processes(&self.folder.join("bin/irisdb")).context("could not list processes")?;
        let Some((_, pid)) = ids.iter().find(|(known, _)| known == role) else {
            bail!("the instance has no process {role}");
        };
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), signal)
            .with_context(|| format!("could not send {signal} to {role}"))
    }

    /// SIGTERM to the control process, and until it is gone.
    fn terminate(&self) -> Result<()> {
        let ids = snapshot::processes(&self.folder.join("bin/irisdb")).context("could not list processes")?;
        for (_, pid) in ids.iter().filter(|(role, _)| role == "CONTROL") {
            // One that has just ended is what we want.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), Signal::SIGTERM);
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.state().0 != "down" {
            if Instant::now() >= deadline {
                bail!("the instance did not end within 30 s of SIGTERM");
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    pub(super) fn counting_starts(&self, start: impl FnOnce() -> Result<Output>) -> Result<Output> {
        let before = snapshot::starts(&self.log());
        let output = start()?;
        let made = snapshot::starts(&self.log()).saturating_sub(before);
        self.own_starts.set(self.own_starts.get() + made);
        Ok(output)
    }

    /// A path of a step; every one begins with a folder of this world.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        PathBuf::from(self.filled(text))
    }

    pub(super) fn filled(&self, text: &str) -> String {
        let (instance, today) =
            (self.instance(), online::now().to_zoned(jiff::tz::TimeZone::system()).date());
        days::filled(text, today)
            .replace("{dir}", &instance.to_string_lossy())
            .replace("{mgr}", &instance.join("mgr").to_string_lossy())
            .replace("{host}", &self.host.to_string_lossy())
    }
}
