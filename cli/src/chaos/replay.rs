//! `instance chaos replay`: the messages of a recording once more, on a stand-in with the recorded values.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use instance_bus::{Bus, Headers};
use instance_contract::{IrisMessage, subject};
use instance_scenario::{Health, Recording, Scenario, Step, template};

use super::{
    folder::{self, FOLDER},
    lanes,
    pipeline::Pipeline,
    record::without_time,
    watch::Watch,
    world::{World, files},
};
use crate::{
    exit::{Exit, Stop},
    output::{print, printable},
    session::Session,
    up::pipeline,
};

const EXAMPLES: &str = "\
Examples:
  instance chaos replay last-night.recording.toml

Ends with 0 when the same commands were given, byte for byte but for the time; with 1 otherwise.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The recording
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Folder of all runs
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    dir: PathBuf,
}

/// Nobody asks for anything more when nothing has happened for this long.
const QUIET: Duration = Duration::from_secs(3);
/// Longer than any remediation of a stand-in.
const LIMIT: Duration = Duration::from_mins(3);
const TICK: Duration = Duration::from_millis(50);

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let text = fs::read_to_string(&args.file).map_err(|error| {
        Stop::new(Exit::NotFound, format!("could not read \"{}\": {error}", args.file.display()))
    })?;
    let recording = Recording::read(&text).map_err(|error| {
        let text = format!("\"{}\" is no recording: {}", args.file.display(), error.to_string().trim());
        Stop::new(Exit::BadConfiguration, text)
    })?;
    pipeline::all_programs()?;
    let (folder, _lock) = folder::make(&args.dir, "replay")?;
    let given = lanes::runtime()?.block_on(again(&recording, &folder))?;
    if given == recording.commands {
        // Nothing in it that the recording does not hold.
        let _ = fs::remove_dir_all(&folder);
        session.note(format!("{} command(s), identical", given.len()));
        return Ok(Exit::Done);
    }
    print("the commands are not the same")?;
    for (word, commands) in [("recorded", &recording.commands), ("now", &given)] {
        for command in commands {
            print(printable(&format!("{word}: {command}")))?;
        }
    }
    Ok(Exit::Failure)
}

async fn again(recording: &Recording, folder: &Path) -> Result<Vec<String>> {
    // An instance that is well: what ails it is told by the messages.
    let scenario = Scenario::read("replay", &template("replay")).context("the template is a scenario")?;
    if recording.instance != recording.instance.to_uppercase() {
        let text = format!("a stand-in's name is upper case, and \"{}\" is not", recording.instance);
        return Err(Stop::new(Exit::Refused, text).into());
    }
    let world = World::make(folder, &recording.instance, &scenario, 1)?;
    furnish(&world, recording)?;
    let starting = Pipeline::start(&world, &scenario, &folder.join("pipeline"), false, None).await?;
    let started = world.start();
    let pipeline = starting.ready().await?;
    let outcome = async {
        started?;
        ail(&world, recording.health).await?;
        played(recording, &pipeline).await
    }
    .await;
    pipeline.stop().await;
    world.end()?;
    outcome
}

/// The values that the messages met.
fn furnish(world: &World, recording: &Recording) -> Result<()> {
    files::write(&world.host().join("meminfo"), &recording.meminfo)?;
    for (name, value) in &recording.kernel {
        let path = world.host().join("sys").join(name.replace('.', "/"));
        files::write(&path, &format!("{value}\n"))?;
    }
    for (name, value) in &recording.cpf {
        let place = name.strip_prefix('[').and_then(|rest| rest.split_once("] "));
        let (section, parameter) = place.with_context(|| format!("\"{name}\" names no parameter"))?;
        world.set_cpf(section, parameter, value)?;
    }
    Ok(())
}

/// Brings the instance into the health that was recorded. What its own log says of that is read by nobody here.
async fn ail(world: &World, health: Health) -> Result<()> {
    let process = match health {
        Health::Ok => return Ok(()),
        Health::Warn | Health::Alert => "GARCOL",
        Health::Hung => "WRTDMN",
    };
    world.perform(&Step::Kill { process: process.to_owned() })?;
    let deadline = Instant::now() + LIMIT;
    loop {
        let (_, told) = world.state();
        let ails = if health == Health::Hung { told == "hung" } else { !matches!(told.as_str(), "" | "ok") };
        if ails {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the stand-in stays well without its {process}");
        tokio::time::sleep(TICK).await;
    }
}

async fn played(recording: &Recording, pipeline: &Pipeline) -> Result<Vec<String>> {
    let mut watch = Watch::begin(&pipeline.bus, Vec::new()).await?;
    for message in &recording.messages {
        publish(&pipeline.bus, message).await?;
    }
    watch.fault_begins();
    let deadline = Instant::now() + LIMIT;
    loop {
        watch.go_on(TICK).await?;
        let enough =
            watch.commands.len() >= recording.commands.len() || watch.active_at.elapsed() > QUIET * 3;
        let over = enough && !watch.is_busy() && watch.active_at.elapsed() > QUIET;
        if over || Instant::now() > deadline {
            return Ok(watch.commands.iter().map(without_time).collect());
        }
    }
}

async fn publish(bus: &Bus, message: &str) -> Result<()> {
    let read = IrisMessage::decode(message.as_bytes()).map_err(|faults| {
        Stop::new(Exit::BadConfiguration, format!("a message of the recording is not legal: {faults}"))
    })?;
    let subject = subject::error(&read.host, &read.instance, read.severity);
    let id = read.message_id.to_string();
    bus.publish_bytes(&subject, message.to_owned().into(), Some(&id), Headers::new()).await?;
    Ok(())
}
