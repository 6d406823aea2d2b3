//! What policy says to a plan: how many drastic steps, how often, when, for whom, and what nobody may.

use instance_planner::{Policy, Rejection, plan};
use serde_json::{Value, json};

use crate::example::{command, facts, facts_with, restart, restart_with};

#[test]
fn policy_keeps_hands_off_and_bounds_drastic_steps() {
    let command = restart();
    let facts = facts(&command);
    let never = Policy { never: vec!["PROD".parse().unwrap()], ..Policy::default() };
    let few = Policy { drastic_steps: 0, ..Policy::default() };
    for policy in [never, few] {
        assert!(matches!(plan(&command, &facts, &policy), Err(Rejection::Refused(_))));
    }
    assert!(plan(&command, &facts, &Policy::default()).is_ok());
}

#[test]
fn ten_dangerous_steps_are_too_many_three_are_not_and_plain_ones_do_not_count() {
    let says = |many: usize, dangerous: bool| {
        let kernel = |n| json!({"kernel_param": format!("kernel.parameter{n}"), "new_value": 1});
        let steps: Vec<Value> = (1..=many)
            .map(|n| json!({"id": format!("s{n}"), "tool": "os_config", "parameters": kernel(n)}))
            .collect();
        let command = command(&json!({"error_type": "resource", "requires_restart": false, "steps": steps}));
        let facts = facts_with(&command, |forecast| forecast.dangerous = dangerous);
        let planned = plan(&command, &facts, &Policy::default());
        planned.map(|plan| plan.changes().len()).map_err(|rejection| rejection.to_string())
    };
    let rule = "refused: steps = 10: policy allows 3 restarting or dangerous steps in one command";
    assert_eq!(says(10, true), Err(rule.to_owned()));
    assert!(says(4, true).is_err());
    assert_eq!(says(3, true), Ok(3));
    assert_eq!(says(10, false), Ok(10));
}

#[test]
fn an_instance_is_forced_down_only_where_policy_lets_it() {
    let command = restart_with(&json!({"force": true}));
    let facts = facts(&command);
    let refused = plan(&command, &facts, &Policy::default()).unwrap_err().to_string();
    assert_eq!(
        refused,
        "refused: force = restart: policy does not allow an instance to be forced down (allow_force)"
    );
    let allowed = Policy { allow_force: true, ..Policy::default() };
    assert!(plan(&command, &facts, &allowed).is_ok());
}

#[test]
fn a_person_is_asked_about_force_where_policy_asks_about_nothing_else() {
    let unasked =
        Policy { allow_force: true, approve_restarts: false, approve_dangerous: false, ..Policy::default() };
    for (force, asked) in [(true, vec!["restart"]), (false, Vec::new())] {
        let command = restart_with(&json!({"force": force}));
        let plan = plan(&command, &facts(&command), &unasked).unwrap();
        let steps: Vec<_> = plan.approvals.iter().map(|(step, _)| step.as_str()).collect();
        assert_eq!(steps, asked, "{:?}", plan.approvals);
    }
}

#[test]
fn what_the_catalogue_does_not_know_is_changed_only_where_command_and_policy_say_so() {
    let parameters = json!({"allow_unknown": true, "changes": [
        {"cpf_section": "config", "parameter": "Frobs", "new_value": "2"}]});
    let command = command(&json!({"error_type": "config", "requires_restart": false,
        "steps": [{"id": "config", "tool": "iris_config", "parameters": parameters}]}));
    let facts = facts(&command);
    let refused = plan(&command, &facts, &Policy::default()).unwrap_err().to_string();
    assert_eq!(
        refused,
        "refused: allow_unknown = config: policy does not allow CPF parameters that the catalogue does not know \
         (allow_unknown_parameters)"
    );
    let allowed = Policy::from_toml("allow_unknown_parameters = true").unwrap();
    assert!(plan(&command, &facts, &allowed).is_ok());
}

