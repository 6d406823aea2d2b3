//! The server dies, freezes, or dies just after it has acknowledged; of three servers, the leader of a stream dies.

use std::time::Duration;

use anyhow::{Context as _, Result};
use instance_bus::topology;
use instance_clock::{Clock as _, SystemClock};
use instance_contract::Shard;
use rand::RngExt as _;

use super::Trouble;
use crate::{
    acks::Message,
    servers,
    site::{AGENTS, ROUTERS, SHARDS},
};

const FROZEN: Duration = Duration::from_secs(5);
/// An acknowledgement as young as this is not on the disk when the server dies.
const ACK_WINDOW: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_mins(1);

impl Trouble<'_> {
    pub async fn kill(&mut self) -> Result<()> {
        self.outcome.count("server killed and started on its store", 0);
        self.outcome.count("service killed while the server was away", 0);
        for round in 0..self.dose.faults {
            self.some_more().await?;
            self.site.servers.lock().await.kill9(0);
            if round % 2 == 0 {
                let names = [ROUTERS, AGENTS].concat();
                let name = names[self.chance.random_range(0..names.len())];
                self.wait_up_to(100).await;
                self.site.services.kill(name);
                self.outcome.count("service killed while the server was away", 1);
            }
            self.wait_up_to(1_500).await;
            self.site.servers.lock().await.restart(0);
            self.over("server killed and started on its store");
        }
        Ok(())
    }

    pub async fn freeze(&mut self) -> Result<()> {
        self.outcome.count("server frozen for 5 s", 0);
        for _ in 0..self.dose.faults {
            self.some_more().await?;
            self.site.servers.lock().await.freeze(0, FROZEN).await;
            self.over("server frozen for 5 s");
        }
        Ok(())
    }

    pub async fn ack_window(&mut self) -> Result<()> {
        self.outcome.count("server killed within 20 ms after acks", 0);
        let mut given: Vec<Message> = Vec::new();
        for _ in 0..self.dose.faults {
            self.some_more().await?;
            let mut servers = self.site.servers.lock().await;
            let fresh = self.fresh_acks().await?;
            servers.kill9(0);
            servers.restart(0);
            drop(servers);
            given.extend(fresh);
            self.over("server killed within 20 ms after acks");
        }
        // The last ones come again within the wait of their consumer, and plans go on meanwhile.
        self.some_more().await?;
        let patience = tokio::time::Instant::now() + Duration::from_secs(10);
        while self.site.acks.forgotten(&given) == 0 && tokio::time::Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let forgotten = self.site.acks.forgotten(&given);
        self.outcome.count("acks forgotten of those", forgotten);
        self.outcome.notes.push(format!(
            "of {} acks given within 20 ms before a death {forgotten} were forgotten, and the messages came again",
            given.len()
        ));
        Ok(())
    }

    /// Acknowledgements that are at most 20 ms old; chance says how old the youngest is.
    async fn fresh_acks(&mut self) -> Result<Vec<Message>> {
        let pause = Duration::from_millis(self.chance.random_range(0..10));
        loop {
            self.site.acks.next(PATIENCE).await?;
            tokio::time::sleep(pause).await;
            let fresh = self.site.acks.fresh(ACK_WINDOW);
            // It may have been one that the broker had forgotten before.
            if !fresh.is_empty() {
                return Ok(fresh);
            }
        }
    }

    pub async fn cluster(&mut self) -> Result<()> {
        self.outcome.count("leader of a log's stream killed", 0);
        let mut gaps = Vec::new();
        for round in 0..self.dose.faults {
            self.some_more().await?;
            let shard = u16::try_from(round)? % SHARDS;
            let stream = topology::remediations(Shard(shard));
            let leader = servers::leader_of(&self.site.client, &stream).await;
            let leader = leader.with_context(|| format!("{stream} has no leader"))?;
            let index =
                self.site.servers.lock().await.named(&leader).context("a leader of another cluster")?;
            let died_at = SystemClock.now();
            self.site.servers.lock().await.kill9(index);
            let next = self.site.feed.until(PATIENCE, |feed| feed.first_end(shard, died_at)).await;
            let next = next.with_context(|| format!("nothing ended in {stream} within a minute"))?;
            gaps.push(format!("{:.1}", next.duration_since(died_at).as_secs_f64()));
            self.wait_up_to(1_000).await;
            self.site.servers.lock().await.restart(index);
            self.over("leader of a log's stream killed");
            servers::whole(&self.site.client, self.site.copies, PATIENCE).await?;
        }
        self.outcome
            .notes
            .push(format!("from the leader's death to the next end in its shard: {} s", gaps.join(", ")));
        Ok(())
    }

    /// One more of that kind, and it is over now.
    pub(super) fn over(&mut self, kind: &'static str) {
        self.outcome.count(kind, 1);
        self.last.now();
    }
}
