//! The world of one scenario: a stand-in instance on a made-up host, its users, its disks, and what is done to it.

mod days;
mod disks;
pub mod files; // Recordings are written the same way.
mod own; // Read snapshot first.
mod programs;
pub mod snapshot; // What is compared afterwards.
mod users;

use std::{
    cell::{Cell, RefCell},
    ffi::OsString,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use instance_iris::cpf::Document;
use instance_scenario::{Draw, Port, Scenario, Step, Symptom};
use nix::sys::signal::Signal;

use self::{
    disks::Disks,
    files::Modes,
    programs::{run, said, well},
    snapshot::Snapshot,
    users::{Manner, Users},
};
use crate::{
    exit::{Exit, Stop},
    online,
    up::{ports, programs::ours},
};

/// Every instance has the same name: one that tells of its scenario would give the truth away.
pub const INSTANCE: &str = "CHAOS";
/// An instance that is restarted takes load again within this time.
const RESTARTS_WITHIN: Duration = Duration::from_secs(30);
/// A plain tool that takes longer hangs.
const SCRIPT_LIMIT: Duration = Duration::from_mins(1);
/// What a shell does when this process was killed: the instance is forced, its disks are taken away.
const LAST: &str = "\"$1\" force \"$2\"; shift 2; for disk; do umount -l \"$disk\"; done";

/// One world. Dropping it leaves no process, no port and no disk behind.
pub struct World {
    /// Of the instance, upper case.
    name: String,
    /// Folder of programs, registry and instance.
    folder: PathBuf,
    host: PathBuf,
    simulator: PathBuf,
    draw: RefCell<Draw>,
    users: Users,
    disks: Disks,
    held_ports: RefCell<Vec<TcpListener>>,
    modes: Modes,
    /// How many times faster than with a real instance its waits pass.
    speed: u32,
    /// How often our own steps have started the instance, and forced it down.
    own_starts: Cell<usize>,
    own_kills: Cell<usize>,
    own_stops: Cell<usize>,
}

impl World {
    /// Makes the instance and does the steps before its first start. Nothing is started.
    pub fn make(root: &Path, name: &str, scenario: &Scenario, seed: u64) -> Result<Self> {
        let simulator = ours("instance-iris-sim")?;
        ours("iris")?;
        let mut draw = Draw::new(seed, &scenario.name);
        let (folder, host, wish) = (root.join("iris"), root.join("host"), &scenario.world);
        let mut command = Command::new(&simulator);
        command.arg("create").arg("--dir").arg(&folder).args(["--name", name, "--make-host-root"]);
        command.arg("--host-root").arg(&host).args(["--version", &wish.version]);
        for (flag, number) in [
            ("--globals", draw.amount(wish.globals_mb)),
            ("--host-memory-mb", draw.amount(wish.memory_mb)),
            ("--host-huge-pages", draw.amount(wish.huge_pages)),
            ("--speed", wish.speed),
            ("--superserver-port", u32::from(ports::free_port()?)),
            ("--web-port", if wish.web_server { u32::from(ports::free_port()?) } else { 80 }),
        ] {
            command.arg(flag).arg(number.to_string());
        }
        command.args(["--seed", &seed.to_string()]);
        well(&mut command)?;
        let (users, disks) = (Users::start()?, Disks::default());
        let world = Self {
            name: name.to_owned(),
            folder,
            host,
            simulator,
            draw: RefCell::new(draw),
            users,
            disks,
            held_ports: RefCell::default(),
            modes: Modes::default(),
            speed: wish.speed,
            own_starts: Cell::new(0),
            own_kills: Cell::new(0),
            own_stops: Cell::new(0),
        };
        world.two_journal_directories()?;
        for step in &scenario.setup {
            world.perform(step)?;
        }
        let users = wish.users;
        world.load(Some(users.dirty_mb), Some(users.journal_mb), Some(users.database_mb))?;
        world.users.hold(world.port("DefaultPort")?, users.sessions, Manner::Quiet);
        Ok(world)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instance's folder.
    pub fn instance(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    pub fn host(&self) -> &Path {
        &self.host
    }

    pub fn iris(&self) -> PathBuf {
        self.folder.join("bin/iris")
    }

    pub fn cpf(&self) -> PathBuf {
        self.instance().join("iris.cpf")
    }

    /// All of the log, the files that were put aside not.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.instance().join("mgr/messages.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How often others than our own steps have started the instance.
    pub fn foreign_starts(&self) -> usize {
        snapshot::starts(&self.log()).saturating_sub(self.own_starts.get())
    }

    /// How often others than our own steps have forced it down.
    pub fn foreign_kills(&self) -> usize {
        snapshot::kills(&self.log()).saturating_sub(self.own_kills.get())
    }

    /// Have others than our own steps stopped it or forced it down, and is it down because of that?
    pub fn was_left_down(&self) -> bool {
        let log = self.log();
        let by_others = snapshot::stops(&log) > self.own_stops.get() || self.foreign_kills() > 0;
        by_others && snapshot::ended_on_request(&log) && self.state().0 == "down"
    }

    /// The instance as it should be before anything happens.
    pub fn start(&self) -> Result<()> {
        let output =
            self.counting_starts(|| run(Command::new(self.iris()).args(["start", &self.name, "quietly"])))?;
        if output.status.success() {
            return Ok(());
        }
        bail!("the instance did not start before anything was broken: {}", said(&output));
    }

    /// What is compared afterwards.
    pub fn look(&self) -> Result<Snapshot> {
        Snapshot::take(&self.instance(), &self.host, &self.host.with_file_name("pipeline"), self.speed)
            .context("could not look at the world")
    }

    /// State and health as `iris qlist` tells them.
    pub fn state(&self) -> (String, String) {
        let output = run(Command::new(self.iris()).args(["qlist", &self.name]));
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let field = |number: usize| text.trim_end().split('^').nth(number).unwrap_or_default().to_owned();
        let state = field(3).split([',', ' ']).next().unwrap_or_default().to_owned();
        (state, field(8))
    }

    /// Is it so that the symptom shows? `growth` tells how many more of a text the log holds than at some time before.
    pub fn shows(&self, symptom: &Symptom, growth: &dyn Fn(&str) -> usize) -> bool {
        let whole = self.log();
        let [earlier, last] = snapshot::starts_apart(&whole);
        let log = symptom.log.as_ref().is_none_or(|text| last.contains(text))
            && symptom.earlier.as_ref().is_none_or(|text| earlier.contains(text));
        let grows = symptom.grows.as_ref().is_none_or(|text| growth(text) > 0);
        let cpf = symptom.cpf.as_ref().is_none_or(|wanted| {
            let bytes = fs::read(self.cpf()).unwrap_or_default();
            Document::parse(&bytes).get(&wanted.section, &wanted.parameter)
                == Some(self.filled(&wanted.value).as_str())
        });
        if !(log && grows && cpf) {
            return false;
        }
        if symptom.state.is_none() && symptom.health.is_none() {
            return true;
        }
        let (state, health) = self.state();
        symptom.state.as_ref().is_none_or(|wanted| *wanted == state)
            && symptom.health.as_ref().is_none_or(|wanted| *wanted == health)
    }

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

    /// What a shell does when this process was killed.
    pub fn last_command(&self, scenario: &Scenario) -> Vec<OsString> {
        let mut words: Vec<OsString> = ["/bin/sh", "-c", LAST, "instance-chaos"].map(OsString::from).into();
        words.extend([self.iris().into_os_string(), self.name.clone().into()]);
        for step in scenario.setup.iter().chain(&scenario.fault) {
            if let Step::Disk { folder, .. } = step {
                words.push(self.path(folder).into_os_string());
            }
        }
        words
    }

    /// Ends the instance, whatever state it is in. No process of it is left.
    pub fn end(&self) -> Result<()> {
        self.users.leave();
        self.modes.put_back();
        let program = self.folder.join("bin/irisdb");
        let alive = || snapshot::processes(&program).context("could not list processes");
        let forced = if alive()?.is_empty() {
            return Ok(());
        } else {
            run(Command::new(self.iris()).args(["force", &self.name]))?
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Some((role, pid)) = alive()?.pop() {
            if Instant::now() >= deadline {
                bail!("process {pid} ({role}) is left of the instance: {}", said(&forced));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// A new installation has the same directory twice, and IRIS warns of it at each start: not so here.
    fn two_journal_directories(&self) -> Result<()> {
        let other = self.instance().join("mgr/journal2");
        fs::create_dir_all(&other).with_context(|| format!("could not make \"{}\"", other.display()))?;
        self.set_cpf("Journal", "AlternateDirectory", &format!("{}/", other.display()))
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

    fn port(&self, parameter: &str) -> Result<u16> {
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

    fn load(&self, dirty_mb: Option<u32>, journal_mb: Option<u32>, database_mb: Option<u32>) -> Result<()> {
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

    fn counting_starts(&self, start: impl FnOnce() -> Result<Output>) -> Result<Output> {
        let before = snapshot::starts(&self.log());
        let output = start()?;
        let made = snapshot::starts(&self.log()).saturating_sub(before);
        self.own_starts.set(self.own_starts.get() + made);
        Ok(output)
    }

    /// A path of a step; every one begins with a folder of this world.
    fn path(&self, text: &str) -> PathBuf {
        PathBuf::from(self.filled(text))
    }

    fn filled(&self, text: &str) -> String {
        let (instance, today) =
            (self.instance(), online::now().to_zoned(jiff::tz::TimeZone::system()).date());
        days::filled(text, today)
            .replace("{dir}", &instance.to_string_lossy())
            .replace("{mgr}", &instance.join("mgr").to_string_lossy())
            .replace("{host}", &self.host.to_string_lossy())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("instance: could not end an instance: {error:#}");
        }
    }
}
