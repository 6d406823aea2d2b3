//! Routers and agents that die while the broker misbehaves, at counts of ended plans that the seed draws.

use anyhow::Result;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::{GAP, LastFault};
use crate::{
    options::{Dose, Part},
    site::{AGENTS, ROUTERS, Site},
};

/// Kills some, in turn a router and an agent, which the supervisor starts again; how many routers, how many agents.
pub async fn run(
    site: &Site,
    part: Part,
    dose: Dose,
    mut chance: ChaCha8Rng,
    last: &LastFault,
) -> Result<(usize, usize)> {
    // Whoever stands still is to be the only trouble.
    let deaths = if part == Part::Suspend { 0 } else { dose.faults.max(4) };
    let mut counts: Vec<usize> = (0..deaths).map(|_| chance.random_range(1..=dose.faults * GAP)).collect();
    counts.sort_unstable();
    let (mut routers, mut agents) = (0, 0);
    for (index, count) in counts.into_iter().enumerate() {
        site.feed.reach(count).await?;
        // Where shards change hands, the routers' deaths are the faults themselves.
        let is_router = index % 2 == 0 && part != Part::Takeover;
        let names = if is_router { ROUTERS } else { AGENTS };
        site.services.kill(names[chance.random_range(0..names.len())]);
        last.now();
        if is_router { routers += 1 } else { agents += 1 }
    }
    Ok((routers, agents))
}
