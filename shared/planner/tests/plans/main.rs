//! Commands and facts in, plans out, as a person would read them.

#![expect(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "a test may panic, and an expectation is given once"
)]

mod example; // A command, what the agents say to it, and a plan as text.
mod policies; // What policy says to a plan.

use example::{check, command, facts, facts_with, restart};
use expect_test::expect;
use instance_contract::{Action, Expectation, Facts, Failure, Forecast, ForecastReply};
use instance_planner::{Policy, Rejection, plan};
use serde_json::{Value, json};

#[test]
fn a_config_change_with_restart_is_proved_in_force() {
    check(
        &json!({"error_type": "config", "requires_restart": true, "execution_order": ["iris_config", "iris_restart"],
            "parameters": {"cpf_section": "config", "parameter": "globals", "new_value": "0,0,512,0,0,0"}}),
        expect![[r#"
            config   config-agent  Medium  target of config: old -> new
            restart  restart-agent High    target of restart: old -> new
            verify   config-agent  Low     expects CpfInForce { section: "config", parameter: "globals", value: "new" }, InstanceHealthy; quiet global-buffers-insufficient, shared-memory-refused, write-daemon-died
            approval restart: policy wants a person to approve every restart
        "#]],
    );
}

#[test]
fn a_change_that_needs_a_restart_without_one_is_planned_with_a_warning() {
    check(
        &json!({"error_type": "config", "requires_restart": false, "execution_order": ["iris_config"],
            "parameters": {"cpf_section": "config", "parameter": "globals", "new_value": "0,0,512,0,0,0"}}),
        expect![[r#"
            config   config-agent  Medium  target of config: old -> new
            verify   config-agent  Low     expects CpfValue { section: "config", parameter: "globals", value: "new" }; quiet 
            warning step "config" comes into force only after a restart (read at start)
        "#]],
    );
}

/// A success must be in force where it can be; where a restart follows, that restart does it.
#[test]
fn what_the_running_instance_can_take_up_is_merged_into_it() {
    let work = |order: &[&str]| {
        json!({"error_type": "config", "requires_restart": order.len() > 1, "execution_order": order,
            "parameters": {"cpf_section": "config", "parameter": "locksiz", "new_value": "33554432", "current_value": "0"}})
    };
    let planned = |work: &Value, may_be_live: bool| {
        let command = command(work);
        let mut facts = facts(&command);
        let Some(ForecastReply::Would(forecast)) = facts.forecasts.get_mut(&"config".parse().unwrap()) else {
            panic!("a forecast of the change")
        };
        *forecast =
            Forecast { may_be_live, needs_restart: false, after: "33554432".to_owned(), ..forecast.clone() };
        plan(&command, &facts, &Policy::default()).unwrap().steps
    };
    let alone = work(&["iris_config"]);
    let steps = planned(&alone, true);
    let Action::ChangeCpf(change) = &steps[0].action else { panic!("{steps:?}") };
    assert!(change.live && !change.allow_unknown, "{change:?}");
    assert_eq!(change.changes[0].current_value.as_deref(), Some("0"));
    let told = steps[0].change.as_ref().unwrap();
    assert_eq!((&*told.before, &*told.after), ("[config] locksiz=old", "[config] locksiz=33554432"));
    let Action::Verify(verify) = &steps[1].action else { panic!("{steps:?}") };
    let (section, parameter, value) = ("config".into(), "locksiz".into(), "33554432".into());
    assert_eq!(verify.expect, [Expectation::CpfValue { section, parameter, value }]);

    assert!(matches!(planned(&alone, false)[0].action, Action::SetCpf(_)), "the instance is down");
    let restarted = planned(&work(&["iris_config", "iris_restart"]), true);
    assert!(matches!(restarted[0].action, Action::SetCpf(_)), "{restarted:?}");
}

#[test]
fn one_value_that_is_set_twice_is_left_to_the_file() {
    let step = |id: &str, value: &str| {
        json!({"id": id, "tool": "iris_config",
            "parameters": {"cpf_section": "config", "parameter": "locksiz", "new_value": value}})
    };
    let command = command(&json!({"error_type": "config", "requires_restart": false,
        "steps": [step("one", "65536"), step("two", "131072")]}));
    let facts = facts_with(&command, |forecast| {
        forecast.may_be_live = true;
        forecast.target = "cpf [config] locksiz".to_owned();
    });
    let steps = plan(&command, &facts, &Policy::default()).unwrap().steps;
    assert!(steps[..2].iter().all(|step| matches!(step.action, Action::SetCpf(_))), "{steps:?}");
}

#[test]
fn several_changes_are_proved_one_by_one() {
    let changes = json!({"changes": [
        {"cpf_section": "config", "parameter": "globals", "new_value": "0,0,512,0,0,0"},
        {"cpf_section": "Namespaces", "parameter": "OLD", "change": "remove"},
    ]});
    let config = json!({"error_type": "config", "requires_restart": false,
        "execution_order": ["iris_config"], "parameters": changes});
    check(
        &config,
        expect![[r#"
        config   config-agent  Medium  cpf [config] globals, [Namespaces] OLD: [config] globals=old
        [Namespaces] OLD=old -> [config] globals=new
        [Namespaces] OLD
        verify   config-agent  Low     expects CpfValue { section: "config", parameter: "globals", value: "new" }, CpfAbsent { section: "Namespaces", parameter: "OLD" }; quiet 
        warning step "config" comes into force only after a restart (read at start)
    "#]],
    );
    let restart = json!({"error_type": "config", "requires_restart": true,
        "execution_order": ["iris_config", "iris_restart"], "parameters": changes});
    check(
        &restart,
        expect![[r#"
            config   config-agent  Medium  cpf [config] globals, [Namespaces] OLD: [config] globals=old
            [Namespaces] OLD=old -> [config] globals=new
            [Namespaces] OLD
            restart  restart-agent High    target of restart: old -> new
            verify   config-agent  Low     expects CpfInForce { section: "config", parameter: "globals", value: "new" }, CpfAbsent { section: "Namespaces", parameter: "OLD" }, InstanceHealthy; quiet global-buffers-insufficient, shared-memory-refused, write-daemon-died
            approval restart: policy wants a person to approve every restart
        "#]],
    );
}

/// IRIS looks at both only at its next start, so the pool is reckoned with the CPF as the plan leaves it. The kernel is set
/// first all the same, unless the command says otherwise.
#[test]
fn what_follows_from_the_cpf_is_reckoned_with_the_cpf_of_the_same_plan() {
    let os = |id: &str, name: &str, value: &str, depends_on: &[&str]| {
        json!({"id": id, "tool": "os_config", "depends_on": depends_on,
            "parameters": {"kernel_param": name, "new_value": value}})
    };
    let cpf = |id: &str, name: &str, value: &str, depends_on: &[&str]| {
        json!({"id": id, "tool": "iris_config", "depends_on": depends_on,
            "parameters": {"cpf_section": "config", "parameter": name, "new_value": value, "current_value": "old"}})
    };
    let pool = json!({"id": "pool", "tool": "iris_config", "parameters": {"changes": [
        {"cpf_section": "config", "parameter": "routines", "new_value": "200"},
        {"cpf_section": "Namespaces", "parameter": "globals", "change": "remove"},
    ]}});
    let restart = json!({"id": "restart", "tool": "iris_restart", "parameters": {}});
    for (pages_after, order) in [
        (&[][..], ["pages", "swap", "cache", "more", "locks", "pool", "restart", "verify"]),
        (&["pool"][..], ["swap", "cache", "more", "locks", "pool", "pages", "restart", "verify"]),
    ] {
        let command = command(&json!({"error_type": "config", "requires_restart": true, "steps": [
            restart, cpf("cache", "globals", "0,0,2048,0,0,0", &[]), cpf("more", "gmheap", "204800", &["cache"]),
            cpf("locks", "locksiz", "65536", &[]), pool,
            os("pages", "vm/nr_hugepages", "cpf", pages_after), os("swap", "vm.swappiness", "5", &[]),
        ]}));
        let plan = plan(&command, &facts(&command), &Policy::default()).unwrap();
        let ids: Vec<&str> = plan.steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(ids, order);
        let asked: std::collections::BTreeMap<_, _> =
            instance_planner::questions(&command).into_iter().map(|it| (it.step, it.action)).collect();
        for step in &plan.steps {
            let Action::SetKernel(set) = &step.action else { continue };
            let told: Vec<_> = set
                .with_cpf
                .iter()
                .map(|change| {
                    (change.parameter.as_str(), change.new_value.as_deref().unwrap(), change.block_size_kb)
                })
                .collect();
            let expected =
                [("globals", "0,0,2048,0,0,0", None), ("gmheap", "204800", None), ("routines", "200", None)];
            if step.id.as_str() == "pages" {
                assert_eq!(told, expected, "what has nothing to do with memory is left out");
                assert!(set.with_cpf.iter().all(|change| change.current_value.is_none()));
            } else {
                assert!(told.is_empty(), "{told:?}");
            }
            assert_eq!(asked[&step.id], step.action, "the agent is asked about the very action");
        }
        let note = "step \"pages\" is reckoned with cpf [config] globals, [config] gmheap, [config] routines as this plan leaves it";
        assert!(plan.warnings.iter().any(|warning| warning == note), "{:?}", plan.warnings);
    }
}

#[test]
fn a_license_question_changes_nothing_and_needs_no_proof() {
    check(
        &json!({"error_type": "license", "requires_restart": false, "execution_order": ["iris_config"],
            "parameters": {"action": "check_expiry"}}),
        expect![[r"
            config   config-agent  Low     
        "]],
    );
}

#[test]
fn a_cascade_runs_in_the_order_of_its_dependencies() {
    check(
        &json!({"error_type": "resource", "requires_restart": true, "steps": [
            {"id": "restart", "tool": "iris_restart", "parameters": {}, "depends_on": ["pages", "cache"]},
            {"id": "cache", "tool": "iris_config", "depends_on": ["pages"],
                "parameters": {"cpf_section": "config", "parameter": "globals", "new_value": "0,0,512,0,0,0"}},
            {"id": "pages", "tool": "os_config", "parameters": {"kernel_param": "vm.nr_hugepages", "new_value": 300}},
        ]}),
        expect![[r#"
            pages    os-agent      High    target of pages: old -> new
            cache    config-agent  Medium  target of cache: old -> new
            restart  restart-agent High    target of restart: old -> new
            verify   os-agent      Low     expects KernelValue { name: "vm.nr_hugepages", value: "new" }, CpfInForce { section: "config", parameter: "globals", value: "new" }, InstanceHealthy; quiet global-buffers-insufficient, huge-pages-too-few, shared-memory-refused, write-daemon-died
            approval restart: policy wants a person to approve every restart
            warning step "pages" is reckoned with cpf [config] globals as this plan leaves it
        "#]],
    );
}

#[test]
fn several_changes_come_to_one_restart_kernel_first() {
    check(
        &json!({"error_type": "config", "requires_restart": true, "steps": [
            {"id": "cache", "tool": "iris_config",
                "parameters": {"cpf_section": "config", "parameter": "globals", "new_value": "0,0,512,0,0,0"}},
            {"id": "first-restart", "tool": "iris_restart", "parameters": {}, "depends_on": ["cache"]},
            {"id": "journal", "tool": "iris_config", "depends_on": ["first-restart"],
                "parameters": {"cpf_section": "Journal", "parameter": "FileSizeLimit", "new_value": "512"}},
            {"id": "restart", "tool": "iris_restart", "parameters": {}, "depends_on": ["journal"]},
            {"id": "pages", "tool": "os_config", "parameters": {"kernel_param": "vm.nr_hugepages", "new_value": 300}},
        ]}),
        expect![[r#"
            pages    os-agent      High    target of pages: old -> new
            cache    config-agent  Medium  target of cache: old -> new
            journal  config-agent  Medium  target of journal: old -> new
            restart  restart-agent High    target of restart: old -> new
            verify   os-agent      Low     expects KernelValue { name: "vm.nr_hugepages", value: "new" }, CpfInForce { section: "config", parameter: "globals", value: "new" }, CpfInForce { section: "Journal", parameter: "FileSizeLimit", value: "new" }, InstanceHealthy; quiet global-buffers-insufficient, huge-pages-too-few, shared-memory-refused, write-daemon-died
            approval restart: policy wants a person to approve every restart
            warning restart "first-restart" is folded into "restart": one restart serves all changes
            warning step "pages" is reckoned with cpf [config] globals as this plan leaves it
        "#]],
    );
}

#[test]
fn what_ends_with_the_processes_comes_after_their_restart_where_it_may() {
    let cpus = json!({"kernel_param": "process.cpu_affinity", "new_value": "0-3"});
    check(
        &json!({"error_type": "resource", "requires_restart": true, "steps": [
            {"id": "cpus", "tool": "os_config", "parameters": cpus},
            {"id": "restart", "tool": "iris_restart", "parameters": {}},
            {"id": "pages", "tool": "os_config", "parameters": {"kernel_param": "vm.nr_hugepages", "new_value": 300}},
        ]}),
        expect![[r#"
            pages    os-agent      High    target of pages: old -> new
            restart  restart-agent High    target of restart: old -> new
            cpus     os-agent      High    target of cpus: old -> new
            verify   os-agent      Low     expects KernelValue { name: "vm.nr_hugepages", value: "new" }, KernelValue { name: "process.cpu_affinity", value: "new" }, InstanceHealthy; quiet huge-pages-too-few, write-daemon-died
            approval restart: policy wants a person to approve every restart
        "#]],
    );
    // The sender wants it before, so nothing of it is left to be proved.
    check(
        &json!({"error_type": "resource", "requires_restart": true,
            "execution_order": ["os_config", "iris_restart"], "parameters": cpus}),
        expect![[r"
            os       os-agent      High    target of os: old -> new
            restart  restart-agent High    target of restart: old -> new
            verify   os-agent      Low     expects InstanceHealthy; quiet write-daemon-died
            approval restart: policy wants a person to approve every restart
        "]],
    );
}

#[test]
fn refusals_of_agents_name_the_place_in_the_command() {
    let command = command(
        &json!({"error_type": "config", "requires_restart": false, "execution_order": ["iris_config"],
        "parameters": {"cpf_section": "Startup", "parameter": "globals", "new_value": "20000"}}),
    );
    let mut facts = facts(&command);
    let refusal = Failure::refused(
        "unknown_parameter",
        "no parameter globals in [Startup]; did you mean [config] globals?",
    );
    facts.forecasts.insert("config".parse().unwrap(), ForecastReply::Wont(refusal));
    let Err(Rejection::Refused(faults)) = plan(&command, &facts, &Policy::default()) else {
        panic!("an unknown parameter is refused");
    };
    assert_eq!(
        faults.to_string(),
        "parameters = [Startup] globals=20000: no parameter globals in [Startup]; did you mean [config] globals? \
         (unknown_parameter)"
    );
}

#[test]
fn a_missing_answer_is_waited_for() {
    let command = restart();
    assert!(matches!(plan(&command, &Facts::default(), &Policy::default()), Err(Rejection::NotYet { .. })));
}

#[test]
fn the_same_changes_have_the_same_digest_and_others_another() {
    let one = restart();
    let changed = facts_with(&one, |forecast| forecast.before = "down".to_owned());
    let digest = |facts: &Facts| plan(&one, facts, &Policy::default()).unwrap().digest;
    assert_eq!(digest(&facts(&one)), digest(&facts(&one)));
    assert_ne!(digest(&facts(&one)), digest(&changed));
}