#[test]
fn a_file_of_a_version_that_nobody_has_described_is_left_alone_where_policy_says_so() {
    let command = command(&json!({"error_type": "config", "requires_restart": false,
        "execution_order": ["iris_config"],
        "parameters": {"cpf_section": "config", "parameter": "errlog", "new_value": "600"}}));
    let facts = facts_with(&command, |forecast| forecast.unknown_version = Some("2031.1".to_owned()));
    assert!(plan(&command, &facts, &Policy::default()).is_ok());
    let strict = Policy::from_toml("refuse_unknown_version = true").unwrap();
    let refused = plan(&command, &facts, &strict).unwrap_err().to_string();
    assert!(refused.contains("policy leaves a CPF of version \"2031.1\" alone"), "{refused}");
}

/// What policy (TOML) says to a restart of PROD asked for by "test", at a time, after restarts at other times.
fn policy_says(policy: &str, now: &str, restarts: &[&str]) -> Result<(), String> {
    let command = restart();
    let mut facts = facts(&command);
    facts.taken_at = Some(now.parse().unwrap());
    facts.restarts = restarts.iter().map(|at| at.parse().unwrap()).collect();
    let policy = Policy::from_toml(policy).unwrap();
    plan(&command, &facts, &policy).map(|_| ()).map_err(|rejection| rejection.to_string())
}

#[test]
fn restarts_of_an_instance_are_few_and_apart() {
    let at = |minutes: &[u32]| -> Vec<String> {
        minutes.iter().map(|minute| format!("2026-11-21T08:{minute:02}:00Z")).collect()
    };
    let says = |before: &[u32]| {
        let before = at(before);
        let before: Vec<&str> = before.iter().map(String::as_str).collect();
        policy_says("", "2026-11-21T08:50:00Z", &before)
    };
    assert_eq!(says(&[]), Ok(()));
    assert_eq!(says(&[5, 20]), Ok(()));
    assert!(says(&[5, 20, 35]).unwrap_err().contains("3 restarts of an instance in an hour"));
    assert!(says(&[40]).unwrap_err().contains("not before 2026-11-21T08:55:00Z"));
    assert_eq!(
        policy_says("minutes_between_restarts = 0", "2026-11-21T08:50:00Z", &["2026-11-21T08:49:00Z"]),
        Ok(())
    );
    let now = "2026-11-21T08:50:00Z";
    let yesterday = ["2026-11-20T09:00:00Z", "2026-11-20T12:00:00Z", "2026-11-21T07:20:00Z"];
    assert_eq!(policy_says("", now, &yesterday), Ok(()), "only those of the last hour are too many");
    let apart = policy_says("minutes_between_restarts = 120", now, &yesterday).unwrap_err();
    assert!(apart.contains("not before 2026-11-21T09:20:00Z"), "{apart}");
}

#[test]
fn restarts_wait_for_their_window_over_midnight_and_offsets() {
    let window = r#"
        [[windows]]
        actions = ["restart"]
        days = ["sat"]
        from = "22:00"
        to = "02:00"
        utc_offset = "+01:00"
    "#;
    // 2026-11-21 is a Saturday; 22:00 at +01:00 is 21:00 UTC.
    for (now, open) in [
        ("2026-11-21T20:59:00Z", false),
        ("2026-11-21T21:00:00Z", true),
        ("2026-11-22T00:59:00Z", true),
        ("2026-11-22T01:00:00Z", false),
        ("2026-11-22T22:00:00Z", false),
    ] {
        assert_eq!(policy_says(window, now, &[]).is_ok(), open, "{now}");
    }
    let others = window.replace("restart", "os");
    assert_eq!(
        policy_says(&others, "2026-11-21T12:00:00Z", &[]),
        Ok(()),
        "a window binds only what it names"
    );
}

#[test]
fn only_who_is_listed_may_ask_and_only_for_what_is_listed() {
    let now = "2026-11-21T12:00:00Z";
    for (who, actions, allowed) in [
        ("test", "\"restart\"", true),
        ("te*", "\"restart\", \"config\"", true),
        ("test", "\"config\"", false),
        ("ops", "\"restart\"", false),
    ] {
        let policy = format!("[[askers]]\nwho = \"{who}\"\nactions = [{actions}]\n");
        assert_eq!(policy_says(&policy, now, &[]).is_ok(), allowed, "{who} {actions}");
    }
}
