//! The buckets: which host serves an instance, the kill switch, and where open remediations begin.

use bytes::Bytes;
use instance_contract::{AgentKind, HostName, InstanceName, Shard};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Bus, BusError, Headers, LogFollow, LogMessage, PublishError, Written,
    headers::EXPECTED_LAST_SUBJECT_SEQUENCE,
    reader::Reader,
    topology::{CONTROL, HOSTS, OPEN},
};

/// Header that marks a deleted key.
const OPERATION: &str = "KV-Operation";
/// Header that says who has taken a halt back.
const ORDERED_BY: &str = "Instance-By";
pub(crate) const HALT_KEY: &str = "halt";

/// Another host already serves that instance with that agent. Starting a second one would act twice.
#[derive(Debug, thiserror::Error)]
pub enum AlreadyServed {
    #[error("{agent} of instance \"{instance}\" already runs on host \"{host}\"")]
    By { instance: InstanceName, agent: AgentKind, host: HostName },
    #[error("could not register {agent} of instance \"{instance}\"")]
    Bus {
        instance: InstanceName,
        agent: AgentKind,
        #[source]
        source: BusError,
    },
}

/// Which host serves which instance with which agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedBy {
    pub instance: InstanceName,
    pub agent: AgentKind,
    pub host: HostName,
    pub since: Timestamp,
}

/// Who stopped all acting, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltOrder {
    pub by: String,
    pub reason: String,
    pub at: Timestamp,
}

/// What was done to the kill switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HaltChange {
    Halted(HaltOrder),
    /// By whom, where that was said.
    Lifted {
        by: Option<String>,
    },
}

impl HaltChange {
    /// From a message of [`Bus::follow_halts`].
    pub fn of(message: &LogMessage) -> Result<Self, BusError> {
        let by = message.headers.get(ORDERED_BY).map(str::to_owned);
        match Entry::from(message.clone()).value {
            Some(value) => decode(CONTROL, HALT_KEY, &value).map(Self::Halted),
            None => Ok(Self::Lifted { by }),
        }
    }
}

/// Where the open remediations of a shard begin. Only a hint: the log after it is read too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenHint {
    /// Sequences of `accepted` messages without an `ended`.
    pub accepted: Vec<u64>,
    /// Every `accepted` message up to this sequence is among them or has ended.
    pub read_to: u64,
    /// Of the owner who wrote it. The hint of one who was followed by another says nothing.
    pub epoch: u64,
    /// Restarts of the day before, which policy counts; those told after `read_to` may be missing.
    pub restarts: Vec<(InstanceName, Timestamp)>,
}

impl Bus {
    /// Says that this host serves an instance with an agent. Saying it twice is fine; another host is refused.
    pub async fn register_host(
        &self,
        instance: &InstanceName,
        agent: AgentKind,
        host: &HostName,
    ) -> Result<(), AlreadyServed> {
        let failed = |source| AlreadyServed::Bus { instance: instance.clone(), agent, source };
        let key = host_key(instance, agent);
        let found = self.kv_entry(HOSTS, &key).await.map_err(failed)?;
        let revision = found.as_ref().map_or(0, |entry| entry.revision);
        if found.is_none_or(|entry| entry.value.is_none()) {
            let value =
                ServedBy { instance: instance.clone(), agent, host: host.clone(), since: self.clock.now() };
            match self.kv_write(HOSTS, &key, &value, revision).await {
                Ok(_) => return Ok(()),
                // Somebody was faster, or nobody knows: what stands there now decides.
                Err(BusError::Publish(PublishError::Exists { .. } | PublishError::Unknown { .. })) => {}
                Err(source) => return Err(failed(source)),
            }
        }
        match self.host_of(instance, agent).await.map_err(failed)? {
            Some(other) if other != *host => {
                Err(AlreadyServed::By { instance: instance.clone(), agent, host: other })
            }
            Some(_) => Ok(()),
            None => {
                Err(failed(BusError::NoAnswer { operation: "write", thing: format!("key {key} of {HOSTS}") }))
            }
        }
    }

    /// Takes an entry out, so that another host may serve the instance.
    pub async fn forget_host(&self, instance: &InstanceName, agent: AgentKind) -> Result<(), BusError> {
        let key = host_key(instance, agent);
        match self.kv_entry(HOSTS, &key).await? {
            Some(entry) if entry.value.is_some() => {
                self.kv_delete(HOSTS, &key, entry.revision).await.map(|_| ())
            }
            _ => Ok(()),
        }
    }

    /// The host that serves an instance with an agent; `None`: nobody does.
    pub async fn host_of(
        &self,
        instance: &InstanceName,
        agent: AgentKind,
    ) -> Result<Option<HostName>, BusError> {
        let key = host_key(instance, agent);
        let entry = self.kv_entry(HOSTS, &key).await?.and_then(|entry| entry.value);
        match entry {
            Some(value) => Ok(Some(decode::<ServedBy>(HOSTS, &key, &value)?.host)),
            None => Ok(None),
        }
    }

    /// Every instance that is served, with its agents and hosts.
    pub async fn hosts(&self) -> Result<Vec<ServedBy>, BusError> {
        let entries = self.read_all(&format!("KV_{HOSTS}"), &[format!("$KV.{HOSTS}.>")]).await?;
        let live = entries.into_iter().map(Entry::from).filter_map(|entry| entry.value);
        live.map(|value| decode(HOSTS, "an entry", &value)).collect()
    }

