//! What the gateway decides where no record of the bus says it: refusals, and alerts about which nothing is done. Told as
//! notices in the log of shard 0, from where the audit trail takes them as everything else.
//!
//! Invariant: no request waits for this. A flood tells little: the same thing is told at once, and then its number every ten
//! minutes; so many records an hour, so many things that wait.

mod slips; // What waits to be told: pure.

use std::{sync::Mutex, sync::MutexGuard, sync::PoisonError, time::Duration};

use axum::{
    http::{Method, StatusCode},
    response::Response,
};
use instance_bus::{Headers, PublishError};
use instance_contract::{InstanceName, Notice, NoticeKind, NoticeSource, Shard, TraceId, subject};
use tokio::{sync::Notify, time::Instant};

use self::slips::{Slip, Slips, What};
use crate::{
    Gateway,
    limit::Limit,
    problem::{Told, ToldElsewhere},
};

/// The shard in whose log notices stand.
const SHARD: Shard = Shard(0);
/// So many records an hour on and on,
const PER_HOUR: u16 = 120;
/// so many at once.
const AT_ONCE: u16 = 60;
/// Until what waits is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// For the last words of a gateway that is drained.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Places are times in microseconds: two gateways may choose the same one.
const PLACES: u64 = 100;

/// What was decided and is not told yet.
pub(crate) struct Decisions {
    slips: Mutex<Slips>,
    something: Notify,
    limit: Limit,
}

impl Default for Decisions {
    fn default() -> Self {
        Self { slips: Mutex::default(), something: Notify::new(), limit: Limit::hourly(PER_HOUR, AT_ONCE) }
    }
}

impl Decisions {
    /// A request has its answer: one that was refused is told.
    pub(crate) fn answered(
        &self,
        gateway: &Gateway,
        caller: Option<&str>,
        method: &str,
        route: &str,
        response: &Response,
    ) {
        let status = response.status();
        if !is_refusal(method, status) || response.extensions().get::<ToldElsewhere>().is_some() {
            return;
        }
        let who = caller.unwrap_or("somebody without a known credential");
        // Who is nobody is told as one, whatever it asks for.
        let asked =
            if caller.is_some() { format!("{method} {route}") } else { "what it asks for".to_owned() };
        let why = response.extensions().get::<Told>().map(|told| told.0.clone()).unwrap_or_default();
        let what = What {
            kind: NoticeKind::Refused,
            text: format!("refuses {who}: {asked}, with {}", status.as_u16()),
            instance: None,
        };
        let trace_id = caller.and_then(|_| instance_bus::current_trace_id());
        self.note(gateway, what, why, trace_id);
    }

    /// Something about an alert that no other record tells.
    pub(crate) fn alert(&self, gateway: &Gateway, text: String, instance: Option<InstanceName>, why: String) {
        let what = What { kind: NoticeKind::Alerted, text, instance };
        self.note(gateway, what, why, instance_bus::current_trace_id());
    }

    fn note(&self, gateway: &Gateway, what: What, why: String, trace_id: Option<TraceId>) {
        let why = instance_redaction::redacted(why).chars().take(Slip::LONGEST_WHY).collect();
        self.slips().note(what, Slip { at: gateway.clock.now(), why, trace_id, times: 1 });
        self.something.notify_one();
    }

    fn slips(&self) -> MutexGuard<'_, Slips> {
        self.slips.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that may not, a command or an answer that breaks rules. Not a question whose answer is no.
fn is_refusal(method: &str, status: StatusCode) -> bool {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => true,
        StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => method == Method::POST.as_str(),
        _ => false,
    }
}

/// Tells what was decided until drained, and then what still waits.
pub(crate) async fn keep(gateway: &Gateway) {
    let telling = async {
        loop {
            // Also without anything new: what was put off may be due.
            let _ = tokio::time::timeout(LOOK_AGAIN, gateway.decisions.something.notified()).await;
            tell(gateway, false).await;
        }
    };
    let _: Option<std::convert::Infallible> = gateway.drain.unless_draining(telling).await;
}

/// What still waits, at the end.
pub(crate) async fn last_words(gateway: &Gateway) {
    if tokio::time::timeout(LAST_WORDS, tell(gateway, true)).await.is_err() {
        tracing::warn!("what was refused last is not in the audit trail: the bus did not answer");
    }
}

async fn tell(gateway: &Gateway, last: bool) {
    let decisions = &gateway.decisions;
    loop {
        let Some((what, slip)) = decisions.slips().due(Instant::now(), last, || decisions.limit.allows())
        else {
            return;
        };
        if let Err(error) = write(gateway, &what, &slip).await {
            let error = instance_chassis::error_chain(&error);
            tracing::warn!(error, "a refusal is not in the audit trail yet");
            decisions.slips().put_back(what, slip);
            return;
        }
    }
}

async fn write(gateway: &Gateway, what: &What, slip: &Slip) -> Result<(), PublishError> {
    let times = if slip.times > 1 { format!(", {} times", slip.times) } else { String::new() };
    let notice = Notice {
        schema: Notice::SCHEMA.to_owned(),
        kind: what.kind,
        at: slip.at,
        who: "gateway".to_owned(),
        what: format!("{}{times}", what.text),
        why: slip.why.clone(),
        digest: None,
        instance: what.instance.clone(),
        trace_id: slip.trace_id.clone(),
    };
    let first = u64::try_from(slip.at.as_microsecond()).unwrap_or_default();
    let mut place = first;
    loop {
        let subject = subject::notice(SHARD, NoticeSource::Gateway, place);
        match gateway.bus.publish_once_confirmed(&subject, &notice, Headers::new()).await {
            Err(PublishError::Exists { .. }) if place < first + PLACES => place += 1,
            written => return written.map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_whose_answer_is_no_is_no_refusal() {
        for (method, status, told) in [
            ("GET", 401, true),
            ("GET", 403, true),
            ("POST", 403, true),
            ("POST", 409, true),
            ("POST", 422, true),
            ("GET", 409, false),
            ("GET", 404, false),
            ("POST", 429, false),
            ("POST", 503, false),
            ("POST", 202, false),
        ] {
            assert_eq!(is_refusal(method, StatusCode::from_u16(status).unwrap()), told, "{method} {status}");
        }
    }
}
