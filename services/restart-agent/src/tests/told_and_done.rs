//! What a dry run tells is what the real run does; and what carries Instance is left alone, whoever asks.

use std::{sync::Arc, time::Duration};

use instance_agent::{Agent, SelfGuard, Work};
use instance_contract::{Action, AgentKind, Carriers, ForecastReply, RestartInstance, StepCommand};

use super::{Stage, code};
use crate::agent::RestartAgent;

pub fn order() -> StepCommand {
    instance_testkit::order(AgentKind::Restart, &Action::Restart(RestartInstance::default()))
}

#[test]
fn the_forecast_is_the_change_of_state() {
    for state in ["running", "down"] {
        let stage = Stage::new();
        if state == "down" {
            stage.down();
        }
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
