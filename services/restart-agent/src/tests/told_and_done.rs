//! What a dry run tells is what the real run does; and what carries Instance is left alone, whoever asks.

use std::{sync::Arc, time::Duration};

use instance_agent::{Agent, SelfGuard, Work};
use instance_contract::{Action, Carriers, ForecastReply, RestartInstance, StepCommand};
use serde_json::json;

use super::{Stage, code};
use crate::agent::RestartAgent;

pub fn order() -> StepCommand {
    let id = "0a1b2c3d-0000-4000-8000-000000000001";
    let order = json!({
        "schema": StepCommand::SCHEMA, "trace_id": "0123456789abcdef0123456789abcdef", "remediation_id": id,
        "command_id": id, "instance": "PROD", "step_id": "restart", "attempt": 1, "agent": "restart-agent",
        "host": "db1", "tool": "iris_restart", "action": {"kind": "restart"}, "change": null,
        "plan_digest": "a".repeat(64), "not_after": "2026-11-21T09:00:00Z", "limit_seconds": 240,
        "token": {"epoch": 1, "counter": 1},
        "because": {"now": "2026-11-21T08:00:00Z", "event": "accepted", "delay_ms": 0},
    });
    serde_json::from_value(order).unwrap()
}

#[test]
fn the_forecast_is_the_change_of_state() {
    for state in ["running", "down"] {
        let stage = Stage::new();
        stage.write("state", state);
        let agent = RestartAgent::new(stage.config.clone(), Arc::new(instance_clock::SystemClock));
        let action = Action::Restart(RestartInstance::default());
        let ForecastReply::Would(told) = agent.forecast(&"PROD".parse().unwrap(), &action) else {
            panic!("it would")
        };
        assert!(stage.calls().is_empty(), "a forecast changes nothing");
        assert_eq!(told.before, state);

        let order = order();
        let work = (|| Ok(()), || Duration::from_mins(1));
        let work = Work::new(&work.0, &work.1);
        let prepared = agent.prepare(&order, &work).unwrap();
        let applied = agent.apply(&order, &prepared, &work).unwrap();
        let (target, done) = &applied.changes[0];
        assert_eq!(
            (target, done.old_value.as_ref(), done.new_value.as_ref()),
            (&told.target, Some(&told.before), Some(&told.after))
        );
        let ForecastReply::Would(now) = agent.forecast(&"PROD".parse().unwrap(), &action) else {
            panic!("it would again")
        };
        assert_eq!(now.before, told.after, "the instance is in the state that was told");
    }
}

/// The third of three layers: neither router nor loop knows of it here.
#[test]
fn what_carries_instance_is_left_alone_by_the_effect() {
    let stage = Stage::new();
    let guard = SelfGuard::new(Carriers(vec!["PROD".to_owned()]), "db1".parse().unwrap());
    let agent =
        RestartAgent::new(stage.config.clone(), Arc::new(instance_clock::SystemClock)).guarded_by(guard);
    let order = order();
    let work = (|| Ok(()), || Duration::from_mins(1));
    let work = Work::new(&work.0, &work.1);
    let prepared = agent.prepare(&order, &work).unwrap();
    assert_eq!(code(&agent.apply(&order, &prepared, &work).unwrap_err()), "carries_instance");
    assert_eq!(code(&agent.undo(&order, &prepared, &work).unwrap_err()), "carries_instance");
    assert!(stage.calls().is_empty());
}
