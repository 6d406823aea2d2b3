//! `instance up`: keeps the whole pipeline running on one machine.

pub mod gateway;
pub mod guard;
pub mod instances;
pub mod log_line;
pub mod nats;
pub mod pipeline;
pub mod ports;
pub mod programs;
pub mod settings;
pub mod supervisor; // Read this first: how children are kept and ended.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use instance_bus::{Bus, Resolved};
use instance_clock::SystemClock;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    guard::Guard,
    log_line::Weight,
    supervisor::{Program, Sink, Supervisor},
};
use crate::{
    exit::{Exit, Stop},
    session::{Session, Tone},
    settings::{Named, named, selected},
};

/// Where our own NATS server listens, unless --nats-port says otherwise.
const NATS_PORT: u16 = 4222;

const EXAMPLES: &str = "\
Examples:
  instance up                                      Own NATS server, the instances of `iris` on PATH.
  instance up --iris-command /tmp/sim/bin/iris     The instances of that program, e.g. of iris-sim.
  instance up --analyst                            Also decides what the entries of the logs call for.
  instance up --gateway                            Also HTTP at 127.0.0.1:8480 (docs/gateway.md).
  instance up --nats nats://10.0.0.1:4222          The services here, the bus there.
  instance up --nats-port 4223                     Own NATS server, whatever variables or files name.

A server that --context, INSTANCE_NATS__URL, NATS_URL, NATS_CONTEXT or a settings file names is used as one
that --nats names: the commands of this shell speak with it too. A context that is only selected is not.

Ctrl-C drains: each service finishes what it took. A second Ctrl-C stops at once.";

/// Keep the whole pipeline running on this machine
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder with a settings file for each service (`router.toml`, ...); the shipped ones without it
    #[arg(long, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    /// The `iris` program whose instances are served; `iris` on PATH without it
    #[arg(long, value_name = "FILE")]
    iris_command: Option<PathBuf>,
    /// Run folder: the settings in force, the bus's store, cursors and ledgers
    #[arg(long, value_name = "DIR", default_value = "run/up")]
    dir: PathBuf,
    /// Port of our own NATS server, which runs then even where another one is named [default: 4222]
    #[arg(long, value_name = "PORT", conflicts_with_all = ["nats", "context"])]
    nats_port: Option<u16>,
    /// Also run the analyst: known conditions become commands, or a person is called
    #[arg(long, alias = "respond")]
    analyst: bool,
    /// Also run the gateway: HTTP for one caller, whose token lies in the run folder
    #[arg(long)]
    gateway: bool,
    /// Pass on what the services log as it is
    #[arg(long)]
    raw_logs: bool,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(keep_up(args, session))
}

async fn keep_up(args: &Args, session: &Session) -> Result<Exit> {
    pipeline::all_programs()?;
    if args.gateway {
        programs::ours("instance-gateway")?;
    }
    fs::create_dir_all(&args.dir).with_context(|| format!("could not make \"{}\"", args.dir.display()))?;
    let run =
        fs::canonicalize(&args.dir).with_context(|| format!("could not open \"{}\"", args.dir.display()))?;
    let _lock = lock(&run)?;
    let mut signals = Signals::install()?;
    let sink = Arc::new(Terminal::new(session, args.raw_logs));
    let mut supervisor = Supervisor::new(Guard::start(&[]).context("could not start a shell")?, sink);
    let outcome = tokio::select! {
        started = start(args, session, &run, &mut supervisor) => started.map(|()| false),
        () = signals.next() => Ok(true),
    };
    let interrupted = match outcome {
        Ok(interrupted) => interrupted,
        Err(error) => {
            supervisor.stop_now().await;
            return Err(error);
        }
    };
    let hopeless = !interrupted && signals.next_unless_over(&supervisor).await;
    if hopeless {
        session.note("no service can work as it was started: correct what they have told above");
    }
    session.note("draining; Ctrl-C once more stops at once");
    let at_once = tokio::select! {
        () = supervisor.drain(&pipeline::DRAIN_ORDER, pipeline::GRACE) => false,
        () = signals.next() => true,
    };
    supervisor.stop_now().await;
    if at_once {
        session.note("stopped at once; what was under way is finished at the next start");
        return Ok(Exit::Failure);
    }
    Ok(if hopeless { Exit::BadConfiguration } else { Exit::Done })
}

