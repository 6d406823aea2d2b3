//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until `condition` gives a value.
///
/// # Panics
/// When it has given none by `deadline` (a length of time from now). The message names the place of the call.
#[track_caller]
pub fn eventually<T, F>(deadline: Duration, condition: impl FnMut() -> F) -> impl Future<Output = T>
where
    F: Future<Output = Option<T>>,
{
    // An async function would report its own place.
    look(deadline, condition, std::panic::Location::caller())
}

async fn look<T, F>(
    deadline: Duration,
    mut condition: impl FnMut() -> F,
    asked_at: &'static std::panic::Location<'static>,
) -> T
where
    F: Future<Output = Option<T>>,
{
    let began = Instant::now();
    loop {
        let left = deadline.saturating_sub(began.elapsed());
        // A condition that hangs is a condition that does not hold.
        if let Ok(Some(value)) = tokio::time::timeout(left, condition()).await {
            return value;
        }
        assert!(began.elapsed() < deadline, "the condition at {asked_at} did not hold within {deadline:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_is_looked_at_again_until_it_holds() {
        let mut looks = 0;
        let found = eventually(Duration::from_secs(5), || {
            looks += 1;
            let enough = (looks == 3).then_some(looks);
            async move { enough }
        })
        .await;
        assert_eq!(found, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "did not hold within")]
    async fn a_condition_that_never_holds_fails_the_test() {
        eventually(Duration::from_millis(50), || async { None::<()> }).await;
    }

    #[tokio::test]
    #[should_panic(expected = "did not hold within")]
    async fn a_condition_that_hangs_fails_the_test() {
        eventually(Duration::from_millis(50), std::future::pending::<Option<()>>).await;
    }
}
