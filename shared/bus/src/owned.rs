//! Records of a shard's owner: the server takes them only for as long as nobody has followed it.

use std::sync::Arc;

use bytes::Bytes;
use instance_contract::{
    Shard,
    subject::{self, Subject},
};
use tokio::sync::Mutex;

use crate::{
    Bus, BusError, Headers, PublishError, Written,
    first::KNOWS_THE_CONDITION,
    headers::{EXPECTED_LAST_SUBJECT_SEQUENCE, EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT},
    topology,
};

/// The right to write to a shard's log: an owner record that no newer one follows.
#[derive(Debug, Clone)]
pub struct Ownership {
    shard: Shard,
    /// Where the owner record stands in the log.
    sequence: u64,
    /// A replicated stream looks at a condition while an earlier write under the same one is on its way by refusing it: so
    /// there they go one by one.
    one_by_one: Option<Arc<Mutex<()>>>,
}

impl Bus {
    /// What the owner record at `sequence` of a shard's log gives the right to.
    pub async fn ownership(&self, shard: Shard, sequence: u64) -> Result<Ownership, BusError> {
        let stream = topology::remediations(shard);
        let missing = || BusError::TopologyMissing { thing: format!("stream {stream}") };
        let info = self.stream_info(&stream).await?.ok_or_else(missing)?;
        let is_replicated = info["config"]["num_replicas"].as_u64().unwrap_or(1) > 1;
        Ok(Ownership { shard, sequence, one_by_one: is_replicated.then(Arc::default) })
    }

    /// Writes a subject that has never been written, or says that it has been ([`PublishError::Exists`]); for an owner that
    /// somebody has followed, nothing ([`PublishError::Unmet`]). As [`Bus::publish_once_confirmed`] it finds out what
    /// became of a lost answer.
    ///
    /// A server before 2.11 does not know this condition: there a former owner is not stopped.
    pub async fn publish_owned(
        &self,
        owner: &Ownership,
        subject: &Subject,
        payload: Bytes,
    ) -> Result<Written, PublishError> {
        if !self.server_is_at_least(KNOWS_THE_CONDITION) {
            return self.publish_once_confirmed_bytes(subject, payload, Headers::new()).await;
        }
        // That a subject is written once is the stream's own rule: see its row in the table.
        let headers = Headers::new()
            .with(EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, subject::owners(owner.shard).as_str())
            .with(EXPECTED_LAST_SUBJECT_SEQUENCE, &owner.sequence.to_string());
        let _turn = match &owner.one_by_one {
            Some(turns) => Some(turns.lock().await),
            None => None,
        };
        self.publish_when(subject, &payload, &headers).await
    }
}