/// Everything, in the order in which one needs the other.
async fn start(args: &Args, session: &Session, run: &Path, supervisor: &mut Supervisor) -> Result<()> {
    let (at, bus) = bus(args, session, run, supervisor).await?;
    let made = nats::init(&bus).await?;
    let (version, shown, by) = (bus.server_version(), bus.servers(), &at.by);
    session.note(format!("NATS {version} at {shown} ({by}), {made} streams and consumers made"));
    let served = served(args)?;
    for name in settings::SERVICES {
        if name == pipeline::ANALYST && !args.analyst {
            continue;
        }
        let mut file = settings::File::read(name, args.config_dir.as_deref())?;
        file.keep_state_in(run);
        match &served {
            Some((iris, instances)) => {
                file.serve(iris, instances);
            }
            None if args.config_dir.is_none() && settings::AGENTS.contains(&name) => continue,
            None if args.config_dir.is_none() => {
                file.serve(Path::new("/usr/bin/iris"), &[]);
            }
            None => {}
        }
        supervisor.start(on_bus(name, file, &at, run)?);
    }
    if args.gateway {
        let (file, token) = gateway::file(run, args.config_dir.as_deref())?;
        supervisor.start(on_bus(gateway::NAME, file, &at, run)?);
        if let Some(token) = token {
            session.note(format!("the gateway's token lies in {}", token.display()));
        }
    }
    tell(session, args, served.as_ref(), run);
    Ok(())
}

/// The server that somebody has named, or else one of our own: services and the commands of this shell meet there.
async fn bus(
    args: &Args,
    session: &Session,
    run: &Path,
    supervisor: &mut Supervisor,
) -> Result<(Named, Bus)> {
    let port = if let Some(port) = args.nats_port {
        // Settings that cannot be used are for those commands to tell that need them.
        if let Ok(Some(Named { by, .. })) = named(&session.global) {
            session.note(format!(
                "{by} names another NATS server: give the commands of this shell --nats nats://127.0.0.1:{port}"
            ));
        }
        port
    } else {
        if let Some(server) = named(&session.global)? {
            let connecting = Bus::connect(&server.resolved, "instance-up", Arc::new(SystemClock));
            let bus = connecting.await.with_context(|| {
                format!("could not use the NATS server of {} (--nats-port PORT starts an own one)", server.by)
            })?;
            return Ok((server, bus));
        }
        NATS_PORT
    };
    let url = format!("nats://127.0.0.1:{port}");
    if let Some(context) = selected() {
        session.note(format!(
            "the NATS context \"{context}\" is selected: give the commands of this shell --nats {url}"
        ));
    }
    let program = nats::server(run, port)?;
    let bus = nats::start(supervisor, program, &url).await?;
    let resolved = Resolved::at(&url);
    Ok((Named { url, by: "our own".to_owned(), identity: toml::Table::new(), resolved }, bus))
}

/// A service with its settings as they are written for it, on the server of this run.
fn on_bus(name: &'static str, mut file: settings::File, server: &Named, run: &Path) -> Result<Program> {
    // The service itself is told the whole address; the file is for people to read.
    file.set_in("nats", "url", server.resolved.servers());
    let identified = file.identify(&server.identity);
    let mut program = pipeline::quiet_service(name, &file.write(run)?, &server.url)?;
    // The flag --context is ours alone, and our variable would beat the service's file.
    let context = server.identity.get("context").and_then(toml::Value::as_str);
    if let Some(context) = context.filter(|_| identified) {
        program.variables.push(("INSTANCE_NATS__CONTEXT".into(), context.into()));
    }
    Ok(program)
}

