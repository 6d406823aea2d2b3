//! Answers in this process.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};

use super::{Level, LevelError};

pub(super) const NAME: &str = "memory";

#[derive(Debug)]
pub(super) struct Memory(moka::future::Cache<String, Arc<[u8]>>);

impl Memory {
    /// An entry weighs at least its share of all bytes, so that the weights bound bytes and entries at once.
    pub fn new(entries: u64, bytes: u64, life: Duration) -> Self {
        let share = u32::try_from(bytes / entries.max(1)).unwrap_or(u32::MAX);
        let weigh = move |key: &String, value: &Arc<[u8]>| {
            u32::try_from(key.len() + value.len()).unwrap_or(u32::MAX).max(share)
        };
        Self(moka::future::Cache::builder().max_capacity(bytes).weigher(weigh).time_to_live(life).build())
    }
}

impl Level for Memory {
    fn name(&self) -> &'static str {
        NAME
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, LevelError>> {
        async { Ok(self.0.get(key).await.map(|value| value.to_vec())) }.boxed()
    }

    fn put<'a>(&'a self, key: &'a str, value: Arc<[u8]>) -> BoxFuture<'a, Result<(), LevelError>> {
        async {
            self.0.insert(key.to_owned(), value).await;
            Ok(())
        }
        .boxed()
    }

    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), LevelError>> {
        async {
            self.0.invalidate(key).await;
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn filled(memory: &Memory, count: usize, size: usize) -> (u64, u64) {
        for at in 0..count {
            memory.put(&at.to_string(), vec![0; size].into()).await.unwrap();
        }
        memory.0.run_pending_tasks().await;
        (memory.0.entry_count(), memory.0.weighted_size())
    }

    #[tokio::test]
    async fn entries_and_bytes_are_both_bounded() {
        let life = Duration::from_mins(1);
        let (entries, _) = filled(&Memory::new(10, 100_000, life), 50, 1).await;
        assert!((1..=10).contains(&entries), "{entries}");
        let (entries, bytes) = filled(&Memory::new(10, 100_000, life), 50, 40_000).await;
        assert!((1..=2).contains(&entries) && bytes <= 100_000, "{entries} {bytes}");
    }
}
