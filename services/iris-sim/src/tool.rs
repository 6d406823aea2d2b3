//! The `instance-iris-sim` program: makes instances and does to them what the world does.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use instance_clock::SystemClock;
use serde_json::json;

use crate::create::{self, NewHost, NewInstance};
use crate::shell::ask::{self, Request};
use crate::shell::cpf_file::CpfFile;
use crate::shell::gather;
use crate::shell::ids_file::IdsFile;
use crate::shell::process::user_name;
use crate::shell::registry::{Registered, Registry};
use crate::shell::rehearsal::{Rehearsal, Story};
use crate::shell::settings::{Settings, Workload};
use crate::shell::status_file::StatusFile;
use crate::world::Identity;
use crate::world::act::Daemon;
use crate::world::release::Release;

/// A stop takes seconds; a control process that answers nobody for so long hangs.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(50);

/// A stand-in IRIS instance: files, ports and the `iris` command of the real one.
#[derive(Debug, Parser)]
#[command(name = "instance-iris-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an instance; nothing is started.
    Create(Create),
    /// Change how much its users do between two passes of the write daemon; what is not named stays.
    Load {
        #[command(flatten)]
        which: Which,
        /// MB of blocks that they change.
        #[arg(long)]
        dirty_mb: Option<u64>,
        /// MB that go to the journal.
        #[arg(long)]
        journal_mb: Option<u64>,
        /// MB by which the database USER fills.
        #[arg(long)]
        database_mb: Option<u64>,
    },
    /// Kill one of its processes, as the OOM killer does.
    KillDaemon {
        #[command(flatten)]
        which: Which,
        /// CONTROL, WRTDMN, AUXWD, GARCOL, JRNDMN or EXPDMN.
        daemon: String,
    },
    /// Play a story without starting anything, and write the messages.log that would come of it: the same story, seed
    /// and instance give the same bytes.
    Rehearse {
        #[command(flatten)]
        which: Which,
        /// TOML: `begins_at`, `seconds`, and `events` with `at` and `do` (start, stop, terminate, load, connect,
        /// kill_daemon, disk).
        #[arg(long)]
        story: PathBuf,
        /// Folder for messages.log and alerts.log; those that are there already are replaced.
        #[arg(long)]
        out: PathBuf,
        /// In place of the instance's own.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Tell what a test wants to know, as JSON.
    Status {
        #[command(flatten)]
        which: Which,
        /// The only format there is.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Which {
    /// Folder of programs, registry and instances.
    #[arg(long)]
    dir: PathBuf,
    /// Name of the instance.
    #[arg(long)]
    name: String,
}

#[derive(Debug, Args)]
struct Create {
    #[command(flatten)]
    which: Which,
    /// Superserver port; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    superserver_port: u16,
    /// Port of the private web server; 0 takes a free one, 80 leaves it away.
    #[arg(long, default_value_t = 0)]
    web_port: u16,
    /// 8 KB global buffers in MB; 0 lets IRIS decide.
    #[arg(long, default_value_t = 256)]
    globals: u64,
    /// Where the host is looked at: `meminfo` and `sys/vm/nr_hugepages` below it.
    #[arg(long, default_value = "/proc")]
    host_root: PathBuf,
    /// Make that folder too, with an ordinary host in it.
    #[arg(long, requires = "host_root")]
    make_host_root: bool,
    /// MB of memory of the host that is made.
    #[arg(long, default_value_t = 16384)]
    host_memory_mb: u64,
    /// Huge pages of 2 MB of the host that is made.
    #[arg(long, default_value_t = 0)]
    host_huge_pages: u64,
    /// Seed of the numbers that a real instance draws from its past.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many times faster its waits pass.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Its stamps run as fast as its waits pass: an hour of log in a minute, ahead of the clock of the host.
    #[arg(long)]
    fast_clock: bool,
    /// MB of blocks its users change between two passes of the write daemon.
    #[arg(long, default_value_t = 0)]
    dirty_mb: u64,
    /// 2024.2 or 2025.2.
    #[arg(long, default_value = "2025.2")]
    version: String,
}

/// Runs the program on the arguments of this process.
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Create(wish) => make(wish),
        Command::Load { which, dirty_mb, journal_mb, database_mb } => {
            load(&which, dirty_mb, journal_mb, database_mb)
        }
        Command::KillDaemon { which, daemon } => kill_daemon(&which, &daemon),
        Command::Rehearse { which, story, out, seed } => rehearse(&which, &story, &out, seed),
        Command::Status { which, json: _ } => status(&which),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instance-iris-sim: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

type Outcome = Result<(), Box<dyn Error>>;

fn make(wish: Create) -> Outcome {
    let made = create::create(
        &NewInstance {
            dir: wish.which.dir,
            name: wish.which.name,
            superserver_port: wish.superserver_port,
            web_port: wish.web_port,
            globals_mb: wish.globals,
            host_root: wish.host_root,
            make_host: wish
                .make_host_root
                .then_some(NewHost { memory_mb: wish.host_memory_mb, huge_pages: wish.host_huge_pages }),
            seed: wish.seed,
            speed: wish.speed,
            fast_clock: wish.fast_clock,
            release: Release::try_from(wish.version)?,
            workload: Workload { dirty_mb_per_pass: wish.dirty_mb, ..Workload::default() },
        },
        &SystemClock,
    )?;
    println!("{}", made.folder.printed());
    Ok(())
}

fn load(which: &Which, dirty_mb: Option<u64>, journal_mb: Option<u64>, database_mb: Option<u64>) -> Outcome {
    let instance = find(which)?;
    let path = instance.folder.settings();
    let mut settings = Settings::read(&path)?;
    let load = &mut settings.workload;
    load.dirty_mb_per_pass = dirty_mb.unwrap_or(load.dirty_mb_per_pass);
    load.journal_mb_per_pass = journal_mb.unwrap_or(load.journal_mb_per_pass);
    load.database_mb_per_pass = database_mb.unwrap_or(load.database_mb_per_pass);
    settings.write(&path)?;
    let deadline = Instant::now() + ANSWERS_WITHIN;
    // One that is just being stopped does not answer, and reads its settings at its next start.
    while ids(&instance).is_some_and(|ids| ids.control().is_some()) {
        let answered = ask::ask(&instance.folder.manager(), &Request::Reload, |line| println!("{line}"));
        match answered {
            Ok(Some(_)) => break,
            Ok(None) | Err(_) if Instant::now() < deadline => thread::sleep(AGAIN),
            Ok(None) => return Err("the instance did not answer".into()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn kill_daemon(which: &Which, daemon: &str) -> Outcome {
    let instance = find(which)?;
    let role = match Daemon::named(daemon) {
        Some(known) => known.name().to_owned(),
        None => daemon.to_uppercase(),
    };
    let process = ids(&instance)
        .and_then(|ids| ids.process(&role))
        .ok_or_else(|| format!("instance \"{}\" has no process \"{role}\" now", instance.name))?;
    if !process.kill() {
        return Err(format!("could not kill {role} (pid {})", process.pid).into());
    }
    println!("killed {role} (pid {})", process.pid);
    Ok(())
}

fn rehearse(which: &Which, story: &Path, out: &Path, seed: Option<u64>) -> Outcome {
    let instance = find(which)?;
    let text = std::fs::read_to_string(story)
        .map_err(|error| format!("could not read story \"{}\": {error}", story.display()))?;
    let story: Story = toml::from_str(&text)?;
    let settings = Settings::read(&instance.folder.settings())?;
    let cpf = CpfFile::read(&instance.folder.cpf())?;
    let asker = (user_name(), false);
    let facts = gather::start_facts(&instance.folder, &settings, &cpf, asker, story.begins_at.clone())?;
    let identity = Identity {
        name: instance.name.clone(),
        directory: instance.folder.printed(),
        bin_directory: format!("{}/", instance.bin.display()),
        cpf_path: instance.folder.cpf().display().to_string(),
        release: settings.version,
    };
    std::fs::create_dir_all(out)?;
    let (messages, alerts) = (out.join("messages.log"), out.join("alerts.log"));
    for log in [&messages, &alerts] {
        match std::fs::remove_file(log) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let seed = seed.unwrap_or(settings.seed);
    Rehearsal::new(identity, seed, facts, &messages, &alerts).play(&story)?;
    println!("{}", messages.display());
    Ok(())
}

fn status(which: &Which) -> Outcome {
    let instance = find(which)?;
    let ids = ids(&instance);
    let up = ids.as_ref().is_some_and(|ids| ids.control().is_some());
    let processes: Vec<_> = ids
        .iter()
        .flat_map(|ids| &ids.processes)
        .map(|(role, process)| json!({ "role": role, "pid": process.pid, "alive": process.is_alive() }))
        .collect();
    let told = StatusFile::read(&instance.folder.status()).filter(|_| up);
    println!("{}", json!({ "name": instance.name, "up": up, "processes": processes, "told": told }));
    Ok(())
}

fn find(which: &Which) -> Result<Registered, Box<dyn Error>> {
    let dir = std::fs::canonicalize(&which.dir)
        .map_err(|error| format!("could not open folder \"{}\": {error}", which.dir.display()))?;
    Ok(Registry::new(dir.join("irissys")).find(&which.name)?)
}

fn ids(instance: &Registered) -> Option<IdsFile> {
    IdsFile::read(&instance.folder.ids())
}