    /// True while a person has stopped all acting. An error means that it cannot be told: treat it as halted.
    pub async fn is_halted(&self) -> Result<bool, BusError> {
        // Whatever stands there halts, also what we cannot read.
        Ok(self.kv_entry(CONTROL, HALT_KEY).await?.is_some_and(|entry| entry.value.is_some()))
    }

    /// Who halted, and why. `None`: acting is allowed.
    pub async fn halt_order(&self) -> Result<Option<HaltOrder>, BusError> {
        let entry = self.kv_entry(CONTROL, HALT_KEY).await?.and_then(|entry| entry.value);
        entry.map(|value| decode(CONTROL, HALT_KEY, &value)).transpose()
    }

    /// Stops all acting, until [`Bus::lift_halt`].
    pub async fn halt(&self, by: &str, reason: &str) -> Result<(), BusError> {
        let order = HaltOrder { by: by.to_owned(), reason: reason.to_owned(), at: self.clock.now() };
        self.kv_put(CONTROL, HALT_KEY, &order).await
    }

    pub async fn lift_halt(&self, by: &str) -> Result<(), BusError> {
        match self.kv_entry(CONTROL, HALT_KEY).await? {
            Some(entry) if entry.value.is_some() => {
                let headers = Headers::new().with(ORDERED_BY, by);
                self.kv_delete_with(CONTROL, HALT_KEY, entry.revision, headers).await.map(|_| ())
            }
            _ => Ok(()),
        }
    }

    /// Halts and their ends from a place in their bucket on, for ever; see [`HaltChange::of`].
    pub fn follow_halts(&self, from: u64) -> LogFollow {
        let halts = kv_subject(CONTROL, HALT_KEY);
        LogFollow::over([Reader::new(self, &format!("KV_{CONTROL}"), &[halts], from)])
    }

    /// Where to begin reading a shard's log. Empty when there is no hint or it cannot be read as one.
    pub async fn open_hint(&self, shard: Shard) -> Result<OpenHint, BusError> {
        let entry = self.kv_entry(OPEN, &shard.to_string()).await?.and_then(|entry| entry.value);
        Ok(entry.and_then(|value| serde_json::from_slice(&value).ok()).unwrap_or_default())
    }

    pub async fn put_open_hint(&self, shard: Shard, hint: &OpenHint) -> Result<(), BusError> {
        self.kv_put(OPEN, &shard.to_string(), hint).await
    }

    /// What stands under a key, read through the leader. `None`: never written, or forgotten.
    pub(crate) async fn kv_entry(&self, bucket: &str, key: &str) -> Result<Option<Entry>, BusError> {
        Ok(self.last_in(&format!("KV_{bucket}"), &kv_subject(bucket, key)).await?.map(Entry::from))
    }

    /// Writes a key that is still at that revision (0: not there).
    pub(crate) async fn kv_write(
        &self,
        bucket: &str,
        key: &str,
        value: &(impl Serialize + Sync),
        revision: u64,
    ) -> Result<Written, BusError> {
        let headers = Headers::new().with(EXPECTED_LAST_SUBJECT_SEQUENCE, &revision.to_string());
        let payload = encode(bucket, key, value)?;
        Ok(self.publish_stored(&kv_subject(bucket, key), payload, headers).await?)
    }

    /// Leaves the mark of a deletion on a key that is still at that revision.
    pub(crate) async fn kv_delete(
        &self,
        bucket: &str,
        key: &str,
        revision: u64,
    ) -> Result<Written, BusError> {
        self.kv_delete_with(bucket, key, revision, Headers::new()).await
    }

    async fn kv_delete_with(
        &self,
        bucket: &str,
        key: &str,
        revision: u64,
        headers: Headers,
    ) -> Result<Written, BusError> {
        let headers =
            headers.with(EXPECTED_LAST_SUBJECT_SEQUENCE, &revision.to_string()).with(OPERATION, "DEL");
        Ok(self.publish_stored(&kv_subject(bucket, key), Bytes::new(), headers).await?)
    }

    /// Writes whatever stood there before: for hints and orders, never for leases.
    pub(crate) async fn kv_put(
        &self,
        bucket: &str,
        key: &str,
        value: &(impl Serialize + Sync),
    ) -> Result<(), BusError> {
        let payload = encode(bucket, key, value)?;
        self.publish_stored(&kv_subject(bucket, key), payload, Headers::new()).await?;
        Ok(())
    }
}

/// A key's newest write.
pub(crate) struct Entry {
    pub(crate) revision: u64,
    /// `None`: deleted.
    pub(crate) value: Option<Bytes>,
}

impl From<LogMessage> for Entry {
    fn from(message: LogMessage) -> Self {
        let deleted = message.headers.get(OPERATION).is_some();
        Self { revision: message.sequence, value: (!deleted).then_some(message.payload) }
    }
}

pub(crate) fn kv_subject(bucket: &str, key: &str) -> String {
    format!("$KV.{bucket}.{key}")
}

fn host_key(instance: &InstanceName, agent: AgentKind) -> String {
    format!("{}.{agent}", instance.token())
}

fn encode(bucket: &str, key: &str, value: &impl Serialize) -> Result<Bytes, BusError> {
    let text = serde_json::to_vec(value);
    text.map(Bytes::from).map_err(|error| BusError::failed("encode", format!("key {key} of {bucket}"), error))
}

fn decode<T: DeserializeOwned>(bucket: &str, key: &str, value: &[u8]) -> Result<T, BusError> {
    serde_json::from_slice(value).map_err(|source| BusError::unreadable(format!("{key} of {bucket}"), source))
}
