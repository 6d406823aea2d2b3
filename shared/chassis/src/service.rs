//! What `main` says: the service's name, its settings, its one function.

use std::error::Error;
use std::ffi::OsString;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use instance_clock::{Clock, SystemClock};
use instance_telemetry::{ProcessParent, Telemetry, error_chain};
use serde::de::DeserializeOwned;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::arguments::{self, Arguments, Purpose};
use crate::context::Context;
use crate::drain::Drain;
use crate::endpoint::Endpoint;
use crate::exit::{BAD_CONFIGURATION, Ending};
use crate::lifecycle::{self, Begin, Run};
use crate::notify::Supervisor;
use crate::readiness::Readiness;
use crate::settings::{self, Fault, Faults, Layered, Settings, Sources};

/// Where a machine's settings files lie.
const SYSTEM_FOLDER: &str = "/etc/instance";
/// For what is still in memory when everything else has ended.
const TELEMETRY_FLUSH: Duration = Duration::from_secs(5);
/// Threads for work that blocks; one more waits until a thread is free. (Steps of agents have threads of their own.)
const MOST_BLOCKING: usize = 64;
/// For blocking work that nobody waits for any more.
const RUNTIME_END: Duration = Duration::from_secs(1);

/// One of our processes.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    name: &'static str,
    description: &'static str,
    version: &'static str,
}

impl Service {
    /// `name` is the folder under `services/`; it also names the settings table, the file under `/etc/instance` and the
    /// connection.
    pub fn named(name: &'static str) -> Self {
        // One version for the whole workspace, ours too.
        Self { name, description: "a service of Instance", version: env!("CARGO_PKG_VERSION") }
    }

    /// One line for `--help`: what it does.
    #[must_use]
    pub fn describe(self, description: &'static str) -> Self {
        Self { description, ..self }
    }

    /// The type of the service's own table. It must refuse unknown fields; what it does not default is required.
    pub fn config<C>(self) -> Configured<C> {
        Configured { service: self, config: PhantomData }
    }
}

/// One of our processes, with the type of its settings.
pub struct Configured<C> {
    service: Service,
    config: PhantomData<fn() -> C>,
}

impl<C: DeserializeOwned + Send + 'static> Configured<C> {
    /// Reads the command line and the settings, starts telemetry, connects, calls `run`, and waits for the drain.
    ///
    /// Returns the exit code: 0 drained, 1 failed, 2 wrong usage, 7 bus unreachable with `--no-wait`, 78 bad settings,
    /// 130 or 143 cut off by a second signal or at the end of the grace period.
    pub fn run<F, Fut, E>(self, run: F) -> ExitCode
    where
        F: FnOnce(Context<C>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Error + Send + Sync + 'static,
    {
        // A variable that is not UTF-8 cannot be one of ours.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        self.run_with(std::env::args_os(), environment.collect(), run)
    }

    fn run_with<F, Fut, E>(
        self,
        line: impl IntoIterator<Item = OsString>,
        environment: Vec<(String, String)>,
        run: F,
    ) -> ExitCode
    where
        F: FnOnce(Context<C>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Error + Send + Sync + 'static,
    {
        let service = self.service;
        let arguments = match arguments::parse(service.name, service.description, service.version, line) {
            Ok(arguments) => arguments,
            Err(answer) => return answered(&answer),
        };
        if arguments.purpose == Purpose::PrintSchema {
            return printed(&format!("{:#}\n", settings::schema::<C>(service.name)));
        }
        let sources = sources(service.name, &arguments, environment);
        let (settings, layered) = match settings::read::<C>(&sources) {
            Ok(read) => read,
            Err(faults) => return refused(&faults),
        };
        match arguments.purpose {
            Purpose::CheckSettings => ExitCode::SUCCESS,
            Purpose::PrintSettings => printed(&settings::print(&settings, &layered)),
            Purpose::Serve | Purpose::PrintSchema => {
                serve(service, settings, &layered, &sources, &arguments, run)
            }
        }
    }
}

fn sources<'a>(service: &'a str, arguments: &Arguments, environment: Vec<(String, String)>) -> Sources<'a> {
    Sources {
        service,
        system_file: Some(PathBuf::from(SYSTEM_FOLDER).join(format!("{service}.toml"))),
        config_file: arguments.config_file.clone(),
        profile: arguments.profile.clone(),
        environment,
        assignments: arguments.assignments.clone(),
    }
}

