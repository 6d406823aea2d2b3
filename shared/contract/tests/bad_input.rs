//! Every kind of bad command, and the fault that it gets: field, value and rule.

#![expect(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "a test may panic, and an expectation is given once"
)]

use expect_test::{Expect, expect};
use instance_contract::{Faults, GenerationRequest, IrisMessage, Older, RemediationCommand, TraceId};
use serde_json::{Value, json};

fn good() -> Value {
    json!({
        "schema": "instance.v1.remediation_command",
        "command_id": "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8",
        "trace_id": "0123456789abcdef0123456789abcdef",
        "instance": "PROD",
        "error_type": "config",
        "severity": 3,
        "recommended_action": "double the database cache",
        "execution_order": ["iris_config", "iris_restart"],
        "parameters": {"cpf_section": "config", "parameter": "globals", "new_value": "0,0,512,0,0,0"},
        "requires_restart": true,
        "requested_by": "operator",
        "issued_at": "2026-11-21T08:00:00Z",
    })
}

fn older() -> Older {
    Older::nothing(TraceId::from_bytes([1; 16]), "2026-11-21T08:00:00Z".parse().unwrap())
}

fn decode(value: &Value) -> Result<RemediationCommand, Faults> {
    RemediationCommand::decode(value.to_string().as_bytes(), &older())
}

