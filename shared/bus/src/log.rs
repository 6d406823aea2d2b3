//! The remediation log: read whole, followed, looked up.

use std::ops::Range;

use futures::{
    StreamExt as _,
    stream::{BoxStream, SelectAll, select_all, unfold},
};
use instance_contract::{
    RemediationId, Shard,
    subject::{self, Subject},
};

use crate::{Bus, BusError, LogMessage, reader::Reader, topology};

impl Bus {
    /// Everything in a shard's remediation log under a filter, in order, up to its end at the time of the call.
    /// Complete or an error.
    pub async fn read_log(&self, shard: Shard, filter: &Subject) -> Result<Vec<LogMessage>, BusError> {
        self.read_all(&topology::remediations(shard), &[filter.to_string()]).await
    }

    /// What a shard's remediation log holds between two sequences, in order. Complete or an error.
    pub async fn read_log_within(
        &self,
        shard: Shard,
        sequences: Range<u64>,
    ) -> Result<Vec<LogMessage>, BusError> {
        let filters = [subject::shard_log(shard).to_string()];
        self.read_within(&topology::remediations(shard), &filters, sequences).await
    }

    /// The sequences of the oldest and the newest message in a shard's remediation log; `None` when it is empty.
    /// From the leader.
    pub async fn log_ends(&self, shard: Shard) -> Result<Option<(u64, u64)>, BusError> {
        let (stream, filter) = (topology::remediations(shard), subject::shard_log(shard));
        let Some(last) = self.last_in(&stream, filter.as_str()).await? else { return Ok(None) };
        let first = self.first_from(&stream, filter.as_str(), 1).await?;
        Ok(Some((first.map_or(last.sequence, |first| first.sequence), last.sequence)))
    }

    /// The epoch of the owner that has come last to a shard; `None` when it never had one. From the leader.
    pub async fn owner_epoch(&self, shard: Shard) -> Result<Option<u64>, BusError> {
        let newest = self.last_in(&topology::remediations(shard), subject::owners(shard).as_str()).await?;
        Ok(newest.and_then(|owner| subject::parse_owner(&owner.subject)))
    }

    /// One message of a shard's remediation log by its sequence, from the leader. `None` when it is not kept any more.
    pub async fn log_message(&self, shard: Shard, sequence: u64) -> Result<Option<LogMessage>, BusError> {
        self.message_at(&topology::remediations(shard), sequence).await
    }

    /// The sequence of the last message in a shard's remediation log; 0 when it is empty. From the leader.
    pub async fn last_sequence(&self, shard: Shard) -> Result<u64, BusError> {
        self.last_sequence_of(&topology::remediations(shard)).await
    }

    pub(crate) async fn last_sequence_of(&self, stream: &str) -> Result<u64, BusError> {
        let missing = || BusError::TopologyMissing { thing: format!("stream {stream}") };
        let info = self.stream_info(stream).await?.ok_or_else(missing)?;
        Ok(info["state"]["last_seq"].as_u64().unwrap_or_default())
    }

    /// A shard's remediation log from a sequence on, under filters that must not overlap, for ever.
    pub fn follow(&self, shard: Shard, filters: &[Subject], from_sequence: u64) -> LogFollow {
        let filters: Vec<String> = filters.iter().map(ToString::to_string).collect();
        LogFollow::over([Reader::new(self, &topology::remediations(shard), &filters, from_sequence)])
    }

    /// Everything in the log of incidents under a filter, in order, up to its end at the time of the call. Complete or
    /// an error.
    pub async fn read_incidents(&self, filter: &Subject) -> Result<Vec<LogMessage>, BusError> {
        self.read_all(topology::INCIDENTS, &[filter.to_string()]).await
    }

    /// The log of incidents from a sequence on, under filters that must not overlap, for ever.
    pub fn follow_incidents(&self, filters: &[Subject], from_sequence: u64) -> LogFollow {
        let filters: Vec<String> = filters.iter().map(ToString::to_string).collect();
        LogFollow::over([Reader::new(self, topology::INCIDENTS, &filters, from_sequence)])
    }

    /// Dead letters from a place on, for ever; each is a [`crate::DeadLetter`].
    pub fn follow_dead_letters(&self, from: u64) -> LogFollow {
        LogFollow::over([Reader::new(self, topology::DEAD, &[subject::dead_letters().to_string()], from)])
    }

    /// Everything about one remediation, in order. Empty when no shard knows it.
    pub async fn find_remediation(&self, id: RemediationId) -> Result<Vec<LogMessage>, BusError> {
        let shards = self.topology().await?.shards();
        let found = futures::future::try_join_all(
            shards
                .map(|shard| async move { self.read_log(shard, &subject::remediation_of(shard, id)).await }),
        )
        .await?;
        // An instance, and so a remediation, lives in one shard.
        Ok(found.into_iter().find(|messages| !messages.is_empty()).unwrap_or_default())
    }

    /// Everything about one remediation from its beginning, for ever, whichever shard it turns up in.
    pub async fn follow_remediation(&self, id: RemediationId) -> Result<LogFollow, BusError> {
        let shards = self.topology().await?.shards();
        Ok(LogFollow::over(shards.map(|shard| {
            let filter = subject::remediation_of(shard, id).to_string();
            Reader::new(self, &topology::remediations(shard), &[filter], 1)
        })))
    }
}

/// An endless reading of remediation logs. Heals itself over reconnects and restarts of the server, without losing or
/// repeating a message.
pub struct LogFollow {
    messages: SelectAll<BoxStream<'static, Result<LogMessage, BusError>>>,
}

impl LogFollow {
    pub(crate) fn over(readers: impl IntoIterator<Item = Reader>) -> Self {
        let endless = |reader| {
            unfold(reader, |mut reader: Reader| async move {
                let message = reader.next().await;
                Some((message, reader))
            })
            .boxed()
        };
        Self { messages: select_all(readers.into_iter().map(endless)) }
    }

    /// The next message. An error says that nothing has worked for 16 s; call again to go on waiting. Cancel-safe.
    pub async fn next(&mut self) -> Result<LogMessage, BusError> {
        match self.messages.next().await {
            Some(message) => message,
            // Only a follow over no shard at all ends.
            None => std::future::pending().await,
        }
    }
}
