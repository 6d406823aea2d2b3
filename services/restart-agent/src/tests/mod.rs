//! Restarts of an instance that is a script: `iris.sh`, which answers as the real program does.

mod deadlines;
mod faulty_disks;
mod forced;
mod guards;
mod left_behind;
mod must_not;
mod promises;
mod ready;
mod restarts;
mod settings;
mod told_and_done;
mod undos;
mod users;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    sync::OnceLock,
    time::{Duration, Instant},
};

use instance_agent::InstanceSettings;
use instance_agent::{Applied, Prepared, Probe};
use instance_clock::MockClock;
use instance_contract::{Failure, Forecast, RestartInstance, StepKey, WhenUsersStay};

use crate::{
    config::Config,
    observe::Site,
    restart::{self, Former, Limits, Wish},
    undo::{self, Record},
};

const CPF: &str = "[ConfigFile]\nVersion=2024.2\n[Databases]\nIRISSYS=/prod/mgr/\nUSER=/prod/mgr/user/\n[Startup]\n\
    ShutdownTimeout=20\n";

/// One instance, running, with its `iris` program.
pub struct Stage {
    pub config: Config,
    pub clock: MockClock,
    pub step: StepKey,
    folder: tempfile::TempDir,
    port: RefCell<Option<TcpListener>>,
}

impl Stage {
    pub fn new() -> Self {
        let program = program();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("mgr")).unwrap();
        symlink(program, root.join("iris")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let instance = InstanceSettings {
            name: "PROD".parse().unwrap(),
            cpf: root.join("iris.cpf"),
            messages_log: root.join("mgr/messages.log"),
            manager_dir: None,
        };
        let config = Config {
            instances: vec![instance],
            iris_command: root.join("iris"),
            metrics_url: BTreeMap::from([("PROD".parse().unwrap(), nobody_works_there())]),
            iris_socket: None,
            iris_environment: BTreeMap::new(),
            users_seconds: 30,
            when_users_stay: WhenUsersStay::Answer,
            stop_seconds: 30,
            allow_force: false,
            start_seconds: 30,
            restarts_per_hour: 60,
            minutes_between_restarts: 0,
            proc_root: root.join("proc"),
            process_root: root.join("proc"),
            state_dir: root.join("state_dir"),
            fence_dir: root.join("fence"),
            knowledge_dir: None,
        };
        let number = port.local_addr().unwrap().port().to_string();
        let clock = MockClock::new("2026-11-21T08:00:00Z".parse().unwrap());
        let stage = Self { config, clock, step: key("restart"), folder, port: RefCell::new(Some(port)) };
        fs::create_dir(stage.folder.path().join("proc")).unwrap();
        for (name, text) in [
            ("state", "running"),
            ("since", "before"),
            ("health", "ok"),
            ("mirror", "^"),
            ("port", number.as_str()),
            ("web_port", "0"),
            ("iris.cpf", CPF),
        ] {
            stage.write(name, text);
        }
        stage.say("0 [Generic.Event] Allocated 504MB shared memory");
        stage.say("0 [Database.MountedRW] Mounted database /prod/mgr/ (SFN 0) read-write.");
        stage.say("0 [Database.MountedRW] Mounted database /prod/mgr/user/ (SFN 5) read-write.");
        stage.say("0 [Utility.Event] Enabling logons");
        stage.run(&["appear", "5000"]);
        stage
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// One more line of the log.
    pub fn say(&self, text: &str) {
        let log = self.path("mgr/messages.log");
        let before = fs::read_to_string(&log).unwrap_or_default();
        fs::write(&log, format!("{before}11/14/25-09:45:55:657 (50745) {text}\n")).unwrap();
    }

    /// Writes the CPF until it is newer than the log: the clock of a file system moves in steps.
    pub fn repair_cpf(&self) {
        let began = Instant::now();
        let written = |name| fs::metadata(self.path(name)).unwrap().modified().unwrap();
        while written("iris.cpf") <= written("mgr/messages.log") {
            assert!(began.elapsed() < Duration::from_secs(10), "time stands still");
            self.write("iris.cpf", CPF);
        }
    }

    pub fn close_superserver(&self) {
        *self.port.borrow_mut() = None;
    }

    pub fn site(&self) -> Site<'_> {
        Site::new(&self.config, &self.config.instances[0], &self.clock)
    }

