//! Waiting for the ends of workflows, once they are stored.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use async_nats::jetstream::{
    Context,
    consumer::{AckPolicy, DeliverPolicy, push},
};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::{sync::oneshot, task::JoinSet};

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Bytes>>>>;

/// Everybody who waits for an end. The server tells of it when the record is stored, not when it is sent.
pub struct Endings {
    waiting: Waiting,
    _readers: JoinSet<()>,
}

impl Endings {
    /// Watch the `ended` records of these streams, given with the filter of each.
    pub async fn watch(js: &Context, streams: &[(String, String)]) -> Result<Self> {
        let waiting = Waiting::default();
        let mut readers = JoinSet::new();
        for (stream, filter) in streams {
            let config = push::Config {
                deliver_subject: js.client().new_inbox(),
                filter_subject: filter.clone(),
                ack_policy: AckPolicy::None,
                deliver_policy: DeliverPolicy::New,
                memory_storage: true,
                ..push::Config::default()
            };
            let consumer = js.get_stream(stream).await?.create_consumer(config).await?;
            let mut messages = consumer.messages().await.context("could not follow the ends")?;
            let waiting = Arc::clone(&waiting);
            readers.spawn(async move {
                while let Some(message) = messages.next().await {
                    let Ok(message) = message else { continue };
                    // `....<id>.ended`
                    let id = message.subject.rsplit('.').nth(1).unwrap_or_default();
                    if let Some(waiter) = lock(&waiting).remove(id) {
                        let _ = waiter.send(message.payload.clone());
                    }
                }
            });
        }
        Ok(Self { waiting, _readers: readers })
    }

    /// To be called before the workflow is asked for.
    pub fn expect(&self, id: &str) -> oneshot::Receiver<Bytes> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(id.to_owned(), sender);
        receiver
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
