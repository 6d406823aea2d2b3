//! Restarts of an instance that is a script: `iris.sh`, which answers as the real program does.

mod restarts;
mod settings;
mod told_and_done;
mod undos;

use std::{
    cell::RefCell,
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    sync::OnceLock,
    time::{Duration, Instant},
};

use instance_agent::InstanceSettings;
use instance_agent::{Applied, Prepared, Probe};
use instance_contract::{Failure, StepKey};

use crate::{
    config::Config,
    observe::Site,
    restart::{self, Former, Limits},
    undo::{self, Record},
};

/// One instance, running, with its `iris` program.
pub struct Stage {
    pub config: Config,
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
        };
        let config = Config {
            instances: vec![instance],
            iris_command: root.join("iris"),
            stop_seconds: 30,
            start_seconds: 30,
            proc_root: root.join("proc"),
            state_dir: root.join("state_dir"),
            fence_dir: root.join("fence"),
        };
        let number = port.local_addr().unwrap().port().to_string();
        let stage = Self { config, folder, port: RefCell::new(Some(port)) };
        for (name, text) in [
            ("state", "running"),
            ("since", "before"),
            ("health", "ok"),
            ("mirror", "^"),
            ("port", number.as_str()),
            ("iris.cpf", "[ConfigFile]\nVersion=2024.2\n[Startup]\nShutdownTimeout=20\n"),
        ] {
            stage.write(name, text);
        }
        stage.say("0 [Generic.Event] Allocated 504MB shared memory");
        stage.say("0 [Utility.Event] Enabling logons");
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
            self.write("iris.cpf", "[ConfigFile]\nVersion=2024.2\n");
        }
    }

    pub fn close_superserver(&self) {
        *self.port.borrow_mut() = None;
    }

    pub fn site(&self) -> Site<'_> {
        Site { config: &self.config, instance: &self.config.instances[0] }
    }

    /// What the program was asked to do, besides telling the state.
    pub fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    pub fn prepare(&self) -> Result<Prepared, Failure> {
        Ok(restart::prepare(&self.site())?)
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
        let began = Instant::now();
        let remaining = || limit.saturating_sub(began.elapsed());
        let limits = Limits { last_look, remaining: &remaining };
        restart::bring_up(&self.site(), &Former::of(prepared).unwrap(), limits)
    }

    /// As the loop does it: recorded, then done.
    pub fn restart(&self) -> Result<(Prepared, Applied), Failure> {
        let prepared = self.prepare()?;
        let applied = self.apply(&prepared)?;
        Ok((prepared, applied))
    }

    pub fn probe(&self, prepared: &Prepared) -> Probe {
        let former = Former::of(prepared).unwrap();
        restart::probe(&self.site(), &former).unwrap()
    }

    fn record(&self) -> Record {
        let key = StepKey {
            remediation_id: "0a1b2c3d-0000-4000-8000-000000000001".parse().unwrap(),
            step_id: "restart-undo".parse().unwrap(),
        };
        Record::of(&self.site(), &key)
    }

    pub fn undo(&self, done: &Prepared) -> Result<Applied, Failure> {
        let limits = Limits { last_look: &|| Ok(()), remaining: &|| Duration::from_mins(1) };
        undo::undo(&self.site(), &self.record(), done, limits)
    }

    pub fn probe_undo(&self, done: &Prepared) -> Probe {
        undo::probe(&self.site(), &self.record(), done).unwrap()
    }
}

pub fn code(failure: &Failure) -> &str {
    &failure.cause().code
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
