//! What a dry run tells is what the real run does; and what carries Instance is left alone, whoever asks.

use instance_agent::{Agent, SelfGuard};
use instance_contract::{Action, AgentKind, Carriers, ForecastReply, StepCommand};

use super::{Stage, code, free, set};
use crate::agent::OsAgent;

fn order(action: &Action) -> StepCommand {
    instance_testkit::order(AgentKind::Os, action)
}

#[test]
fn the_forecast_is_the_change_to_the_byte() {
    for (name, value, file) in [
        ("vm.nr_hugepages", "1000", "proc/sys/vm/nr_hugepages"),
        ("vm.swappiness", "5", "proc/sys/vm/swappiness"),
        ("kernel.sem", "250 32000 100 128", "proc/sys/kernel/sem"),
    ] {
        let stage = Stage::new();
        let agent = OsAgent::new(stage.config.clone());
        let action = Action::SetKernel(set(name, value));
        let told = match agent.forecast(&"PROD".parse().unwrap(), &action) {
            ForecastReply::Would(told) => told,
            other => panic!("it would: {other:?}"),
        };
        let before = stage.value(file);
        assert_eq!(before.split_whitespace().collect::<Vec<_>>().join(" "), told.before);
        assert!(stage.drop_ins().is_empty(), "a forecast changes nothing");

        let order = order(&action);
        let prepared = agent.prepare(&order, &free()).unwrap();
        let applied = agent.apply(&order, &prepared, &free()).unwrap();
        let [(target, done)] = &applied.changes[..] else { panic!("one change: {applied:?}") };
        assert_eq!(
            (target, done.old_value.as_ref(), done.new_value.as_ref()),
            (&told.target, Some(&told.before), Some(&told.after))
        );
        assert_eq!(stage.value(file).trim_end(), told.after, "what the kernel was given");
    }
}

/// The third of three layers: neither router nor loop knows of it here. A host that carries Instance keeps its kernel.
#[test]
fn what_carries_instance_is_left_alone_by_the_effect() {
    for carrier in ["PROD", "db1"] {
        let stage = Stage::new();
        let guard = SelfGuard::new(Carriers(vec![carrier.to_owned()]), "db1".parse().unwrap());
        let agent = OsAgent::new(stage.config.clone()).guarded_by(guard);
        let order = order(&Action::SetKernel(set("vm.swappiness", "5")));
        let prepared = agent.prepare(&order, &free()).unwrap();
        let work = free();
        assert_eq!(code(&agent.apply(&order, &prepared, &work).unwrap_err()), "carries_instance");
        assert_eq!(code(&agent.undo(&order, &prepared, &work).unwrap_err()), "carries_instance");
        assert_eq!(
            (stage.value("proc/sys/vm/swappiness"), stage.drop_ins()),
            ("60\n".to_owned(), Vec::new())
        );
    }
}
