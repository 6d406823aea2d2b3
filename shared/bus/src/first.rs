//! The first message of a story: written only where nothing of it stands yet, under any subject.

use async_nats::StatusCode;
use bytes::Bytes;
use futures::future::try_join_all;
use instance_contract::{Shard, subject::Subject};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    Bus, BusError, Headers, PublishError, Written,
    api::RETRY_PAUSE,
    connect::UNAVAILABLE_FOR,
    headers::{EXPECTED_LAST_SUBJECT_SEQUENCE, EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT},
    topology,
};

/// Of this server on, the condition of a publish may name other subjects than its own, and one question many subjects.
pub(crate) const KNOWS_THE_CONDITION: (u64, u64) = (2, 11);

impl Bus {
    /// Writes `subject` when nothing stands under `filter`, which includes it, or says that something does
    /// ([`PublishError::Exists`]). As [`Bus::publish_once_confirmed_bytes`] it finds out what became of a lost answer,
    /// so two callers that may race must write different bytes.
    ///
    /// A server before 2.11 is asked first; between the question and the write another caller may write another
    /// subject under the filter, never the same one.
    pub async fn publish_first_confirmed(
        &self,
        filter: &Subject,
        subject: &Subject,
        payload: Bytes,
    ) -> Result<Written, PublishError> {
        let mut headers = Headers::new();
        if self.server_is_at_least(KNOWS_THE_CONDITION) {
            headers.set(EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, filter.as_str());
        } else if self.newest_under(filter).await?.is_some() {
            // Also when it was this caller who wrote it in an earlier life: then it knows, or reads it.
            return Err(PublishError::Exists { subject: subject.to_string() });
        }
        headers.set(EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        match self.publish_when(subject, &payload, &headers).await {
            Err(PublishError::Unmet { subject }) => Err(PublishError::Exists { subject }),
            settled => settled,
        }
    }

    /// Writes under the condition of the headers, and finds out what became of a lost answer: while there is no leader it
    /// tries again for 16 s.
    pub(crate) async fn publish_when(
        &self,
        subject: &Subject,
        payload: &Bytes,
        headers: &Headers,
    ) -> Result<Written, PublishError> {
        let deadline = Instant::now() + UNAVAILABLE_FOR;
        let mut in_doubt = false;
        loop {
            let outcome = self.publish_raw(subject.as_str(), payload.clone(), headers.clone()).await;
            in_doubt |= matches!(outcome, Err(PublishError::Unknown { .. }));
            match outcome {
                Err(refusal @ (PublishError::Exists { .. } | PublishError::Unmet { .. })) if in_doubt => {
                    return self.ours(subject, payload).await?.ok_or(refusal);
                }
                Err(PublishError::Unavailable { .. } | PublishError::Unknown { .. })
                    if Instant::now() < deadline => {}
                settled => return settled,
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// True when a shard's log holds nothing on any of these subjects. One question, however many they are (up to
    /// 1,024); a replica that is behind may answer it.
    pub async fn is_new_in(&self, shard: Shard, subjects: &[Subject]) -> Result<bool, BusError> {
        let stream = topology::remediations(shard);
        if !self.server_is_at_least(KNOWS_THE_CONDITION) {
            let found = subjects.iter().map(|subject| self.last_in(&stream, subject.as_str()));
            return Ok(try_join_all(found).await?.iter().all(Option::is_none));
        }
        let subjects: Vec<&str> = subjects.iter().map(Subject::as_str).collect();
        let question = json!({ "multi_last": subjects, "batch": 1 }).to_string();
        let (operation, thing) = ("look into", format!("stream {stream}"));
        let request = async_nats::Request::new().payload(question.into());
        let asked = self.client.send_request(format!("$JS.API.DIRECT.GET.{stream}"), request);
        let answer = match self.answered(asked).await {
            None => return Err(BusError::NoAnswer { operation, thing }),
            Some(Err(error)) => return Err(BusError::failed(operation, thing, error)),
            Some(Ok(answer)) => answer,
        };
        match answer.status {
            None => Ok(false),
            Some(StatusCode::NOT_FOUND) => Ok(true),
            Some(status) => Err(BusError::refused(operation, thing, status.to_string())),
        }
    }

    /// One of our own answers was lost: is what stands there ours?
    async fn ours(&self, subject: &Subject, payload: &Bytes) -> Result<Option<Written>, PublishError> {
        let found = self.newest_under(subject).await?.filter(|message| message.payload == *payload);
        Ok(found.map(|message| Written { sequence: message.sequence, duplicate: false }))
    }

    async fn newest_under(&self, filter: &Subject) -> Result<Option<crate::LogMessage>, PublishError> {
        let failed =
            |source| PublishError::ReadAgain { subject: filter.to_string(), source: Box::new(source) };
        let stream = topology::stream_of(filter.as_str()).ok_or_else(|| {
            failed(BusError::refused("find", format!("the stream of \"{filter}\""), "not in the table"))
        })?;
        self.last_in(&stream, filter.as_str()).await.map_err(failed)
    }
}
