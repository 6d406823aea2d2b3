//! Users are waited for before an instance is stopped.
//!
//! The product has no command that only keeps new users out: `iris stop` itself does that, and gives those who are
//! there `ShutdownTimeout` before it ends them. So draining is waiting, and then that stop.

use std::time::{Duration, Instant};

use instance_chassis::crash_point;
use instance_contract::WhenUsersStay;

use crate::{
    error::RestartError,
    observe::{Observed, Site},
    users::{METRICS_LIMIT, Users},
};

/// How often users are looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// The last look begins at the end of the wait. It may take so much longer, or a twentieth of the wait.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// What came of the wait.
#[derive(Debug, Clone, PartialEq)]
pub struct Drained {
    pub took: Duration,
    /// Who was there at the beginning.
    pub before: Users,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// Waits until nobody works in the instance, at most for `limit`. What cannot be seen is not taken for nobody.
pub fn drain(
    site: &Site<'_>,
    observed: &Observed,
    when_users_stay: WhenUsersStay,
    limit: Duration,
) -> Result<Drained, RestartError> {
    let began = Instant::now();
    crash_point("restart.users-to-count");
    let before = Users::of(site, observed, METRICS_LIMIT);
    crash_point("restart.users-counted");
    if before.are_there() {
        tracing::info!(instance = %site.instance.name, users = %before, ?limit, "waiting for users to leave");
    }
    let mut now = before.clone();
    loop {
        // A door that is shut may open again; whoever stops anyhow need not wait for that.
        let may_be_blind = now.unseen.is_empty() || when_users_stay == WhenUsersStay::Stop;
        if !now.are_there() && may_be_blind {
            break;
        }
        let left = limit.saturating_sub(began.elapsed());
        if left.is_zero() {
            match when_users_stay {
                WhenUsersStay::Stop => break,
                WhenUsersStay::Answer if now.are_there() => {
                    let seconds = began.elapsed().as_secs();
                    return Err(RestartError::UsersRemain { seconds, users: now.to_string() });
                }
                WhenUsersStay::Answer => {
                    return Err(RestartError::UsersUnseen { unseen: now.unseen.join(", ") });
                }
            }
        }
        std::thread::sleep(LOOK_AGAIN.min(left));
        let left = limit.saturating_sub(began.elapsed());
        let before =
            std::mem::replace(&mut now, Users::of(site, observed, left.max(LAST_LOOK.max(limit / 20))));
        now.remember(&before);
    }
    let mut warnings = Vec::new();
    if now.are_there() {
        warnings.push(format!("stopped although users were there: {now}"));
    }
    if !now.unseen.is_empty() {
        warnings.push(format!("could not see before the stop: {}", now.unseen.join(", ")));
    }
    Ok(Drained { took: began.elapsed(), before, warnings })
}
