//! The parts: what is done to the world of each, and how it is left to come to rest.

mod broker; // The server, or the leader of three.
mod deaths; // Routers and agents, meanwhile.
mod suspend; // Routers and agents that stand still.
mod takeover; // Shards that change hands.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use instance_clock::{Clock as _, SystemClock};
use jiff::Timestamp;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::{
    options::{Dose, Part},
    processes::source_tree,
    records,
    report::Outcome,
    site::{SHARDS, Site},
    unsettled::unsettled,
    verdict::Verdict,
};

/// Plans that end between two faults, on average.
const GAP: usize = 30;
/// For what the broker forgot to be delivered and settled once more.
const TO_REST: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// One part under way.
struct Trouble<'a> {
    site: &'a Site,
    dose: Dose,
    chance: ChaCha8Rng,
    outcome: Outcome,
    last: &'a LastFault,
}

/// When the last fault was over.
struct LastFault(Mutex<Timestamp>);

impl LastFault {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = SystemClock.now();
    }

    fn at(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Plays a part from a new world to its verdict. An error says that it could not be played to the end.
pub async fn play(part: Part, dose: Dose) -> Result<Outcome> {
    let site = Site::start(part, dose).await?;
    let last = LastFault(Mutex::new(SystemClock.now()));
    let chance = |stream| {
        let mut chance = ChaCha8Rng::seed_from_u64(dose.seed);
        chance.set_stream(part as u64 * 2 + stream);
        chance
    };
    let mut trouble =
        Trouble { site: &site, dose, chance: chance(0), outcome: Outcome::default(), last: &last };
    let deaths = deaths::run(&site, part, dose, chance(1), &last);
    let faults = async {
        match part {
            Part::Kill => trouble.kill().await,
            Part::Freeze => trouble.freeze().await,
            Part::AckWindow => trouble.ack_window().await,
            Part::Cluster => trouble.cluster().await,
            Part::Takeover => trouble.takeover().await,
            Part::Suspend => trouble.suspend().await,
        }
    };
    let played = futures::future::try_join(faults, deaths).await;
    let (routers, agents) = match played {
        Ok(((), deaths)) => deaths,
        Err(error) => {
            let logs = keep_logs(&site, part)?;
            anyhow::bail!("{error:#}\n{}\nall logs are in {logs}", site.services.last_words())
        }
    };
    let mut outcome = trouble.outcome;
    if part != Part::Suspend {
        outcome.count("agent killed meanwhile", agents);
    }
    if !matches!(part, Part::Takeover | Part::Suspend) {
        outcome.count("router killed meanwhile", routers);
    }
    come_to_rest(&site, part, &last, &mut outcome).await?;
    Ok(outcome)
}

impl Trouble<'_> {
    /// Waits until some more plans have ended.
    async fn some_more(&mut self) -> Result<()> {
        let more = self.chance.random_range(GAP / 2..=GAP * 3 / 2);
        self.site.feed.reach(self.site.feed.count() + more).await
    }

    async fn wait_up_to(&mut self, milliseconds: u64) {
        let pause = self.chance.random_range(0..=milliseconds);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// The load goes on for a while after the last fault, then everything ends, and everything is settled. Judges it.
async fn come_to_rest(site: &Site, part: Part, last: &LastFault, outcome: &mut Outcome) -> Result<()> {
    site.feed.reach(site.feed.count() + GAP).await?;
    site.load.stop();
    let deadline = Instant::now() + part.bound();
    let is_open =
        || site.load.sent().iter().any(|sent| !sent.acknowledged || !site.feed.has_ended(sent.plan.id));
    while is_open() && Instant::now() < deadline {
        tokio::time::sleep(PAUSE).await;
    }
    let deadline = Instant::now() + TO_REST;
    let client = site.fresh_client().await?;
    loop {
        let left = unsettled(&client, SHARDS).await?;
        if left.is_empty() {
            break;
        }
        if Instant::now() > deadline {
            outcome.faults.push(format!("still unsettled: {}", left.join(", ")));
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let sent = site.load.sent();
    ensure!(!sent.is_empty(), "nothing was asked for");
    outcome.verdict = Verdict::over(site, &sent, last.at(), part.bound()).await?;
    outcome.faults.extend(records::faults(&client).await?);
    outcome.replayed = site.acks.replayed();
    outcome.unacknowledged = site.load.unacknowledged();
    outcome.own_exits = site.services.own_exits();
    if !outcome.verdict.faults.is_empty() || !outcome.faults.is_empty() {
        println!("{}\nall logs are in {}", site.services.last_words(), keep_logs(site, part)?);
    }
    Ok(())
}

/// Of a part that has failed.
fn keep_logs(site: &Site, part: Part) -> Result<String> {
    let folder = source_tree().join("target/broker").join(part.name());
    site.services.keep_logs(&folder)?;
    Ok(folder.display().to_string())
}