type Served = (PathBuf, Vec<instances::Found>);

/// The instances of this host; `None`: whatever the settings files name.
fn served(args: &Args) -> Result<Option<Served>> {
    let iris = match &args.iris_command {
        Some(named) => std::path::absolute(named).context("could not resolve the iris program")?,
        None if args.config_dir.is_some() => return Ok(None),
        None => match programs::on_path("iris") {
            Some(found) => found,
            None => return Ok(None),
        },
    };
    let found = instances::of(&iris)?;
    if found.is_empty() {
        let none = format!("\"{} qlist\" knows no instance", iris.display());
        let next =
            "make one, e.g. with `instance-iris-sim create`, or name another program with --iris-command";
        return Err(Stop::new(Exit::NotFound, none).next(next).into());
    }
    Ok(Some((iris, found)))
}

fn tell(session: &Session, args: &Args, served: Option<&Served>, run: &Path) {
    match served {
        Some((iris, found)) => {
            let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
            session.note(format!("serving {} of {}", names.join(", "), iris.display()));
        }
        None if args.config_dir.is_none() => {
            session.note("no iris program on PATH, so no agent runs: name one with --iris-command");
        }
        None => {}
    }
    session.note(format!("settings, store and ledgers lie in {}", run.display()));
}

/// Two pipelines in one folder would share ledgers and cursors.
fn lock(run: &Path) -> Result<File> {
    let path = run.join("lock");
    let file = File::create(&path).with_context(|| format!("could not make \"{}\"", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let taken = format!("another `instance up` runs in \"{}\"", run.display());
            Err(Stop::new(Exit::Refused, taken).next("give this one another folder with --dir").into())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("could not lock \"{}\"", path.display()))
        }
    }
}

/// SIGINT and SIGTERM.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub fn install() -> Result<Self> {
        let listen = |kind| signal(kind).context("could not listen for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// The next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// The next one, or the end of all services: nothing is left to wait for then, and this is true. A NATS server of our
    /// own runs on, for nobody.
    async fn next_unless_over(&mut self, supervisor: &Supervisor) -> bool {
        let over = async {
            loop {
                let states = supervisor.states();
                let mut services = states.iter().filter(|(name, _)| **name != nats::NAME);
                if services.all(|(_, state)| state.given_up.is_some()) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
        };
        tokio::select! {
            () = self.next() => false,
            () = over => true,
        }
    }
}

/// Lines on our stderr, each with the service's name before it.
struct Terminal {
    raw: bool,
    color: bool,
}

impl Terminal {
    fn new(session: &Session, raw: bool) -> Self {
        // The session knows whether colour is wanted; a painted text differs then.
        Self { raw, color: session.paint(Tone::Good, "x") != "x" }
    }

    fn write(&self, service: &str, weight: Weight, text: &str) {
        let line = if self.color {
            // The same colour for a service every time: cyan, green, magenta, blue, yellow.
            let code = [36, 32, 35, 34, 33][service.bytes().map(usize::from).sum::<usize>() % 5];
            let text = match weight {
                Weight::Error => format!("\u{1b}[1;31m{text}\u{1b}[0m"),
                Weight::Warning => format!("\u{1b}[33m{text}\u{1b}[0m"),
                Weight::Plain => text.to_owned(),
            };
            format!("\u{1b}[{code}m{service:<13}\u{1b}[0m {text}\n")
        } else {
            format!("{service:<13} {text}\n")
        };
        // Nobody can be told that telling failed.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

impl Sink for Terminal {
    fn line(&self, service: &str, line: &[u8]) {
        if self.raw {
            self.write(service, Weight::Plain, &String::from_utf8_lossy(line));
        } else {
            let (weight, text) = log_line::shorten(line);
            self.write(service, weight, &text);
        }
    }

    fn remark(&self, service: &str, text: &str) {
        self.write(service, Weight::Warning, text);
    }
}
