//! What a dry run tells is what the real run does; and what carries Instance is left alone, whoever asks.

use std::{sync::Arc, time::Duration};

use instance_agent::{Agent, SelfGuard, Work};
use instance_clock::SystemClock;
use instance_contract::{Action, AgentKind, Carriers, ForecastReply, StepCommand};

use super::{CPF, Stage, code, set};
use crate::wanted::Wanted;
use crate::{agent::ConfigAgent, edit};

fn order(action: &Action) -> StepCommand {
    instance_testkit::order(AgentKind::Config, action)
}

fn free() -> Work<'static> {
    Work::new(&|| Ok(()), &|| Duration::from_mins(1))
}

fn agent(stage: &Stage) -> ConfigAgent {
    ConfigAgent::new(stage.config.clone(), Arc::new(SystemClock))
}

#[test]
fn the_forecast_is_the_change_to_the_byte() {
    for (name, value) in [("globals", "0,0,512,0,0,0"), ("MaxServers", "7"), ("routines", "128")] {
        let stage = Stage::new(CPF);
        let (agent, wanted) = (agent(&stage), set(name, value));
        let action = Action::SetCpf(wanted.clone());
        let ForecastReply::Would(told) = agent.forecast(&"PROD".parse().unwrap(), &action) else {
            panic!("it would")
        };
        assert_eq!(stage.cpf(), CPF, "a forecast changes nothing");
        let document = instance_iris::cpf::Document::parse(CPF);
        let edited = edit::edit(&document, &Wanted::from(&wanted)).unwrap();
        let file_told = edited.document.to_bytes();

        let order = order(&action);
        let prepared = agent.prepare(&order, &free()).unwrap();
        let applied = agent.apply(&order, &prepared, &free()).unwrap();
        let [(target, done)] = &applied.changes[..] else { panic!("one change: {applied:?}") };
        assert_eq!(
            (target, done.old_value.as_ref(), done.new_value.as_ref()),
            (&told.target, Some(&told.before), Some(&told.after))
        );
        assert_eq!(stage.cpf(), file_told);
    }
}

/// The third of three layers: neither router nor loop knows of it here.
#[test]
fn what_carries_instance_is_left_alone_by_the_effect() {
    let stage = Stage::new(CPF);
    let guard = SelfGuard::new(Carriers(vec!["PROD".to_owned()]), "db1".parse().unwrap());
    let agent = agent(&stage).guarded_by(guard);
    let order = order(&Action::SetCpf(set("globals", "0,0,512,0,0,0")));
    let prepared = agent.prepare(&order, &free()).unwrap();
    let work = free();
    assert_eq!(code(&agent.apply(&order, &prepared, &work).unwrap_err()), "carries_instance");
    assert_eq!(code(&agent.undo(&order, &prepared, &work).unwrap_err()), "carries_instance");
    assert_eq!((stage.cpf(), stage.others()), (CPF.to_vec(), Vec::new()));
}
