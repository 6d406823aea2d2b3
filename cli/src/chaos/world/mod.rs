//! The world of one scenario: a stand-in instance on a made-up host, its users and its disks; how it is made, and how it ends.

mod steps; // What is done to it.
mod symptoms; // What shows of it.

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
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use instance_scenario::{Draw, Scenario, Step};

use self::{
    disks::Disks,
    files::Modes,
    programs::{run, said, well},
    users::{Manner, Users},
};
use crate::up::{ports, programs::ours};

/// Every instance has the same name: one that tells of its scenario would give the truth away.
pub const INSTANCE: &str = "CHAOS";
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

    /// The instance as it should be before anything happens.
    pub fn start(&self) -> Result<()> {
        let output =
            self.counting_starts(|| run(Command::new(self.iris()).args(["start", &self.name, "quietly"])))?;
        if output.status.success() {
            return Ok(());
        }
        bail!("the instance did not start before anything was broken: {}", said(&output));
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
}

impl Drop for World {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("instance: could not end an instance: {error:#}");
        }
    }
}