fn serve<C, F, Fut, E>(
    service: Service,
    settings: Settings<C>,
    layered: &Layered,
    sources: &Sources<'_>,
    arguments: &Arguments,
    run: F,
) -> ExitCode
where
    C: Send + 'static,
    F: FnOnce(Context<C>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Error + Send + Sync + 'static,
{
    let process_id = Uuid::new_v4();
    let who = instance_telemetry::Service {
        role: service.name,
        version: service.version,
        host: settings.host.as_str(),
        process_id,
        profile: layered.profile.as_deref(),
    };
    for secret in settings.bus.secrets() {
        instance_redaction::learn(&secret);
    }
    let telemetry = match instance_telemetry::start(&who, &settings.telemetry, &|name| sources.variable(name))
    {
        Ok(telemetry) => telemetry,
        Err(error) => {
            let mut faults = Faults::default();
            faults.add(Fault::about("telemetry", error_chain(&error)));
            return refused(&faults);
        }
    };
    instance_bus::tell_in_full(telemetry.exports_traces());
    instance_bus::continue_traces(settings.telemetry.process_parent == ProcessParent::Creation);
    let profile = layered.profile.as_deref().unwrap_or("none");
    tracing::info!(version = service.version, host = who.host, %process_id, profile, dry_run = settings.dry_run, "started");
    let supervisor = Supervisor::at(sources.variable("NOTIFY_SOCKET"))
        .watched(sources.variable("WATCHDOG_USEC").as_deref(), sources.variable("WATCHDOG_PID").as_deref());
    let wait_for_bus = arguments.wait_for_bus;
    let (prepared, begin) = prepare(service, settings, process_id, &telemetry, wait_for_bus, supervisor);
    let ending = in_runtime(lifecycle::live(prepared, begin, run));
    tracing::info!(exit_code = ending.code(), "ended");
    if let Err(error) = telemetry.shutdown(TELEMETRY_FLUSH) {
        tracing::warn!(error = error_chain(&error), "telemetry was lost");
    }
    ending.into()
}

fn prepare<C: Send + 'static>(
    service: Service,
    settings: Settings<C>,
    process_id: Uuid,
    telemetry: &Telemetry,
    wait_for_bus: bool,
    supervisor: Supervisor,
) -> (Run, Begin<C>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (drain, tasks) = (Drain::new(), TaskTracker::new());
    let Settings { own: config, bus: resolved, host, grace, carriers, dry_run, telemetry: told, .. } =
        settings;
    let readiness = Readiness::new(drain.clone());
    let endpoint = Endpoint { readiness: readiness.clone(), resource: telemetry.resource().to_vec() };
    let given = (clock.clone(), drain.clone(), readiness, tasks.clone());
    let begin = move |bus| {
        let (clock, drain, readiness, tasks) = given;
        Context {
            config,
            bus,
            clock,
            drain,
            readiness,
            tasks,
            name: service.name,
            process_id,
            host,
            carriers,
            dry_run,
        }
    };
    let run = Run {
        name: service.name,
        clock,
        bus: resolved,
        wait_for_bus,
        drain,
        tasks,
        grace: Duration::from_secs(grace.0),
        supervisor,
        listen: told.listen,
        endpoint: Arc::new(endpoint),
    };
    (run, Box::new(begin))
}

fn in_runtime(life: impl Future<Output = Ending>) -> Ending {
    // One connection and short tasks: another thread would only add hand-overs. Tasks take turns in the order in which
    // they were woken, so the connection comes after those that have something to send, and sends it in one piece.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.max_blocking_threads(MOST_BLOCKING);
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "could not start the async runtime");
            return Ending::Failed;
        }
    };
    let ending = runtime.block_on(life);
    runtime.shutdown_timeout(RUNTIME_END);
    ending
}

/// Help and version on stdout, a usage error on stderr; both know their exit code.
fn answered(answer: &clap::Error) -> ExitCode {
    // Whoever closed the pipe does not want to read it.
    let _closed = answer.print();
    u8::try_from(answer.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn printed(page: &str) -> ExitCode {
    match std::io::Write::write_all(&mut std::io::stdout(), page.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Telemetry is not there yet, so faults go to stderr as plain lines.
fn refused(faults: &Faults) -> ExitCode {
    for fault in faults.iter() {
        eprintln!("{fault}");
    }
    ExitCode::from(BAD_CONFIGURATION)
}
