//! Routers die: the other one takes their shards, or they come back and take their own.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, Result};
use instance_clock::{Clock as _, SystemClock};
use jiff::Timestamp;
use rand::RngExt as _;

use super::Trouble;
use crate::{
    feed::{Feed, Taken},
    site::ROUTERS,
};

/// Within this the other router has written its first record in each shard of a dead one.
const BY_THE_OTHER: Duration = Duration::from_secs(5);
/// And within this a remediation has ended there again.
const ENDED_BY_THE_OTHER: Duration = Duration::from_secs(8);
/// A lease outlives its router by at most this, so nobody else can have been faster.
const BY_ITSELF: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(40);

const OTHER: &str = "router killed, the other takes its shards";
const OWN: &str = "router killed, comes back to its own";
const MEANWHILE: &str = "server killed during a takeover";

impl Trouble<'_> {
    pub async fn takeover(&mut self) -> Result<()> {
        for kind in [OTHER, OWN, MEANWHILE] {
            self.outcome.count(kind, 0);
        }
        let mut times: HashMap<&str, Vec<String>> = HashMap::new();
        for round in 0..self.dose.faults {
            self.shared().await?;
            self.some_more().await?;
            let kind = [OTHER, OWN, OTHER, MEANWHILE][round % 4];
            let victim = self.victim();
            let took = match kind {
                OWN => self.comes_back(victim).await?,
                _ => self.is_followed(victim, kind == MEANWHILE).await?,
            };
            times.entry(kind).or_default().push(took);
            self.over(kind);
        }
        for kind in [OTHER, OWN, MEANWHILE] {
            let told = times.get(kind).map(|times| times.join(", ")).unwrap_or_default();
            self.outcome.notes.push(format!("{kind}: first record (first end) after {told} s"));
        }
        Ok(())
    }

    /// Waits until both have as many shards: from then on none is given away.
    pub(super) async fn shared(&self) -> Result<()> {
        let shared = |feed: &Feed| {
            let owners = feed.owners();
            let half = owners.len() / ROUTERS.len();
            let has_half = |router: &&str| owners.values().filter(|owner| owner == router).count() == half;
            ROUTERS.iter().all(has_half).then_some(())
        };
        let shared = self.site.feed.until(PATIENCE, shared).await;
        shared.context("one router keeps more shards than the other")
    }

    /// Either of them: both have as much to lose.
    pub(super) fn victim(&mut self) -> &'static str {
        ROUTERS[self.chance.random_range(0..ROUTERS.len())]
    }

    /// Dies, and stays away until the other has all that it had.
    async fn is_followed(&mut self, victim: &'static str, server_dies_too: bool) -> Result<String> {
        let lost = self.shards_of(victim);
        let died_at = SystemClock.now();
        self.site.services.hold(victim);
        if server_dies_too {
            let pause = self.chance.random_range(500..3_500);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            self.site.servers.lock().await.kill9(0);
            self.wait_up_to(500).await;
            self.site.servers.lock().await.restart(0);
        }
        let taken = self.first_taken(&lost, died_at).await?;
        let (slowest, ended, told) = self.told(&taken, died_at).await?;
        if taken.iter().any(|taken| taken.router == victim) {
            self.outcome.faults.push(format!("{victim} was dead and took a shard"));
        }
        if !server_dies_too && slowest > BY_THE_OTHER {
            self.outcome.faults.push(format!("{victim}'s shards were taken over after {told} s"));
        }
        if !server_dies_too && ended > ENDED_BY_THE_OTHER {
            self.outcome.faults.push(format!("nothing ended in {victim}'s shards for {told} s"));
        }
        self.site.services.release(victim);
        Ok(told)
    }

    /// Dies, and is started again at once.
    async fn comes_back(&mut self, victim: &'static str) -> Result<String> {
        let own = self.shards_of(victim);
        let died_at = SystemClock.now();
        self.site.services.kill(victim);
        let taken = self.first_taken(&own, died_at).await?;
        let (slowest, _, told) = self.told(&taken, died_at).await?;
        if let Some(other) = taken.iter().find(|taken| taken.router != victim) {
            self.outcome.faults.push(format!("{} took shard {} of {victim}", other.router, other.shard));
        }
        if slowest > BY_ITSELF {
            self.outcome.faults.push(format!("{victim} had its own shards back after {told} s"));
        }
        Ok(told)
    }

    pub(super) fn shards_of(&self, router: &str) -> Vec<u16> {
        let owners = self.site.feed.owners();
        owners.into_iter().filter(|(_, owner)| owner == router).map(|(shard, _)| shard).collect()
    }

    /// The first record of an owner in each of the shards after a death.
    pub(super) async fn first_taken(&self, shards: &[u16], died_at: Timestamp) -> Result<Vec<Taken>> {
        let look = |feed: &Feed| {
            let taken = feed.taken();
            let first = |shard: &u16| taken.iter().find(|it| it.shard == *shard && it.at >= died_at).cloned();
            shards.iter().map(first).collect::<Option<Vec<_>>>()
        };
        let taken = self.site.feed.until(PATIENCE, look).await;
        taken.with_context(|| format!("nobody has taken all of the shards {shards:?}"))
    }

    /// How long the slowest shard was without an owner, and until something ended there again.
    async fn told(&self, taken: &[Taken], died_at: Timestamp) -> Result<(Duration, Duration, String)> {
        let last = taken.iter().map(|taken| taken.at).max().context("a victim without shards")?;
        let since_death = |at: Timestamp| Duration::try_from(at.duration_since(died_at)).unwrap_or_default();
        let ended = |feed: &Feed| {
            taken.iter().map(|taken| feed.first_end(taken.shard, taken.at)).collect::<Option<Vec<_>>>()
        };
        let ended =
            self.site.feed.until(PATIENCE, ended).await.context("nothing ends in a shard that was taken")?;
        let first = ended.into_iter().max().context("a victim without shards")?;
        let (slowest, ended) = (since_death(last), since_death(first));
        let told = format!("{:.1} ({:.1})", slowest.as_secs_f64(), ended.as_secs_f64());
        Ok((slowest, ended, told))
    }
}
