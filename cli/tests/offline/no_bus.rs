//! What commands that need the bus say without one.

use std::{
    ffi::OsStr,
    net::TcpListener,
    os::unix::ffi::OsStrExt as _,
    process::{Command, Stdio},
};

use serde_json::json;

use crate::run::{instance, instance_with};

/// An address on which nobody listens: the port was free a moment ago.
fn nobody() -> String {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("nats://{address}")
}

#[test]
fn an_unreachable_bus_has_its_own_code_and_says_what_to_do() {
    let nobody = nobody();
    let id = "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8";
    let commands: [&[&str]; 18] = [
        &["status"],
        &["trace", id],
        &["history"],
        &["trends"],
        &["approve", id, "--yes"],
        &["hosts"],
        &["dead-letter", "list"],
        &["bus", "check"],
        &["generate", "--publish"],
        &["breaker", "list"],
        &["cost"],
        &["inbox", "list"],
        &["inbox", "show", id],
        &["inbox", "ack", id, "--note", "mine"],
        &["incident"],
        &["incident", "--last"],
        &["explain", "journal-not-started"],
        &["investigate", "why did PROD refuse logons"],
    ];
    for command in commands {
        let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"--nats", &nobody];
        arguments.extend(command.iter().map(|argument| argument as &dyn AsRef<std::ffi::OsStr>));
        let run = instance(&arguments).exits(7);
        assert!(run.stderr.contains("could not connect to NATS at nats://127.0.0.1:"), "{run:?}");
        assert!(run.stderr.contains("instance doctor"), "{run:?}");
        assert_eq!(run.stdout, "", "{command:?}");
    }
}

#[test]
fn a_bad_command_is_refused_before_anything_is_sent() {
    let nobody = nobody();
    let file = "examples/refused/cycle.json";
    let run = instance(&[&"orchestrate", &"--command-file", &file, &"--nats", &nobody, &"--json"]).exits(3);
    let answer = run.document("instance.v1.command_answer");
    assert_eq!((&answer["status"], &answer["remediation_id"]), (&json!("refused"), &json!(null)));
    assert_eq!(answer["faults"][0]["field"], "steps");
    let file = "examples/older-nine-field.json";
    let run = instance(&[&"orchestrate", &"--command-file", &file, &"--nats", &nobody]).exits(3);
    assert!(run.stdout.contains("instance: is required"), "{run:?}");
    instance(&[&"orchestrate", &"--command-file", &file, &"--instance", &"PROD", &"--nats", &nobody])
        .exits(7);
}

#[test]
fn what_makes_no_sense_is_told_before_anything_is_asked() {
    let nobody = nobody();
    for (words, code, said) in [
        (&["explain", "journal-not-statred"][..], 8, "did you mean journal-not-started?"),
        (&["explain", "zorkmid"], 8, "the catalogue has no condition \"zorkmid\""),
        (&["investigate", " "], 2, "ask something, in words"),
        (&["inbox", "ack", "7"], 2, "write it in full"),
        (&["inbox", "ack"], 2, "required"),
        (&["incident", "--limit", "x"], 2, "--limit"),
        (&["man", "cpf", "sett"], 8, "known are"),
        (&["man", "cpf", "--out", "x"], 2, "cannot be used with"),
    ] {
        let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"--nats", &nobody];
        arguments.extend(words.iter().map(|word| word as &dyn AsRef<std::ffi::OsStr>));
        let run = instance(&arguments).exits(code);
        assert!(run.stderr.contains(said), "{words:?}: {run:?}");
        assert_eq!(run.stdout, "", "{words:?}");
    }
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let run = instance(&[&"man", &"--out", &folder.path()]).exits(0);
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(page("instance.1").contains(".TH instance 1") && page("instance-cpf-set.1").contains("SYNOPSIS"));
    assert_eq!(run.stdout.lines().count(), std::fs::read_dir(folder.path()).unwrap().count());
    assert!(instance(&[&"man", &"inbox", &"ack"]).exits(0).stdout.contains("instance\\-inbox\\-ack"));
}

#[test]
fn the_doctor_names_the_fault_and_the_next_step() {
    let nobody = nobody();
    let run = instance(&[&"doctor", &"--nats", &nobody, &"--json"]).exits(1);
    let document = run.document("instance.cli.v1.doctor");
    assert_eq!(document["healthy"], false);
    let nats = &document["checks"][0];
    assert_eq!((&nats["name"], &nats["outcome"]), (&json!("nats"), &json!("fail")));
    assert!(nats["next"].as_str().unwrap().contains("instance up"), "{document:#}");
    let run = instance(&[&"doctor", &"--nats", &nobody, &"--iris-command", &"/no/such/iris"]).exits(1);
    assert!(run.stdout.contains("could not run \"/no/such/iris\""), "{run:?}");
}

#[test]
fn settings_that_cannot_be_used_have_their_own_code() {
    let run = instance(&[&"status", &"--config", &"/no/such/file.toml"]).exits(78);
    assert!(run.stderr.contains("/no/such/file.toml"), "{run:?}");
    let run = instance_with(&[&"status"], b"", &[("INSTANCE_NATS__URLL", "x")]).exits(78);
    assert!(run.stderr.contains("urll"), "{run:?}");
    instance(&[&"status", &"--context", &"no/such"]).exits(78);
}

#[test]
fn a_variable_that_is_not_utf8_is_not_for_us() {
    let nobody = nobody();
    let commands: [(&[&str], i32); 2] =
        [(&["model", "check"], 8), (&["hosts", "--nats", nobody.as_str()], 7)];
    for (words, code) in commands {
        let mut command = Command::new(env!("CARGO_BIN_EXE_instance"));
        command.args(words).env("XDG_CONFIG_HOME", "/nonexistent").env("X", OsStr::from_bytes(b"\xff"));
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
    }
}

#[test]
fn the_address_comes_from_the_environment_too() {
    let nobody = nobody();
    for name in ["INSTANCE_NATS__URL", "NATS_URL"] {
        let run = instance_with(&[&"hosts"], b"", &[(name, &nobody)]).exits(7);
        assert!(run.stderr.contains(&nobody), "{name}: {run:?}");
    }
}
