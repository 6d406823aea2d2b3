//! What every message of the bare chain says: one line of text, padded to the size of a small record.

use anyhow::{Context as _, Result};
use bytes::Bytes;

/// As in the yardstick, so that both move the same bytes.
pub const PADDED_TO: usize = 256;

/// One message of a workflow.
#[derive(Debug, Clone)]
pub struct Line {
    pub id: String,
    pub shard: u32,
    /// How many steps the workflow has.
    pub steps: u32,
    /// How many of them, from the first, have an entry in the ledger.
    pub synced: u32,
    /// The step that is meant.
    pub step: u32,
}

impl Line {
    pub fn encode(&self) -> Bytes {
        let Self { id, shard, steps, synced, step } = self;
        format!("{:.<PADDED_TO$}", format!("{id} {shard} {steps} {synced} {step} ")).into()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).context("a line of the bare chain is not text")?;
        let mut words = text.split(' ');
        let mut next = || words.next().context("a line of the bare chain is too short");
        Ok(Self {
            id: next()?.to_owned(),
            shard: next()?.parse()?,
            steps: next()?.parse()?,
            synced: next()?.parse()?,
            step: next()?.parse()?,
        })
    }

    pub fn with_step(&self, step: u32) -> Self {
        Self { step, ..self.clone() }
    }

    pub fn command(&self) -> String {
        format!("bare.command.{}", self.shard)
    }

    /// The record of this step, or of the end: `step`, `result`, `ended`.
    pub fn record(&self, kind: &str) -> String {
        match kind {
            "ended" => format!("bare.log.{}.{}.ended", self.shard, self.id),
            _ => format!("bare.log.{}.{}.{kind}.{}", self.shard, self.id, self.step),
        }
    }
}