/// The good command with some fields changed (null takes a field away) must be refused so.
fn refuses(changes: &Value, expected: Expect) {
    let mut value = good();
    for (name, change) in changes.as_object().unwrap() {
        if change.is_null() {
            value.as_object_mut().unwrap().remove(name);
        } else {
            value[name] = change.clone();
        }
    }
    let faults = decode(&value).expect_err("the command is not legal");
    let lines: Vec<String> = faults.0.iter().map(ToString::to_string).collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn the_good_command_is_taken_and_comes_back_as_it_went() {
    let command = decode(&good()).unwrap();
    let text = serde_json::to_string(&command).unwrap();
    assert_eq!(serde_json::from_str::<RemediationCommand>(&text).unwrap(), command);
    assert_eq!(command.steps().len(), 2);
}

#[test]
fn every_fault_is_told_not_only_the_first() {
    refuses(
        &json!({"severity": 7, "timeout_seconds": 9, "priority": "urgent", "instance": "", "colour": "red"}),
        expect![[r#"
            instance = "": must be 1 to 64 bytes without blanks or control characters
            severity = 7: must be an integer from 0 (info) to 3 (fatal)
            timeout_seconds = 9: must be an integer from 10 to 300 (seconds)
            priority = "urgent": must be one of critical, high, medium, low
            colour = "red": is not a field of this contract"#]],
    );
}

#[test]
fn several_changes_are_taken_whole_or_not_at_all() {
    let several = |changes: Value| json!({"parameters": {"changes": changes}});
    refuses(&several(json!([])), expect!["parameters.changes = 0: must hold 1 to 64 changes"]);
    let set = json!({"cpf_section": "config", "parameter": "globals", "new_value": 512});
    let mut sized = set.clone();
    sized["block_size_kb"] = json!(8);
    refuses(
        &several(json!([set, sized])),
        expect!["parameters.changes[1] = globals: must be the only change of its parameter"],
    );
    sized["parameter"] = json!("routines");
    sized["block_size_kb"] = json!(2);
    refuses(
        &several(json!([
            sized,
            {"cpf_section": "Namespaces", "parameter": "A", "change": "add", "current_value": "x"},
            {"cpf_section": "Namespaces", "parameter": "B", "change": "remove", "new_value": "x"},
            {"cpf_section": "Namespaces", "parameter": "C", "change": "rename", "new_value": "x"},
            {"cpf_section": "Namespaces", "parameter": "D", "new_value": "x\ny"},
        ])),
        expect![[r#"
            parameters.changes[0].block_size_kb = 2: must be one of 8, 16, 32, 64, and only with [config] globals
            parameters.changes[1].new_value: is required
            parameters.changes[1].current_value = "x": is not a field of this contract
            parameters.changes[2].new_value = "x": is not a field of this contract
            parameters.changes[3].change = "rename": must be one of set, add, remove
            parameters.changes[4].new_value = "x\ny": must be a string of at most 1024 characters on one line without control characters, or an integer"#]],
    );
    let add = json!({"cpf_section": "Namespaces", "parameter": "A", "change": "add", "new_value": "A"});
    refuses(
        &json!({"parameters": {"changes": [add], "live": true}}),
        expect!["parameters.live = true: must be false with add and remove: a merge only sets values"],
    );
    let mut one = good();
    one["parameters"] = json!({"changes": [{}]});
    one["parameters"]["changes"][0] = json!({"cpf_section": "config", "parameter": "globals", "new_value": 512,
        "block_size_kb": 8, "current_value": 256});
    let command = decode(&one).unwrap();
    let text = serde_json::to_string(&command).unwrap();
    assert_eq!(serde_json::from_str::<RemediationCommand>(&text).unwrap(), command);
    // Without an order, the shape says which tools they are for.
    one.as_object_mut().unwrap().remove("execution_order");
    assert_eq!(decode(&one).unwrap().steps(), command.steps());
}

#[test]
fn a_parameter_of_several_changes_belongs_to_no_other_step() {
    let changes =
        json!([{"cpf_section": "config", "parameter": "globals", "block_size_kb": 8, "new_value": 512}]);
    let steps = json!([
        {"id": "a", "tool": "iris_config", "parameters": {"changes": changes}},
        {"id": "b", "tool": "iris_config",
            "parameters": {"cpf_section": "config", "parameter": "globals", "new_value": "0,0,1,0,0,0"}},
    ]);
    refuses(
        &json!({"execution_order": null, "parameters": null, "requires_restart": false, "steps": steps}),
        expect![
            "steps[0].parameters.changes = [config] globals: is changed by another step too; put all changes of a parameter into one step"
        ],
    );
}

#[test]
fn wrong_types_and_missing_fields_are_named() {
    refuses(
        &json!({"severity": "3", "dry_run": "no", "recommended_action": null, "command_id": "1234"}),
        expect![[r#"
            command_id = "1234": must be a UUID in the form 8-4-4-4-12
            severity = "3": must be an integer from 0 (info) to 3 (fatal)
            recommended_action: is required
            dry_run = "no": must be true or false"#]],
    );
}

#[test]
fn orders_that_repeat_or_mix_are_refused() {
    refuses(
        &json!({"execution_order": ["iris_config", "iris_config"]}),
        expect!["execution_order = iris_config: must not repeat a tool"],
    );
    refuses(
        &json!({"execution_order": ["os_config", "iris_restart"]}),
        expect![
            "execution_order = os_config, iris_restart: does not fit error_type config: config takes iris_config, then maybe iris_restart; resource takes os_config, then maybe iris_restart; license takes iris_config alone; iris_restart alone fits any; for anything else use steps"
        ],
    );
    refuses(
        &json!({"parameters": {"kernel_param": "vm.nr_hugepages", "new_value": 300}}),
        expect![[r#"
            parameters.cpf_section: is required
            parameters.parameter: is required
            parameters.kernel_param = "vm.nr_hugepages": is not a field of this contract"#]],
    );
}

#[test]
fn limits_of_time_have_two_ends() {
    for seconds in [9, 301] {
        let mut value = good();
        value["timeout_seconds"] = seconds.into();
        assert!(decode(&value).is_err(), "{seconds}");
    }
    for seconds in [10, 300] {
        let mut value = good();
        value["timeout_seconds"] = seconds.into();
        assert!(decode(&value).is_ok(), "{seconds}");
    }
}

#[test]
fn a_restart_is_asked_for_in_both_places_or_in_none() {
    refuses(
        &json!({"requires_restart": false}),
        expect!["requires_restart = false: must be true exactly when the work holds iris_restart"],
    );
}

#[test]
fn values_that_would_break_a_line_never_get_in() {
    for value in ["a\nb", "a\rb", "a\u{0}b", "a\u{85}b", "a\u{2028}b", "a\u{7f}"] {
        let mut command = good();
        command["parameters"]["new_value"] = value.into();
        let faults = decode(&command).expect_err("a value on more than one line");
        assert_eq!(faults.0[0].field, "parameters.new_value", "{value:?}");
    }
}

#[test]
fn payloads_too_large_too_deep_or_doubled_are_refused_whole() {
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(300 * 1024));
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
    let doubled = good().to_string().replacen("\"severity\":3", "\"severity\":3,\"severity\":0", 1);
    for (bytes, part) in
        [(large, "at most 65536 bytes"), (deep, "recursion limit"), (doubled, "must be given once")]
    {
        let faults = RemediationCommand::decode(bytes.as_bytes(), &older()).expect_err("not legal");
        assert!(faults.to_string().contains(part), "{faults}");
    }
    let nested = format!("{{\"a\": {}1{}}}", "[".repeat(60), "]".repeat(60));
    let faults = RemediationCommand::decode(nested.as_bytes(), &older()).expect_err("too deep for us");
    assert!(faults.to_string().contains("nested at most 32 deep"), "{faults}");
}

#[test]
fn graphs_without_a_beginning_are_refused_before_anything_runs() {
    let step = |id: &str, needs: &[&str]| {
        json!({"id": id, "tool": "os_config", "depends_on": needs,
            "parameters": {"kernel_param": "vm.swappiness", "new_value": 5}})
    };
    let base = json!({"execution_order": null, "parameters": null, "requires_restart": false});
    let graph = |steps: Value| {
        let mut changes = base.clone();
        changes["steps"] = steps;
        changes
    };
    refuses(
        &graph(json!([step("a", &["b"]), step("b", &["a"])])),
        expect!["steps = a, b: dependencies must not form a cycle"],
    );
    refuses(
        &graph(json!([step("a", &["a"])])),
        expect!["steps[0].depends_on = a: a step may not depend on itself"],
    );
    refuses(
        &graph(json!([step("a", &["x"]), step("a", &[])])),
        expect![[r"
            steps[1].id = a: must be unique in the command
            steps[0].depends_on = x: must name a step of this command"]],
    );
    refuses(&graph(json!([])), expect!["steps = 0: must hold 1 to 64 steps"]);
    let many: Vec<Value> = (0..65).map(|n| step(&format!("s{n}"), &[])).collect();
    refuses(&graph(many.into()), expect!["steps = 65: must hold 1 to 64 steps"]);
    refuses(
        &graph(json!([step("verify", &[])])),
        expect![[r#"steps[0].id = verify: "verify" and names ending in "-undo" are kept for the router"#]],
    );
}

#[test]
fn an_older_command_is_understood_when_the_router_knows_the_instance() {
    let mut value = good();
    for field in ["schema", "instance", "trace_id", "requested_by", "issued_at"] {
        value.as_object_mut().unwrap().remove(field);
    }
    let faults = decode(&value).expect_err("no instance is known");
    assert!(faults.to_string().starts_with("instance: is required"), "{faults}");
    let older = Older { instance: Some("PROD".parse().unwrap()), ..older() };
    let command = RemediationCommand::decode(value.to_string().as_bytes(), &older).unwrap();
    assert_eq!(command.instance.as_str(), "PROD");
    assert_eq!(command.trace_id, older.trace_id);
}

#[test]
fn a_command_without_an_order_is_routed_by_its_parameters() {
    let mut value = good();
    value.as_object_mut().unwrap().remove("execution_order");
    let tools: Vec<&str> = decode(&value).unwrap().steps().iter().map(|step| step.tool.as_str()).collect();
    assert_eq!(tools, ["iris_config", "iris_restart"]);
}

#[test]
fn an_unknown_schema_version_is_told() {
    refuses(
        &json!({"schema": "instance.v99.remediation_command"}),
        expect![[r#"schema = "instance.v99.remediation_command": must be instance.v1.remediation_command"#]],
    );
}

#[test]
fn messages_and_requests_tell_every_fault_too() {
    let faults =
        IrisMessage::decode(br#"{"schema": "instance.v1.iris_message", "severity": 9}"#).unwrap_err();
    assert!(faults.0.len() > 5, "{faults}");
    let faults =
        GenerationRequest::decode(br#"{"count": 101, "severity_range": [3, 2], "output_format": "xml"}"#)
            .unwrap_err();
    expect![[r#"count = 101: must be an integer from 1 to 100; severity_range = an array of 2: must be two severities from 0 to 3, the lower first, e.g. [2, 3]; output_format = "xml": must be raw or json"#]]
    .assert_eq(&faults.to_string());
    assert!(GenerationRequest::decode(b"").is_ok());
}

#[test]
fn a_restart_says_how_long_and_how_far() {
    let with = |parameters: Value| {
        json!({
            "execution_order": null, "parameters": null,
            "steps": [{"id": "restart", "tool": "iris_restart", "parameters": parameters}],
        })
    };
    let parameters = json!({
        "users_seconds": 0, "stop_seconds": 90, "when_users_stay": "stop", "force": true, "failover": true,
    });
    let mut value = good();
    for (name, change) in with(parameters.clone()).as_object().unwrap() {
        if change.is_null() {
            value.as_object_mut().unwrap().remove(name);
        } else {
            value[name] = change.clone();
        }
    }
    let command = decode(&value).unwrap();
    let written: Value = serde_json::to_value(&command).unwrap();
    assert_eq!(written["steps"][0]["parameters"], parameters);
    // The simple form takes the same; `{}` is none of them.
    for parameters in [&parameters, &json!({})] {
        let mut simple = good();
        simple["execution_order"] = json!(["iris_restart"]);
        simple["parameters"] = parameters.clone();
        let written: Value = serde_json::to_value(decode(&simple).unwrap()).unwrap();
        assert_eq!(&written["parameters"], parameters);
    }
    refuses(
        &with(json!({
            "users_seconds": 301, "stop_seconds": 0, "start_seconds": "60", "when_users_stay": "wait", "force": 1,
            "kill": true,
        })),
        expect![[r#"
            steps[0].parameters.when_users_stay = "wait": must be one of answer, stop
            steps[0].parameters.users_seconds = 301: must be an integer from 0 to 300
            steps[0].parameters.stop_seconds = 0: must be an integer from 1 to 300
            steps[0].parameters.start_seconds = "60": must be an integer from 1 to 300
            steps[0].parameters.force = 1: must be true or false
            steps[0].parameters.kill = true: is not a field of this contract"#]],
    );
}
