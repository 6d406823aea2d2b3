//! The audit trail: appended to behind its newest message, and read up to its end. Other streams are read so too.

use bytes::Bytes;
use instance_contract::{
    Shard,
    subject::{self, Subject},
};

use crate::{
    Bus, BusError, Headers, LogMessage, PublishError, Written,
    connect::UNAVAILABLE_FOR,
    headers::EXPECTED_LAST_SUBJECT_SEQUENCE,
    reader::Reader,
    topology::{self, AUDIT, ERRORS},
};

impl Bus {
    /// The newest message of a shard's audit trail, from the leader. `None` while there is none.
    pub async fn newest_audit(&self, shard: Shard) -> Result<Option<LogMessage>, BusError> {
        self.last_in(AUDIT, subject::audit(shard).as_str()).await
    }

    /// Appends to a shard's audit trail, when its newest message is still the one at `after` (0: there is none). If it
    /// is another one, somebody was faster, and this is [`PublishError::Exists`]. After a lost answer, look at the
    /// newest message.
    pub async fn append_audit(
        &self,
        shard: Shard,
        after: u64,
        payload: Bytes,
    ) -> Result<Written, PublishError> {
        let headers = Headers::new().with(EXPECTED_LAST_SUBJECT_SEQUENCE, &after.to_string());
        // No span: it tells of many remediations, and of none in particular.
        self.publish_stored(subject::audit(shard).as_str(), payload, headers).await
    }

    /// A shard's audit trail from its oldest message on, up to the end at the time of the call.
    pub async fn read_audit(&self, shard: Shard) -> Result<Reading, BusError> {
        Reading::of(self, AUDIT, subject::audit(shard)).await
    }

    /// A shard's remediation log from its oldest message on, up to the end at the time of the call.
    pub async fn read_whole_log(&self, shard: Shard) -> Result<Reading, BusError> {
        Reading::of(self, &topology::remediations(shard), subject::shard_log(shard)).await
    }

    /// IrisMessages under a filter, from the oldest that is kept to the end at the time of the call.
    pub async fn read_errors(&self, filter: Subject) -> Result<Reading, BusError> {
        Reading::of(self, ERRORS, filter).await
    }
}

/// A reading with an end, message by message, so that the whole need not fit into memory.
pub struct Reading {
    /// `None` when the end is reached.
    reader: Option<Reader>,
    stream: String,
    end: u64,
}

impl Reading {
    async fn of(bus: &Bus, stream: &str, filter: Subject) -> Result<Self, BusError> {
        let end = bus.last_in(stream, filter.as_str()).await?.map_or(0, |last| last.sequence);
        let reader = (end > 0).then(|| Reader::new(bus, stream, &[filter.to_string()], 1));
        Ok(Self { reader, stream: stream.to_owned(), end })
    }

    /// The next message; `None` at the end. A reading that does not get there is an error, never a short list.
    pub async fn next(&mut self) -> Result<Option<LogMessage>, BusError> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let Ok(message) = tokio::time::timeout(UNAVAILABLE_FOR, reader.next()).await else {
            let thing = format!("stream {} up to message {}", self.stream, self.end);
            return Err(BusError::NoAnswer { operation: "read", thing });
        };
        let message = message?;
        if message.sequence >= self.end
            && let Some(reader) = self.reader.take()
        {
            reader.close().await;
        }
        Ok((message.sequence <= self.end).then_some(message))
    }
}
