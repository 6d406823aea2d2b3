//! `instance validate`: every example, and every bad input with its faults.

use std::{collections::BTreeSet, fs};

use serde_json::json;

use crate::run::{instance, instance_with, root};

/// Each file of `examples/refused` with the fields that are at fault and a piece of each rule.
const REFUSED: &[(&str, &[(&str, &str)])] = &[
    ("both-forms", &[("steps", "must not stand beside")]),
    ("cycle", &[("steps", "must not form a cycle")]),
    (
        "double-and-unknown-step",
        &[("steps[1].id", "must be unique"), ("steps[1].depends_on", "must name a step of this command")],
    ),
    ("doubled-key", &[("severity", "must be given once")]),
    (
        "generation-request",
        &[
            ("error_category", "must be one of config"),
            ("count", "from 1 to 100"),
            ("severity_range", "the lower first"),
            ("output_format", "raw or json"),
            ("colour", "is not a field"),
        ],
    ),
    (
        "kernel-parameters-in-a-config-command",
        &[
            ("parameters.cpf_section", "is required"),
            ("parameters.parameter", "is required"),
            ("parameters.kernel_param", "is not a field"),
        ],
    ),
    ("line-end-in-a-value", &[("parameters.new_value", "without control characters")]),
    (
        "missing-fields",
        &[("command_id", "is required"), ("instance", "is required"), ("severity", "is required")],
    ),
    ("no-steps", &[("steps", "must hold 1 to 64 steps")]),
    ("no-uuid", &[("command_id", "a UUID")]),
    ("no-work", &[("execution_order", "either execution_order with parameters, or steps")]),
    ("not-an-object", &[("payload", "must be an object")]),
    ("not-json", &[("payload", "must be one JSON document")]),
    ("nul-in-a-value", &[("parameters.new_value", "without control characters")]),
    ("os-before-license", &[("execution_order", "does not fit error_type license")]),
    ("repeated-tool", &[("execution_order", "must not repeat a tool")]),
    ("restart-not-announced", &[("requires_restart", "exactly when the work holds iris_restart")]),
    ("self-dependent-step", &[("steps[0].depends_on", "a step may not depend on itself")]),
    ("timeout-too-long", &[("timeout_seconds", "from 10 to 300")]),
    ("timeout-too-short", &[("timeout_seconds", "from 10 to 300")]),
    ("too-deep", &[("payload", "")]),
    ("too-many-steps", &[("steps", "must hold 1 to 64 steps")]),
    ("unknown-field", &[("urgency", "is not a field")]),
    ("unknown-schema", &[("schema", "must be one of")]),
    ("wrong-type", &[("severity", "an integer from 0"), ("requires_restart", "true or false")]),
    ("zero-trace-id", &[("trace_id", "not all zero")]),
];

#[test]
fn every_example_is_valid() {
    let listing = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let examples: Vec<_> = listing.filter(|path| path.is_file()).collect();
    assert!(examples.len() >= 7, "{examples:?}");
    for example in examples {
        let run = instance(&[&"validate", &example, &"--json"]).exits(0);
        let report = run.document("instance.cli.v1.validation");
        let name = example.file_stem().unwrap().to_str().unwrap();
        let contract =
            if name == "generation-request" { "message_generation_request" } else { "remediation_command" };
        assert_eq!(report["contract"], contract, "{name}");
        assert_eq!(report["older_form"], name == "older-nine-field", "{name}");
        assert_eq!(report["faults"], json!([]), "{name}");
    }
}

#[test]
fn every_refused_example_gets_all_its_faults() {
    let folder = root().join("examples/refused");
    let listing = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let files: BTreeSet<String> =
        listing.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let table: BTreeSet<String> = REFUSED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, table);
    for (name, faults) in REFUSED {
        let file = folder.join(format!("{name}.json"));
        let run = instance(&[&"validate", &file, &"--json"]).exits(1);
        let report = run.document("instance.cli.v1.validation");
        assert_eq!(report["valid"], false, "{name}");
        let found = report["faults"].as_array().unwrap();
        assert_eq!(found.len(), faults.len(), "{name}: {found:?}");
        for (fault, (field, rule)) in found.iter().zip(*faults) {
            assert_eq!(fault["field"], *field, "{name}");
            assert!(fault["rule"].as_str().unwrap().contains(rule), "{name}: {fault}");
        }
    }
}

#[test]
fn several_files_are_told_one_by_one_and_one_bad_one_decides() {
    let run = instance(&[&"validate", &"examples/os.json", &"examples/refused/no-uuid.json"]).exits(1);
    assert_eq!(
        run.stdout,
        "examples/os.json: valid remediation_command\n\
         examples/refused/no-uuid.json: remediation_command with 1 fault\n  \
         command_id = \"0b6f3c1e\": must be a UUID in the form 8-4-4-4-12\n"
    );
    assert_eq!(run.stderr, "");
}

#[test]
fn a_payload_that_is_too_large_is_told_so() {
    let text = "x".repeat(300 * 1024);
    let command =
        json!({"schema": "instance.v1.remediation_command", "recommended_action": text}).to_string();
    let run = instance_with(&[&"validate", &"-", &"--json"], command.as_bytes(), &[]).exits(1);
    let report = run.document("instance.cli.v1.validation");
    assert_eq!(report["faults"][0]["field"], "payload");
    assert_eq!(report["faults"][0]["rule"], "at most 65536 bytes");
}

#[test]
fn the_contract_can_be_named() {
    let request = br#"{"count": 3}"#;
    let run = instance_with(&[&"validate", &"-", &"--as", &"remediation_command", &"--json"], request, &[]);
    let report = run.exits(1).document("instance.cli.v1.validation");
    assert_eq!(report["contract"], "remediation_command");
    let run = instance_with(&[&"validate", &"-", &"--json"], request, &[]).exits(0);
    assert_eq!(run.document("instance.cli.v1.validation")["contract"], "message_generation_request");
    instance_with(&[&"validate", &"-", &"--as", &"poem"], request, &[]).exits(2);
}
