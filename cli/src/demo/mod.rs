//! `instance demo`: an instance breaks, and is healed over the bus by services that know nothing of the demo.
//!
//! Invariant: the demo breaks, watches, and says yes to the restart as an operator does. It repairs nothing, and
//! publishes nothing but that answer.
//! Invariant: healed is what the [`checker`] says, which uses no code of the services.
//! Invariant: no process is left behind, whatever ends the demo; of files only the run folder.

pub mod checker; // Read this first: what healed means.

mod choice; // What a seed stands for.
mod world; // The instance, its host, and how it is broken.

mod claims;
mod conduct; // From the fault to the end of the remediation.
mod operator;
mod progress;
mod report;
pub mod services;

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use instance_bus::Bus;
use jiff::tz::TimeZone;

use self::{
    checker::{Effects, Fault, Snapshot},
    choice::Choice,
    conduct::{Conductor, Run},
    progress::Progress,
    report::Report,
    services::ServiceLogs,
    world::World,
};
use crate::{
    exit::{Exit, Stop},
    online,
    session::Session,
    up::{Signals, guard::Guard, nats, pipeline, ports, supervisor::Supervisor},
};

const EXAMPLES: &str = "\
Examples:
  instance demo                          Too small a cache: config change, approved restart, proof.
  instance demo --seed 2                 Another fault, other values: seeds choose one of three.
  instance demo --break-midway           The router is killed after the first step.
  instance demo --sabotage verify        One agent lies; the demo must find out and fail.
  instance demo --seed 2 --real-kernel   Huge pages of this very host (as root), put back at the end.

Ends with 0 only when the instance is healed; 4 when it only seems so, 5 when everything was taken back.";

/// Break a stand-in instance, heal it over the bus, prove it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Chooses one of three faults and its values; 1 without it
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Kill the router after the first step; each effect must still be done once
    #[arg(long, conflicts_with = "sabotage")]
    break_midway: bool,
    /// Let one agent lie
    #[arg(long, value_name = "WHO")]
    sabotage: Option<Liar>,
    /// Use the kernel of this host instead of a made-up one, for the fault of huge pages
    #[arg(long)]
    real_kernel: bool,
    /// Keep the bus's store in the run folder too; without it only a demo that failed keeps it
    #[arg(long)]
    keep: bool,
    /// Run folder [default: run/demo-SEED-TIME]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Who lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Liar {
    /// config-agent says that it has changed the CPF, and has not.
    Config,
    /// os-agent says that it has set the kernel value, and has not.
    Os,
    /// restart-agent says that it has restarted the instance, and has not.
    Restart,
    /// The verifying agent says that all is well, while the cause is back.
    Verify,
}

impl Liar {
    /// The lie that a service is to tell, if it is the liar.
    pub fn told_by(self, service: &str, choice: &Choice) -> Option<&'static str> {
        let (agent, lie) = match self {
            Self::Config => ("config-agent", "apply"),
            Self::Os => ("os-agent", "apply"),
            Self::Restart => ("restart-agent", "apply"),
            Self::Verify => (choice.fault.agent(), "verify"),
        };
        (agent == service).then_some(lie)
    }
}