    /// What the program was asked to do, besides telling the state.
    pub fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    /// Does what a program that hung had started still run?
    pub fn left_behind_runs(&self) -> bool {
        let process = fs::read_to_string(self.path("left_behind")).unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.trim())).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
    }

    /// It was stopped by somebody.
    pub fn down(&self) {
        self.write("state", "down");
        self.run(&["vanish"]);
    }

    /// Somebody is connected to the superserver from there.
    pub fn connect(&self, ports: &[u16]) {
        self.connect_to(self.config_port(), ports);
    }

    /// ... or to another port of this machine.
    pub fn connect_to(&self, port: u16, ports: &[u16]) {
        let line = |from: &u16| {
            let addresses = format!("0100007F:{port:04X} 0100007F:{from:04X}");
            format!("   1: {addresses} 01 00000000:00000000 00:00000000 00000000  1000 0 4300 1\n")
        };
        let lines = ports.iter().map(line).collect::<Vec<_>>().concat();
        self.write("connections", &lines);
        self.run(&["appear", "5000"]);
    }

    fn config_port(&self) -> u16 {
        fs::read_to_string(self.path("port")).unwrap().trim().parse().unwrap()
    }

    /// Runs the script itself.
    pub fn run(&self, words: &[&str]) {
        let status = std::process::Command::new(self.path("iris")).args(words).status().unwrap();
        assert!(status.success());
    }

    pub fn prepare(&self) -> Result<Prepared, Failure> {
        Ok(restart::prepare(&self.site(), &self.wish(RestartInstance::default()))?)
    }

    pub fn forecast(&self) -> Result<Forecast, Failure> {
        Ok(restart::forecast(&self.site(), &RestartInstance::default())?)
    }

    pub fn apply(&self, prepared: &Prepared) -> Result<Applied, Failure> {
        self.apply_within(prepared, Duration::from_mins(1), &|| Ok(()))
    }

    pub fn apply_within(
        &self,
        prepared: &Prepared,
        limit: Duration,
        last_look: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<Applied, Failure> {
        self.apply_as(prepared, RestartInstance::default(), limit, last_look)
    }

    /// As a command wants it.
    pub fn apply_as(
        &self,
        prepared: &Prepared,
        restart: RestartInstance,
        limit: Duration,
        last_look: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<Applied, Failure> {
        let began = Instant::now();
        let remaining = || limit.saturating_sub(began.elapsed());
        let limits = Limits { last_look, remaining: &remaining };
        let wish = self.wish(restart);
        restart::bring_up(&self.site().within(limit), &Former::of(prepared).unwrap(), &wish, limits)
    }

    /// The next attempt, after a person was asked again, and agreed.
    pub fn force_as(
        &self,
        prepared: &Prepared,
        restart: RestartInstance,
        last_look: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<Applied, Failure> {
        let began = Instant::now();
        let limit = Duration::from_mins(1);
        let remaining = || limit.saturating_sub(began.elapsed());
        let wish = Wish { force_agreed: true, ..self.wish(restart) };
        let limits = Limits { last_look, remaining: &remaining };
        restart::bring_up(&self.site().within(limit), &Former::of(prepared).unwrap(), &wish, limits)
    }

    /// As the loop does it: recorded, then done.
    pub fn restart(&self) -> Result<(Prepared, Applied), Failure> {
        let prepared = self.prepare()?;
        let applied = self.apply(&prepared)?;
        Ok((prepared, applied))
    }

    pub fn restart_as(&self, restart: RestartInstance) -> Result<Applied, Failure> {
        self.apply_as(&self.prepare()?, restart, Duration::from_mins(1), &|| Ok(()))
    }

    pub fn probe(&self, prepared: &Prepared) -> Probe {
        let former = Former::of(prepared).unwrap();
        restart::probe(&self.site(), &former).unwrap()
    }

    fn wish(&self, restart: RestartInstance) -> Wish<'_> {
        Wish { restart, step: &self.step, is_undo: false, force_agreed: false }
    }

    fn record(&self) -> Record {
        Record::of(&self.site(), &key("restart-undo"))
    }

    pub fn undo(&self, done: &Prepared) -> Result<Applied, Failure> {
        let limits = Limits { last_look: &|| Ok(()), remaining: &|| Duration::from_mins(1) };
        undo::undo(&self.site(), &self.record(), done, &key("restart-undo"), limits)
    }

    pub fn probe_undo(&self, done: &Prepared) -> Probe {
        undo::probe(&self.site(), &self.record(), done).unwrap()
    }
}

pub fn key(step: &str) -> StepKey {
    StepKey {
        remediation_id: "0a1b2c3d-0000-4000-8000-000000000001".parse().unwrap(),
        step_id: step.parse().unwrap(),
    }
}

/// A figure of a result.
pub fn figure(applied: &Applied, name: &str) -> Option<u64> {
    let (_, change) = applied.changes.iter().find(|(known, _)| known == name)?;
    change.new_value.as_ref()?.parse().ok()
}

pub fn code(failure: &Failure) -> &str {
    &failure.cause().code
}

/// Where an instance tells its metrics in which no transaction is open.
fn nobody_works_there() -> String {
    static PORT: OnceLock<users::WebPort> = OnceLock::new();
    PORT.get_or_init(|| users::WebPort::new("iris_trans_open_count 0\n")).url.clone()
}

/// Written once, before any test starts a process: a program that is open for writing anywhere cannot be run.
fn program() -> PathBuf {
    static PROGRAM: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("iris.sh");
        fs::write(&path, include_str!("iris.sh")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        folder
    });
    folder.path().join("iris.sh")
}
