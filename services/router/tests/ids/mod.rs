//! One command id for many instances at the same instant.

use instance_contract::{AgentKind, AnswerStatus, OverallStatus, StepStatus};

use crate::desk::{self, Desk, command};

/// In several shards.
const INSTANCES: [&str; 6] = ["ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON", "ZETA"];

/// Nobody answers the questions of the first one, so it is not written when the others are looked at.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_comes_for_instances_of_several_shards_at_once_is_begun_for_one_of_them() {
    let desk = Desk::new().await;
    let _router = desk.router("a");
    desk.agents("ALPHA", |_| Some(StepStatus::Success)).await;
    for (number, instance) in (301..).zip(INSTANCES) {
        for agent in AgentKind::ALL {
            desk.bus.register_host(&instance.parse().unwrap(), *agent, &desk::host()).await.unwrap();
        }
        // Its shard has an owner, and nothing is open.
        let answer = desk.ask(&command(number, instance), instance).await;
        let trace = desk.ended(answer.remediation_id.unwrap()).await;
        assert_eq!(trace.overall_status, OverallStatus::Success);
    }
    desk.agents_fall_asleep();
    let mut inboxes = Vec::new();
    for instance in INSTANCES {
        inboxes.push(desk.tell(&command(300, instance), instance).await);
    }
    let mut answers = Vec::new();
    for inbox in inboxes {
        answers.push(desk::answer(inbox).await);
    }
    let (begun, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == AnswerStatus::Accepted);
    assert_eq!(begun.len(), 1, "{begun:#?}");
    for answer in refused {
        assert_eq!((answer.status, answer.faults[0].field.as_str()), (AnswerStatus::Refused, "command_id"));
        assert!(answer.faults[0].rule.contains("its own id"), "{answer:?}");
    }
}
