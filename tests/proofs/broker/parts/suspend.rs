//! A router or an agent stands still in the middle of a plan, for longer than anybody waits for it. It never died, so
//! when it goes on it believes itself to be where it was.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use instance_clock::{Clock as _, SystemClock};
use instance_contract::RemediationId;
use jiff::Timestamp;
use rand::RngExt as _;

use super::Trouble;
use crate::site::AGENTS;

/// Where an owner stands still: about to write, or having written, what the other one is to go on from.
const ROUTER_POINTS: [&str; 3] = ["router.step-written", "router.step-to-write", "router.ended-to-write"];
/// Between intent and effect, between effect and its record, between record and result.
const AGENT_POINTS: [&str; 3] = ["agent.intent-written", "agent.effect-over", "agent.result-to-publish"];
/// At least: a lease is gone after 3 s, and a step that is not settled comes again after 2 s.
const STANDS: Duration = Duration::from_secs(5);
/// For whatever is waited for.
const PATIENCE: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_millis(10);

const ROUTER: &str = "router frozen, the other goes on";
const AGENT: &str = "agent frozen for 5 s in a step";
const AGAIN: &str = "steps delivered again to a frozen agent";
const LEFT: &str = "shards that a frozen router has left";

impl Trouble<'_> {
    pub async fn suspend(&mut self) -> Result<()> {
        for kind in [ROUTER, AGENT, AGAIN, LEFT] {
            self.outcome.count(kind, 0);
        }
        for round in 0..self.dose.faults {
            self.shared().await?;
            self.some_more().await?;
            let turn = round / 2 % 3;
            if round % 2 == 0 {
                self.router_stands_still(ROUTER_POINTS[turn]).await?;
                self.over(ROUTER);
            } else {
                self.agent_stands_still(AGENT_POINTS[turn]).await?;
                self.over(AGENT);
            }
        }
        Ok(())
    }

    /// Everything that is open ends while it stands still; then it goes on, and leaves what it had.
    async fn router_stands_still(&mut self, point: &'static str) -> Result<()> {
        let victim = self.victim();
        let before = self.site.services.log(victim).len();
        let passing = self.passing(point);
        self.site.services.freeze_next_at(victim, passing);
        self.site.services.kill(victim);
        let (frozen_at, since) = (self.frozen(victim).await?, tokio::time::Instant::now());
        let (lost, open) = (self.shards_of(victim), self.open());
        ensure!(!open.is_empty(), "{victim} stood still at {point}, in the middle of nothing");
        let had = self.log_since(victim, before).matches("took the shard").count();
        let taken = self.first_taken(&lost, frozen_at).await?;
        let (ended, ()) =
            futures::join!(self.all_end(&open, victim), tokio::time::sleep_until(since + STANDS));
        ended?;
        ensure!(self.site.services.is_frozen(victim), "{victim} did not stand still at {point}");
        let stood = SystemClock.now().duration_since(frozen_at).as_secs_f64();
        // What it is given after that is its share of what the other has by then.
        let thawed_at = SystemClock.now();
        self.site.services.thaw(victim);
        let left = self.leaves(victim, before, had).await?;
        self.outcome.count(LEFT, left);
        let own = self
            .site
            .feed
            .taken()
            .into_iter()
            .filter(|it| it.router == victim && it.at >= frozen_at && it.at < thawed_at);
        for taken in own {
            self.outcome.faults.push(format!("{victim} stood still and took shard {}", taken.shard));
        }
        let handed_over = taken.iter().map(|taken| taken.at).max().context("a victim without shards")?;
        self.outcome.notes.push(format!(
            "{victim} stood still at {point} for {stood:.1} s; the other had its {} shards after {:.1} s and ended all {} \
             open plans meanwhile",
            lost.len(),
            handed_over.duration_since(frozen_at).as_secs_f64(),
            open.len(),
        ));
        Ok(())
    }

    /// Its step is delivered again meanwhile, and it finds both when it goes on.
    async fn agent_stands_still(&mut self, point: &'static str) -> Result<()> {
        let victim = AGENTS[self.chance.random_range(0..AGENTS.len())];
        let passing = self.passing(point);
        self.site.services.freeze_next_at(victim, passing);
        // Drained, so that nothing comes again but what it has in hand when it stands still.
        self.site.services.drain(victim);
        self.frozen(victim).await?;
        let (open, again) = (self.open(), self.site.acks.again());
        ensure!(!open.is_empty(), "{victim} stood still at {point}, in the middle of nothing");
        tokio::time::sleep(STANDS).await;
        ensure!(self.site.services.is_frozen(victim), "{victim} did not stand still at {point}");
        self.site.services.thaw(victim);
        let began = Instant::now();
        self.all_end(&open, victim).await?;
        let again = self.site.acks.again() - again;
        self.outcome.count(AGAIN, again);
        self.outcome.notes.push(format!(
            "{victim} stood still at {point}; {again} steps came again, and all {} open plans had ended {:.1} s later",
            open.len(),
            began.elapsed().as_secs_f64(),
        ));
        Ok(())
    }

    /// One of the first passings of a point after a start: late enough for a router to have all its shards.
    fn passing(&mut self, point: &str) -> String {
        let ordinals = if point == "router.ended-to-write" { 8..=16 } else { 20..=40 };
        format!("{point}:{}", self.chance.random_range(ordinals))
    }

    /// Waits until it stands still; since when.
    async fn frozen(&self, name: &str) -> Result<Timestamp> {
        let deadline = Instant::now() + PATIENCE;
        while !self.site.services.is_frozen(name) {
            ensure!(Instant::now() < deadline, "{name} never came to where it is to stand still");
            tokio::time::sleep(PAUSE).await;
        }
        Ok(SystemClock.now())
    }

    /// Plans that the stream has, and that have not ended.
    fn open(&self) -> Vec<RemediationId> {
        let sent = self.site.load.sent().into_iter().filter(|sent| sent.acknowledged);
        sent.map(|sent| sent.plan.id).filter(|id| !self.site.feed.has_ended(*id)).collect()
    }

    async fn all_end(&self, open: &[RemediationId], victim: &str) -> Result<()> {
        let all = futures::future::join_all(open.iter().map(|id| self.site.feed.ended(*id)));
        let ended = tokio::time::timeout(PATIENCE, all).await;
        ended.map(drop).with_context(|| {
            let left: Vec<String> =
                self.open().iter().filter(|id| open.contains(id)).map(ToString::to_string).collect();
            format!("{} had not ended {} s after {victim} stood still", left.join(", "), PATIENCE.as_secs())
        })
    }

    fn log_since(&self, name: &str, before: usize) -> String {
        self.site.services.log(name).get(before..).unwrap_or_default().to_owned()
    }

    /// Waits until a router has left the shards that it had taken since that place in its log; how many.
    async fn leaves(&self, name: &str, before: usize, had: usize) -> Result<usize> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let since = self.log_since(name, before);
            // Before it stood still it may have given one away.
            let lost = since.matches("lost the shard").count() + since.matches("left the shard").count();
            if lost >= had {
                return Ok(lost);
            }
            ensure!(Instant::now() < deadline, "{name} took {had} shards, and has left {lost}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}
