//! `instance chaos soak`: many instances, one pipeline, faults without pause, services killed meanwhile; and whether
//! anything got lost or grew.

mod burst; // Fifty remediations at a time.
mod entries; // What instances wrote, and what came of it.
mod resources; // What the processes take.
mod rounds; // One fault after the other, on each instance.
mod site; // Where it plays.
mod tally; // What the bus tells of it.
mod verdict;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};

use anyhow::Result;

use self::{
    burst::Burst,
    entries::{Entries, Told},
    resources::Resources,
    rounds::Lanes,
    site::Site,
    tally::{Follow, Tally},
    verdict::{Gathered, Report},
};
use super::folder::{self, FOLDER, label};
use crate::{
    exit::Exit,
    online,
    session::Session,
    up::{
        Signals,
        pipeline::{self as programs, ANALYST},
    },
};

const EXAMPLES: &str = "\
Examples:
  instance chaos soak --minutes 2                    What CI does.
  instance chaos soak --minutes 60 --label long      An hour; figures in run/chaos/long/soak.json.

Ends with 0 when every remediation ended, every entry of a log came to the bus once, nothing went to the dead letters, and no
service grew.";

/// Break and heal many instances without pause, and watch for loss and growth
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// For how long, after everything is up
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=10_080))]
    minutes: u64,
    /// How many instances
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=100))]
    instances: u16,
    /// Chooses which fault comes when
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Every so many seconds a service is killed, in the first two thirds of the time
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    kill_every: u64,
    /// Name of this run, part of its folder
    #[arg(long, value_name = "LABEL", default_value = "soak", value_parser = label)]
    label: String,
    /// Folder of all runs
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    dir: PathBuf,
}

/// Who is killed, in turns. The bus is not among them: `cargo xtask broker` does that.
const KILLED: [&str; 6] = ["router", "config-agent", "restart-agent", ANALYST, "generator", "os-agent"];
const LOOK: Duration = Duration::from_secs(1);
const BURST_EVERY: Duration = Duration::from_secs(40);
/// What is under way at the end gets this long to end: a restart's own limits are shorter.
const LAST_ONES: Duration = Duration::from_mins(4);

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    programs::all_programs()?;
    let (folder, _lock) = folder::make(&args.dir, &args.label)?;
    let site = Site::make(&folder, args.instances, args.seed)?;
    let outcome = online::block_on(soak(args, &site));
    site.end()?;
    let report = outcome?;
    report.write(&folder)?;
    report.print(session)?;
    Ok(if report.problems.is_empty() { Exit::Done } else { Exit::Failure })
}

async fn soak(args: &Args, site: &Site) -> Result<Report> {
    let mut signals = Signals::install()?;
    let mut pipeline = site.start().await?;
    let tally = Arc::new(Mutex::new(Tally::default()));
    let stop = Arc::new(AtomicBool::new(false));
    let mut follow = Follow::begin(&pipeline.bus).await?;
    let lanes = Lanes::start(site, &tally, &stop, args.seed)?;
    let whole = Duration::from_mins(args.minutes);
    let (began, kills_end) = (Instant::now(), whole * 2 / 3);
    let mut resources = Resources::new(kills_end);
    let mut burst = Burst::new(site.names());
    let (mut look, mut kill, mut bursts) = (
        tokio::time::interval(LOOK),
        tokio::time::interval(Duration::from_secs(args.kill_every)),
        tokio::time::interval(BURST_EVERY),
    );
    // The first one of an interval comes at once; nobody is killed before anything happens.
    kill.reset();
    let (mut kills, mut interrupted) = (0_usize, false);
    while began.elapsed() < whole && !interrupted {
        tokio::select! {
            () = signals.next() => interrupted = true,
            () = follow.next(&tally) => {}
            _ = look.tick() => resources.look(began.elapsed(), &pipeline.states()),
            _ = bursts.tick() => burst.publish(&pipeline.bus).await?,
            _ = kill.tick(), if began.elapsed() < kills_end => {
                pipeline.crash(KILLED[kills % KILLED.len()]).await;
                kills += 1;
            }
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let rounds = tokio::task::spawn_blocking(move || lanes.join());
    tokio::pin!(rounds);
    let rounds = loop {
        tokio::select! {
            () = follow.next(&tally) => {}
            rounds = &mut rounds => break rounds.expect("a lane that panics is a defect of this program"),
        }
    };
    let deadline = Instant::now() + LAST_ONES;
    let written = site.written()?;
    let is_over = || {
        let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.open() == 0
            && burst.asked.iter().all(|id| tally.ended.contains_key(id))
            && entries::beyond(&written, &tally.stored) == 0
    };
    while !is_over() && Instant::now() < deadline {
        tokio::select! {
            () = follow.next(&tally) => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    let dead_letters = pipeline.bus.dead_letters().await?;
    pipeline.stop().await;
    let tally = std::mem::take(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner));
    let dead_letters = dead_letters.len();
    let entries = Told {
        written: written.values().map(Entries::count).sum(),
        lost: entries::beyond(&written, &tally.stored),
        // Entries that came after the first reading stand in the logs by now.
        twice: entries::beyond(&tally.stored, &site.written()?),
    };
    Ok(Report::new(
        args,
        Gathered {
            wall: began.elapsed(),
            kills,
            faults: rounds?,
            burst,
            tally,
            entries,
            resources,
            dead_letters,
        },
    ))
}
