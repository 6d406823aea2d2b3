//! Where a story happens: a server, an instance, a router and three agents in one temporary folder.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Display,
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use instance_bus::{Bus, Headers};
use instance_contract::{CommandAnswer, subject};
use instance_testkit::NatsServer;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    crowd,
    point::Service,
    processes::{Common, Guard, INSTANCE, Iris, Process, command, kill9, processes_of},
    scenario::{FREE, Scenario, Wish},
    unsettled::unsettled,
    witness::World,
};

/// As many as a new bus has.
const SHARDS: u16 = 4;
/// How many stories happen side by side.
const LANES: usize = 2;
/// Policy allows at most 60 restarts of an instance in an hour.
const RESTARTS: usize = 50;
/// With so much for global buffers the instance does not come up.
const BAD_MB: u32 = 600;
/// What the agents call.
const IRIS: &str = "iris-interposed";
/// While this is there, no stop gets through to the instance.
const NO_STOPS: &str = "no-stops";
/// The inode of the CPF at each stop, one a line.
pub const CPF_AT_STOPS: &str = "cpf-at-stops";
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Works off what is waiting, in as many lanes as there are. A failure is told at once, and its lane is left.
pub fn spread<T: Display + Send, R: Send>(
    work: Vec<T>,
    act: impl AsyncFn(&T, &mut Lane) -> Result<R, String> + Sync,
) -> Vec<(T, Result<R, String>)> {
    let waiting = Mutex::new(VecDeque::from(work));
    let done = Mutex::new(Vec::new());
    let work_off = || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut lane: Option<Lane> = None;
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(item) = next else { return };
            let outcome = runtime.block_on(async {
                let mut here = match lane.take().filter(|lane| lane.restarts < RESTARTS) {
                    Some(lane) => lane,
                    None => Lane::new().await,
                };
                let acted = tokio::time::timeout(Duration::from_mins(2), act(&item, &mut here)).await;
                let outcome = acted.unwrap_or_else(|_| Err("nothing more in two minutes".to_owned()));
                match &outcome {
                    Ok(_) => lane = Some(here),
                    Err(fault) => println!("FAILED {item}: {fault}\n{}", here.last_words()),
                }
                outcome
            });
            done.lock().unwrap_or_else(PoisonError::into_inner).push((item, outcome));
        }
    };
    std::thread::scope(|scope| (0..LANES).for_each(|_| drop(scope.spawn(work_off))));
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Stands between the agents and the `iris` program: notes which file the CPF is whenever the instance is to stop (the
/// instance itself writes its CPF anew when it starts), lets nothing start with [`BAD_MB`] of global buffers, and nothing
/// stop while [`NO_STOPS`] is there.
fn interpose(iris: &Iris, folder: &Path) {
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in\nstop) stat -c %i '{cpf}' >>'{notes}'; [ ! -e '{no_stops}' ] || exit 0 ;;\nstart) if grep -q '^globals=0,0,{BAD_MB},' \
         '{cpf}'; then echo 'too little memory'; exit 1; fi ;;\nesac\nexec '{program}' \"$@\"\n",
        cpf = iris.cpf_path().display(),
        notes = folder.join(CPF_AT_STOPS).display(),
        no_stops = folder.join(NO_STOPS).display(),
        program = iris.program().display(),
    );
    fs::write(folder.join(CPF_AT_STOPS), "").unwrap();
    fs::write(folder.join(IRIS), script).unwrap();
    fs::set_permissions(folder.join(IRIS), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Everything that runs. Dropping it ends all of it.
pub struct Lane {
    services: BTreeMap<Service, Process>,
    pub iris: Iris,
    pub bus: Bus,
    pub client: async_nats::Client,
    server: NatsServer,
    policy: &'static str,
    /// Counts wishes, so that each wants something new.
    wishes: u32,
    restarts: usize,
    _guard: Guard,
    folder: TempDir,
}

impl Lane {
    pub async fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("instance-crash-").tempdir().unwrap();
        let guard = Guard::over(folder.path());
        for name in ["logs", "state", "home", "sysctl.d"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let server = NatsServer::start();
        let bus = instance_testkit::bus(&server).await;
        let client = async_nats::connect(server.url()).await.unwrap();
        let iris = Iris::create(&folder.path().join("iris"), &["--globals", "256"]);
        iris.start();
        interpose(&iris, folder.path());
        let mut lane = Self {
            services: BTreeMap::new(),
            iris,
            bus,
            client,
            server,
            policy: FREE,
            wishes: 0,
            restarts: 0,
            _guard: guard,
            folder,
        };
        for service in Service::ALL {
            lane.start(service, &[]);
        }
        for service in Service::ALL {
            lane.ready(service).await.unwrap();
        }
        lane
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn world(&self) -> World {
        World::look(&self.iris, self.folder.path())
    }

    pub fn world_at_rest(&self) -> World {
        World::at_rest(&self.iris, self.folder.path())
    }

    /// What stands beside the CPF while somebody writes a new one.
    pub fn held_draft(&self) -> File {
        let draft = File::create(self.iris.cpf_path().with_file_name(".iris.cpf_instance_new")).unwrap();
        draft.try_lock().unwrap();
        draft
    }

    /// Lets the made-up host show the processes of the instance, or none.
    pub fn show_processes(&self, shown: bool) {
        crowd::hide(&self.iris);
        if shown {
            crowd::show(&self.iris, self.folder.path());
        }
    }

    /// From now on the instance does not stop when it is asked to, or does.
    pub fn hold_stops(&self, held: bool) {
        let file = self.path(NO_STOPS);
        if held {
            fs::write(file, "").unwrap();
        } else if file.exists() {
            fs::remove_file(file).unwrap();
        }
    }

    /// Takes away what keeps the kernel value over a reboot, as an operator may.
    pub fn forget_drop_in(&self) {
        // It may not be there.
        let _ = fs::remove_file(self.path("sysctl.d/90-instance-vm.swappiness.conf"));
    }

    /// Whoever was about to write the CPF thinks better of it, and tidies up.
    pub fn let_go(&self, draft: File) {
        fs::remove_file(self.iris.cpf_path().with_file_name(".iris.cpf_instance_new")).unwrap();
        drop(draft);
    }

    /// Starts a service, with variables of its own; one of its name that still runs is killed.
    pub fn start(&mut self, service: Service, variables: &[(&str, String)]) {
        self.services.remove(&service);
        let (url, program) = (self.url(), self.path(IRIS));
        let common =
            Common { folder: self.folder.path(), url: &url, iris: &self.iris, iris_command: &program };
        let text = match service {
            Service::Router => {
                let often = "restarts_per_hour = 60\nminutes_between_restarts = 0\n";
                common.router("a", &format!("{}{often}", self.policy))
            }
            agent => common.agent(agent.name()),
        };
        let file = self.path(&format!("{service}.toml"));
        fs::write(&file, text).unwrap();
        let mut command = command(&format!("instance-{service}"));
        command.arg("--config").arg(&file).env("HOME", self.path("home"));
        // Policy lets it happen in one scenario only.
        command.env("INSTANCE_RESTART_AGENT__ALLOW_FORCE", "true");
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let process = Process::start(service.name(), &self.path("logs"), &mut command);
        self.services.insert(service, process);
    }

    /// Waits until a service answers on the bus.
    pub async fn ready(&mut self, service: Service) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if !self.services.get_mut(&service).unwrap().is_running() {
                return Err(format!("{service} has ended before it was ready"));
            }
            let wait = Duration::from_millis(50);
            let found = self.bus.find_services(Some(service.name()), wait).await;
            if found.is_ok_and(|found| !found.is_empty()) {
                return Ok(());
            }
        }
        Err(format!("{service} does not answer"))
    }

    /// Waits until a service has died as by `kill -9`.
    pub async fn died(&mut self, service: Service) -> Result<(), String> {
        let process = self.services.get_mut(&service).unwrap();
        let deadline = Instant::now() + Duration::from_secs(40);
        while process.is_running() {
            if Instant::now() > deadline {
                return Err(format!("{service} did not die"));
            }
            tokio::time::sleep(PAUSE).await;
        }
        let status = process.ended(Duration::from_secs(1)).await;
        let killed = std::os::unix::process::ExitStatusExt::signal(&status) == Some(9);
        if killed { Ok(()) } else { Err(format!("{service} ended with {status}")) }
    }

    /// The policy of the router from now on.
    pub async fn follow(&mut self, policy: &'static str) -> Result<(), String> {
        if self.policy == policy {
            return Ok(());
        }
        self.policy = policy;
        self.start(Service::Router, &[]);
        self.ready(Service::Router).await
    }

    /// What the scenario's commands want, one after the other.
    pub fn wishes(&mut self, scenario: Scenario) -> Vec<Wish> {
        let one = |_| {
            self.wishes += 1;
            self.restarts += 2;
            let megabytes = if scenario == Scenario::Undo { BAD_MB } else { 256 + self.wishes };
            let moved = (scenario == Scenario::Moved).then(crowd::wanted);
            let live = scenario == Scenario::Live;
            let forced = scenario == Scenario::Forced;
            Wish { id: Uuid::new_v4(), kernel: self.wishes, globals_mb: megabytes, live, forced, moved }
        };
        (0..scenario.commands()).map(one).collect()
    }

    pub async fn publish(&self, wish: &Wish) {
        let subject = subject::command(&INSTANCE.parse().unwrap());
        let payload = wish.command().to_string().into_bytes();
        // Nobody listens there; that the router answers is what matters.
        let headers = Headers::new().with(CommandAnswer::REPLY_HEADER, &self.client.new_inbox());
        self.bus.publish_bytes(&subject, payload.into(), None, headers).await.unwrap();
    }

    /// Waits until every service answers, and nothing that was sent to one is unsettled.
    pub async fn at_rest(&mut self) -> Result<(), String> {
        for service in Service::ALL {
            self.ready(service).await?;
        }
        let deadline = Instant::now() + Duration::from_secs(45);
        loop {
            let unsettled = unsettled(&self.client, SHARDS).await.map_err(|error| error.to_string())?;
            if unsettled.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("still unsettled: {}", unsettled.join(", ")));
            }
            tokio::time::sleep(PAUSE * 10).await;
        }
    }

    /// The ends of all logs, for the message of a failed case.
    pub fn last_words(&self) -> String {
        let end = |text: String| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(12)..].join("\n")
        };
        let logs = self.services.values().map(|it| format!("--- {}\n{}\n", it.name(), end(it.log())));
        logs.chain([format!("--- messages.log\n{}\n", end(self.iris.log()))]).collect()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.services.clear();
        self.iris.force();
        for (pid, _) in processes_of(self.folder.path()) {
            kill9(pid);
        }
    }
}
