//! The pipeline of one scenario: a bus and every service, as `instance up` runs them, in a folder of their own.
//!
//! Invariant: what they are given names instance, host and bus, and nothing of the scenario.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use instance_bus::Bus;
use instance_scenario::Scenario;

use super::world::World;
use crate::{
    demo::services::{self, ServiceLogs},
    up::{
        guard::Guard,
        instances::Found,
        nats, pipeline, ports,
        settings::{File, SERVICES},
        supervisor::{Program, State, Supervisor},
    },
};

/// A name of its own, so that nobody takes the made-up host for the real one.
pub const HOST: &str = "chaos";
/// For how long a condition must stay silent before it counts as cured, in seconds: a pass of the write daemon and more.
const QUIET_SECONDS: i64 = 2;
/// A start of seven debug programs beside others on two cores.
const READY: Duration = Duration::from_mins(2);

/// What runs.
pub struct Pipeline {
    pub bus: Bus,
    pub logs: Arc<ServiceLogs>,
    supervisor: Supervisor,
}

/// The services that were started, before they are ready.
pub struct Starting {
    pub pipeline: Pipeline,
}

/// What the services are for.
pub struct Served {
    /// The `iris` program of all of them.
    pub iris: PathBuf,
    /// `/proc` of the made-up host.
    pub host: PathBuf,
    pub instances: Vec<Found>,
    /// The generator reads the instances' logs; without it nobody publishes but who replays a record.
    pub tails: bool,
    /// Base URL of a model that the analyst may ask.
    pub model: Option<String>,
    /// What a shell does when this process was killed.
    pub last: Vec<OsString>,
}

impl Pipeline {
    /// For the one instance of a scenario; `tails` as in [`Served`].
    pub async fn start(
        world: &World,
        scenario: &Scenario,
        folder: &Path,
        tails: bool,
        model: Option<&str>,
    ) -> Result<Starting> {
        let served = Served {
            iris: world.iris(),
            host: world.host().to_owned(),
            instances: vec![Found { name: world.name().to_owned(), folder: world.instance() }],
            tails,
            model: model.map(str::to_owned),
            last: world.last_command(scenario),
        };
        Self::start_for(&served, folder).await
    }

    /// Starts the bus, lays it out, and starts the services.
    pub async fn start_for(served: &Served, folder: &Path) -> Result<Starting> {
        fs::create_dir_all(folder).with_context(|| format!("could not make \"{}\"", folder.display()))?;
        let logs = Arc::new(ServiceLogs::new(folder)?);
        let last: Vec<_> = served.last.iter().map(OsString::as_os_str).collect();
        let guard = Guard::start(&last).context("could not start a shell")?;
        let mut supervisor = Supervisor::new(guard, logs.clone());
        match begin(served, folder, &mut supervisor).await {
            Ok(bus) => Ok(Starting { pipeline: Self { bus, logs, supervisor } }),
            Err(error) => {
                supervisor.stop_now().await;
                Err(error)
            }
        }
    }

    /// What is known of each service.
    pub fn states(&self) -> BTreeMap<&'static str, State> {
        self.supervisor.states()
    }

    /// Kills a service, and waits until it runs again.
    pub async fn crash(&mut self, service: &str) {
        self.supervisor.crash(service).await;
    }

    /// Ends every service, at once: what they have done stands in the log and in the world.
    pub async fn stop(mut self) {
        self.supervisor.stop_now().await;
    }
}

impl Starting {
    /// Until every service is ready for work.
    pub async fn ready(mut self) -> Result<Pipeline> {
        let outcome = services::ready(&self.pipeline.supervisor, &self.pipeline.logs, READY).await;
        if let Err(error) = outcome {
            self.pipeline.supervisor.stop_now().await;
            return Err(error);
        }
        Ok(self.pipeline)
    }
}

async fn begin(served: &Served, folder: &Path, supervisor: &mut Supervisor) -> Result<Bus> {
    let port = ports::free_port()?;
    let url = format!("nats://127.0.0.1:{port}");
    let bus = nats::start(supervisor, nats::server(folder, port)?, &url).await?;
    nats::init(&bus).await?;
    for program in programs(served, folder, &url)? {
        supervisor.start(program);
    }
    Ok(bus)
}

fn programs(served: &Served, folder: &Path, url: &str) -> Result<Vec<Program>> {
    let found = &served.instances[..];
    let tailed = if served.tails { found } else { &[] };
    let mut programs = Vec::new();
    for name in SERVICES {
        let mut file = File::read(name, None)?;
        file.set_common("host", HOST).set_in("nats", "url", url).keep_state_in(folder);
        file.serve(&served.iris, if name == "generator" { tailed } else { found });
        match name {
            "router" => {
                file.set("policy", policy()).set("name", "router-chaos");
            }
            "generator" => {
                file.set("poll_ms", 50).set("quiet_ms", 200).set("start_at", "beginning");
            }
            pipeline::ANALYST => {
                if let Some(url) = &served.model {
                    file.set("model", model(url, folder));
                }
            }
            _ => {
                file.set("proc_root", served.host.to_string_lossy().into_owned());
            }
        }
        if name == "restart-agent" {
            file.set("restarts_per_hour", 60).set("minutes_between_restarts", 0);
            // Most stand-ins have no web server, as new installations have none, so their transactions cannot be seen; and
            // nobody works there.
            file.set("when_users_stay", "stop");
        }
        if name == "os-agent" {
            file.set("sysctl_dir", drop_ins(folder)?.to_string_lossy().into_owned());
        }
        programs.push(pipeline::service(name, &file.write(folder)?, url)?);
    }
    for program in &mut programs {
        program.clean_environment = true;
    }
    Ok(programs)
}

/// One provider, and no memory that another scenario could have filled.
fn model(url: &str, folder: &Path) -> toml::Value {
    let table = |pairs: [(&str, toml::Value); 3]| {
        toml::Value::Table(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let provider = table([("name", "chaos".into()), ("base_url", url.into()), ("model", "chaos".into())]);
    table([
        ("folder", folder.join("model").to_string_lossy().into_owned().into()),
        ("show_entries", true.into()),
        ("providers", toml::Value::Array(vec![provider])),
    ])
}

/// The testing profile: nobody is asked, and restarts need not wait for one another.
fn policy() -> toml::Value {
    let rules: [(&str, toml::Value); 5] = [
        ("approve_restarts", false.into()),
        ("approve_dangerous", false.into()),
        ("quiet_seconds", QUIET_SECONDS.into()),
        ("restarts_per_hour", 60.into()),
        ("minutes_between_restarts", 0.into()),
    ];
    toml::Value::Table(rules.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn drop_ins(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("sysctl.d");
    fs::create_dir_all(&path).with_context(|| format!("could not make \"{}\"", path.display()))?;
    Ok(path)
}
