//! Draining: take nothing new, finish what you took.

use tokio_util::sync::CancellationToken;

/// Whether this process is asked to end. Clones ask the same thing; once asked for, a drain is never taken back.
#[derive(Debug, Clone, Default)]
pub struct Drain(CancellationToken);

impl Drain {
    /// Nobody has asked for it yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the drain. The chassis does it at the first signal; a service does it when it cannot go on.
    pub fn request(&self) {
        self.0.cancel();
    }

    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until the drain is asked for; returns at once when it was.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// What `next` yields, or None as soon as a drain is asked for.
    ///
    /// Put the *taking* of work in here, never the work itself: `next` is dropped where it waits. When both are true at
    /// once the drain wins, so nothing new is taken.
    pub async fn unless_draining<T>(&self, next: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.requested() => None,
            taken = next => Some(taken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_taken_until_the_drain_is_asked_for_and_not_after() {
        let drain = Drain::new();
        assert!(!drain.is_requested());
        assert_eq!(drain.unless_draining(async { 1 }).await, Some(1));

        let elsewhere = drain.clone();
        let (waited, ()) = tokio::join!(drain.unless_draining(std::future::pending::<()>()), async {
            elsewhere.request();
        });
        assert_eq!(waited, None, "waiting ends when somebody else asks");
        assert!(drain.is_requested());
        assert_eq!(drain.unless_draining(async { 2 }).await, None, "ready work is left for the next process");
        drain.requested().await;
    }
}
