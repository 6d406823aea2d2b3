//! One pipeline under one load: what it did, how long it took, what it cost.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use crate::{
    orders::Orders,
    pipeline::{Finished, Pipeline},
    process::{cpu_us, peak_rss_kb},
    server::Traffic,
};

/// What was seen of one pipeline at one number of workflows in flight.
#[derive(Default)]
pub struct Seen {
    pub finished: Vec<Finished>,
    pub elapsed: Duration,
    /// Server, router, agent, in microseconds.
    pub cpu_us: [u64; 3],
    /// Appends to the ledger; each is one fdatasync.
    pub syncs: u64,
    /// Commands and records stored.
    pub stored: (u64, u64),
    /// Of router and agent.
    pub traffic: [Traffic; 2],
    /// Router and agent at their largest so far, in kB.
    pub rss_kb: [u64; 2],
}

/// What can be counted at one moment.
struct Counters {
    cpu_us: [u64; 3],
    syncs: u64,
    stored: (u64, u64),
    traffic: [Traffic; 2],
}

impl Seen {
    /// Puts the pipeline under load for a while, and adds what came of it.
    pub async fn add(&mut self, pipeline: &Arc<Pipeline>, lanes: usize, duration: Duration) -> Result<()> {
        let before = Counters::read(pipeline).await?;
        let started = Instant::now();
        let finished = load(pipeline, lanes, duration).await?;
        self.elapsed += started.elapsed();
        self.finished.extend(finished);
        let after = Counters::read(pipeline).await?;
        for (sum, (before, after)) in self.cpu_us.iter_mut().zip(before.cpu_us.into_iter().zip(after.cpu_us))
        {
            *sum += after - before;
        }
        for (sum, (before, after)) in
            self.traffic.iter_mut().zip(before.traffic.into_iter().zip(after.traffic))
        {
            sum.sent += after.sent - before.sent;
            sum.received += after.received - before.received;
        }
        self.syncs += after.syncs - before.syncs;
        self.stored.0 += after.stored.0 - before.stored.0;
        self.stored.1 += after.stored.1 - before.stored.1;
        self.rss_kb = [&pipeline.router, &pipeline.agent].map(|process| peak_rss_kb(process.pid()));
        Ok(())
    }

    /// Latency in microseconds below which this share of the workflows stayed.
    pub fn percentile_us(&self, share: f64) -> f64 {
        let mut all: Vec<f64> = self.finished.iter().map(|one| one.took.as_secs_f64() * 1e6).collect();
        percentile(&mut all, share)
    }

    pub fn per_second(&self) -> f64 {
        self.count() / self.elapsed.as_secs_f64()
    }

    /// Something counted, for each workflow.
    pub fn each(&self, counted: u64) -> f64 {
        float(counted) / self.count()
    }

    pub fn cpu_each(&self) -> f64 {
        self.each(self.cpu_us.iter().sum())
    }

    fn count(&self) -> f64 {
        float(self.finished.len() as u64)
    }
}

impl Counters {
    async fn read(pipeline: &Pipeline) -> Result<Self> {
        let [router, agent] = pipeline.connections.map(|name| pipeline.server.traffic(name));
        Ok(Self {
            cpu_us: [pipeline.server.pid(), pipeline.router.pid(), pipeline.agent.pid()].map(cpu_us),
            syncs: appends(&pipeline.ledger, &pipeline.orders)?,
            stored: pipeline.stored().await?,
            traffic: [router?, agent?],
        })
    }
}

/// `lanes` clients, one workflow after another each, for a while.
pub async fn load(pipeline: &Arc<Pipeline>, lanes: usize, duration: Duration) -> Result<Vec<Finished>> {
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for lane in 0..lanes {
        let pipeline = Arc::clone(pipeline);
        clients.spawn(async move {
            let mut finished = Vec::new();
            while started.elapsed() < duration {
                finished.push(pipeline.one(lane).await?);
            }
            anyhow::Ok(finished)
        });
    }
    let mut finished = Vec::new();
    while let Some(lane) = clients.join_next().await {
        finished.extend(lane??);
    }
    Ok(finished)
}

/// How often a ledger was appended to, from its file alone.
fn appends(ledger: &Path, orders: &Orders) -> Result<u64> {
    let bytes = std::fs::read(ledger).context("could not read a ledger")?;
    if let Orders::Chain { .. } = orders {
        return Ok((bytes.len() / crate::chain::line::PADDED_TO) as u64);
    }
    // A record is its length (4 bytes, little endian), a checksum (4 bytes) and so many bytes.
    let (mut rest, mut count) = (&bytes[..], 0);
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let size = 4 + u32::from_le_bytes(*length) as usize;
        rest = behind.get(size..).context("a ledger is torn")?;
        count += 1;
    }
    Ok(count)
}

/// Sorts; the nearest rank. NaN when there is nothing.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a list that fits in memory"
    )]
    let index = (values.len().saturating_sub(1) as f64 * share).round() as usize;
    values.get(index).copied().unwrap_or(f64::NAN)
}

#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^52")]
pub fn float(count: u64) -> f64 {
    count as f64
}
