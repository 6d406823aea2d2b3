//! One command id for many instances at the same instant.

use instance_contract::{AgentKind, AnswerStatus, OverallStatus, StepStatus};

use crate::desk::{self, Desk, command};

/// In several shards.
const INSTANCES: [&str; 12] =
    ["ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON", "ZETA", "ETA", "THETA", "IOTA", "KAPPA", "LAMBDA", "MU"];

/// The commands wait in their streams when the router comes, so its shards look at them at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_comes_for_instances_of_several_shards_at_once_is_done_for_one_of_them() {
    let desk = Desk::new().await;
    desk.agents("ALPHA", |_| Some(StepStatus::Success)).await;
    let mut inboxes = Vec::new();
    for instance in INSTANCES {
        for agent in AgentKind::ALL {
            desk.bus.register_host(&instance.parse().unwrap(), *agent, &desk::host()).await.unwrap();
        }
        inboxes.push(desk.tell(&command(300, instance), instance).await);
    }
    let _router = desk.router("a");
    let mut answers = Vec::new();
    for inbox in inboxes {
        answers.push(desk::answer(inbox).await);
    }
    let (done, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == AnswerStatus::Accepted);
    assert_eq!(done.len(), 1, "{done:#?}");
    for answer in refused {
        assert_eq!((answer.status, answer.faults[0].field.as_str()), (AnswerStatus::Refused, "command_id"));
        assert!(answer.faults[0].rule.contains("its own id"), "{answer:?}");
    }
    let trace = desk.ended(done[0].remediation_id.unwrap()).await;
    assert_eq!(trace.overall_status, OverallStatus::Success);
    assert_eq!(desk.sent(), ["config.1", "restart.1", "verify.1"]);
}
