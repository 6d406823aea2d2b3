//! Who drives a shard, and who does not.

use std::time::Duration;

use instance_contract::{AnswerStatus, Carriers, OverallStatus, Shard, StepStatus};
use instance_testkit::eventually;

use crate::desk::{self, Desk, command};

/// The lease of a dead router lives for three seconds, and the others look twice a second.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(5);
/// Less than a lease lives: who finds its own name in it does not wait for its end.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Waits until one router, as this process, holds every shard; who that process is.
async fn holds_all(desk: &Desk, router: &str, not: &[String], within: Duration) -> Vec<String> {
    let shards: Vec<Shard> = desk.bus.topology().await.unwrap().shards().collect();
    eventually(within, || async {
        let mut processes = Vec::new();
        for shard in &shards {
            let holder = desk.bus.lease_holder(*shard).await.ok()??;
            (holder.router == router && !not.contains(&holder.process)).then_some(())?;
            processes.push(holder.process);
        }
        Some(processes)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_router_takes_over_within_five_seconds_and_the_same_one_at_once() {
    let desk = Desk::new().await;
    let first = desk.router("first");
    let first_process = holds_all(&desk, "first", &[], TAKEN_OVER_WITHIN).await;
    let second = desk.router("second");
    first.kill();
    let second_process = holds_all(&desk, "second", &first_process, TAKEN_OVER_WITHIN).await;
    second.kill();
    let _again = desk.router("second");
    holds_all(&desk, "second", &second_process, AT_ONCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_without_the_lease_takes_nothing() {
    let desk = Desk::new().await;
    let mut leases = Vec::new();
    for shard in desk.bus.topology().await.unwrap().shards() {
        let mut lease = desk.bus.lease(shard, "somebody", "else");
        assert!(lease.try_acquire().await.unwrap());
        leases.push(lease);
    }
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let _router = desk.router_with("a", desk::often());
    let payload = command(40, "PROD");
    let answer = desk.ask(&payload, "PROD");
    tokio::pin!(answer);
    // Long enough to try for the lease three times, and short enough that it lives.
    let early = tokio::time::timeout(Duration::from_millis(1_500), &mut answer).await;
    assert!(early.is_err(), "it was taken without the lease: {early:?}");
    for lease in &mut leases {
        lease.release().await.unwrap();
    }
    assert_eq!(answer.await.status, AnswerStatus::Accepted);
}

/// The first of three layers; agents that know nothing of it would act.
#[tokio::test(flavor = "multi_thread")]
async fn what_carries_instance_is_refused_by_the_router_alone() {
    let desk = Desk::new().await;
    let carriers = Carriers(vec!["OPS".to_owned()]);
    let _router = desk.router_sparing("a", desk::often(), carriers);
    desk.agents("OPS", |_| Some(StepStatus::Success)).await;
    let answer = desk.ask(&command(41, "OPS"), "OPS").await;
    assert_eq!((answer.status, answer.faults[0].field.as_str()), (AnswerStatus::Refused, "instance"));
    assert!(answer.faults[0].rule.contains("carries Instance itself"), "{answer:?}");
    assert_eq!(desk.ended(answer.remediation_id.unwrap()).await.overall_status, OverallStatus::Refused);
    assert!(desk.sent().is_empty());
}