/// Longer than any start of a service here takes.
const READY: Duration = Duration::from_secs(30);
/// The instance is watched this long after the end: some passes of its write daemon.
const WATCH: Duration = Duration::from_millis(3500);

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let choice = choose(args)?;
    pipeline::all_programs()?;
    let folder = make_folder(args, choice.seed)?;
    let progress = Progress::begin(session.global.quiet);
    let world = World::make(&folder, choice, args.real_kernel)?;
    progress.say(&format!("seed {}: {}", choice.seed, world.choice().story()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(on_stage(args, &folder, &world, &progress));
    // Before anything is said: an error must leave no process either.
    let ended = world.end();
    drop(world);
    let report = outcome?;
    ended?;
    if !args.keep && report.exit() == Exit::Done {
        // The story is in the report; the bus's store is of no use to anybody any more.
        let _ = fs::remove_dir_all(folder.join("nats/store"));
    }
    report.write(&folder)?;
    report.print(session)?;
    Ok(report.exit())
}

fn choose(args: &Args) -> Result<Choice> {
    let seed = match (args.seed, args.sabotage, args.real_kernel) {
        (Some(seed), ..) => seed,
        (None, Some(liar), _) => Choice::seed_for(liar),
        (None, None, true) => Choice::seed_for(Liar::Os),
        (None, None, false) => choice::DEFAULT_SEED,
    };
    let choice = Choice::of(seed);
    let acts = |agent: &str| choice.fault.agent() == agent || agent == "restart-agent";
    let liar = args.sabotage.and_then(|liar| {
        ["config-agent", "os-agent", "restart-agent"]
            .into_iter()
            .find(|agent| liar.told_by(agent, &choice).is_some())
    });
    if let Some(idle) = liar.filter(|agent| !acts(agent)) {
        let text = format!("with seed {seed} the {idle} has nothing to do, so it cannot lie");
        return Err(Stop::new(Exit::Usage, text).next("leave --seed out, and a fitting one is taken").into());
    }
    if args.real_kernel && choice.fault != Fault::HugePages {
        let text = format!("--real-kernel is for the fault of huge pages, and seed {seed} is another one");
        return Err(Stop::new(Exit::Usage, text).next("take seed 2, 5, 8 ... or leave it out").into());
    }
    Ok(choice)
}

fn make_folder(args: &Args, seed: u64) -> Result<PathBuf> {
    let folder = args.dir.clone().unwrap_or_else(|| {
        let time = online::now().to_zoned(TimeZone::system()).strftime("%Y%m%d-%H%M%S");
        let name = |number: u32| match number {
            1 => format!("run/demo-{seed}-{time}"),
            number => format!("run/demo-{seed}-{time}-{number}"),
        };
        // Two demos in one second are two folders.
        let free = (1..10_000).map(|number| PathBuf::from(name(number))).find(|path| !path.exists());
        free.expect("nobody starts ten thousand demos in a second")
    });
    if folder.join("iris").exists() {
        let text = format!("\"{}\" holds a demo already", folder.display());
        return Err(Stop::new(Exit::Usage, text).next("name another folder with --dir").into());
    }
    fs::create_dir_all(&folder).with_context(|| format!("could not make \"{}\"", folder.display()))?;
    fs::canonicalize(&folder).with_context(|| format!("could not open \"{}\"", folder.display()))
}

/// Everything between the first and the last process.
async fn on_stage(args: &Args, folder: &Path, world: &World, progress: &Progress) -> Result<Report> {
    let mut signals = Signals::install()?;
    let last = world.last_command();
    let last: Vec<&OsStr> = last.iter().map(OsString::as_os_str).collect();
    let logs = Arc::new(ServiceLogs::new(folder)?);
    let guard = Guard::start(&last).context("could not start a shell")?;
    let mut supervisor = Supervisor::new(guard, logs.clone());
    let played = tokio::select! {
        played = play(args, folder, world, progress, &mut supervisor, &logs) => played,
        () = signals.next() => Err(Stop::new(Exit::Failure, "stopped by a signal").into()),
    };
    progress.say("draining the services");
    tokio::select! {
        () = supervisor.drain(&pipeline::DRAIN_ORDER, services::DRAIN) => {}
        () = signals.next() => {}
    }
    supervisor.stop_now().await;
    let mut report = played?;
    report.memory =
        supervisor.states().iter().map(|(name, state)| (*name, state.peak_kb, state.starts)).collect();
    report.wall = progress.elapsed();
    Ok(report)
}

async fn play(
    args: &Args,
    folder: &Path,
    world: &World,
    progress: &Progress,
    supervisor: &mut Supervisor,
    logs: &ServiceLogs,
) -> Result<Report> {
    let bus = start(args, folder, world, progress, supervisor, logs).await?;
    world.start()?;
    world.break_it()?;
    let choice = world.choice();
    let broken = conduct::wait_until_broken(world, progress).await?;
    let writes = checker::Writes::of(&world.huge_pages());
    let conductor = Conductor { bus, world, progress, args };
    let run: Run = conductor.watch(supervisor).await?;
    progress.say(&format!("watching the instance for {:.1} s", WATCH.as_secs_f64()));
    let observed = look(world)?;
    tokio::time::sleep(WATCH).await;
    let now = look(world)?;
    let verdict = checker::judge(choice.fault, &broken, &observed, &now);
    let effects = Effects::between(&broken, &now, writes.count());
    drop(writes);
    let lies = claims::lies(&run.claims, &broken, &verdict);
    Ok(Report {
        choice: *choice,
        sabotage: args.sabotage,
        midway: args.break_midway.then_some(report::Midway { effects, killed: run.router_killed }),
        run,
        differences: checker::differences(&broken, &now),
        verdict,
        lies,
        folder: folder.to_owned(),
        backups: now.backups.iter().map(|name| world.site.instance.join(name)).collect(),
        messages_log: world.messages_log(),
        memory: Vec::new(),
        wall: Duration::ZERO,
    })
}

/// The bus and every service, ready for work.
async fn start(
    args: &Args,
    folder: &Path,
    world: &World,
    progress: &Progress,
    supervisor: &mut Supervisor,
    logs: &ServiceLogs,
) -> Result<Bus> {
    let port = ports::free_port()?;
    let url = format!("nats://127.0.0.1:{port}");
    let bus = nats::start(supervisor, nats::server(folder, port)?, &url).await?;
    let made = nats::init(&bus).await?;
    progress
        .say(&format!("NATS {} on port {port}, {made} streams, consumers and buckets", bus.server_version()));
    let programs = services::programs(folder, world, &url, args.sabotage, world.choice())?;
    let names: Vec<&str> = programs.iter().map(|program| program.name).collect();
    progress.say(&format!("starting {}", names.join(", ")));
    for program in programs {
        supervisor.start(program);
    }
    services::ready(supervisor, logs, READY).await?;
    if let Some(liar) = args.sabotage {
        services::lie_is_on(logs, liar, world.choice())?;
        progress.say(&format!("sabotage: {liar:?} lies").to_lowercase());
    }
    Ok(bus)
}

fn look(world: &World) -> Result<Snapshot> {
    Snapshot::take(&world.site).context("could not look at the instance")
}
