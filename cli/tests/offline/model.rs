//! `instance model check` and `instance cost --folder`, against an endpoint of a model on the loopback interface.

use std::{fs, path::Path};

use instance_testkit::{ModelAnswer, ModelServer};
use serde_json::{Value, json};

use crate::run::{Run, instance};

fn settings(folder: &Path, server: &ModelServer, more: &str) -> std::path::PathBuf {
    let file = folder.join("settings.toml");
    let text = format!(
        "[model]\nfolder = '{}'\nretry_base_ms = 1\n[[model.providers]]\nname = \"main\"\nbase_url = \"{}\"\n\
         model = \"m-1\"\ninput_usd_per_million = 1000\n{more}",
        folder.join("state").display(),
        server.url(),
    );
    fs::write(&file, text).unwrap();
    file
}

fn choice(option: u32) -> ModelAnswer {
    ModelAnswer::json(&json!({"option": option, "numbers": [], "confidence": 0.9}))
}

fn checked(run: &Run) -> Value {
    run.document("instance.cli.v1.model_check")["providers"][0].clone()
}

#[test]
fn a_provider_is_checked_recorded_and_replayed_and_what_it_cost_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = ModelServer::start();
    let config = settings(folder.path(), &server, "");
    let tape = folder.path().join("tape");
    server.expect(ModelAnswer::status(500)).expect(choice(1));
    let run = instance(&[&"model", &"check", &"--config", &config, &"--record", &tape, &"--json"]).exits(0);
    assert_eq!((&checked(&run)["right"], &checked(&run)["tokens"]), (&json!(true), &json!(150)));
    let run = instance(&[&"model", &"check", &"--config", &config, &"--replay", &tape, &"--json"]).exits(0);
    assert_eq!(checked(&run)["outcome"], "right (recording)");
    assert_eq!(server.calls(), 2, "a replay calls nobody");

    let run = instance(&[&"cost", &"--folder", &folder.path().join("state"), &"--json"]).exits(0);
    let report = run.document("instance.cli.v1.cost")["reports"][0].clone();
    assert_eq!(report["today"], json!({"calls": 1, "input_tokens": 100, "output_tokens": 50, "usd": 0.1}));
    let run = instance(&[&"cost", &"--folder", &folder.path().join("state")]).exits(0);
    assert!(run.stdout.contains("1 call(s), 150 of 500000 tokens (0 %), 0.1000 USD"), "{run:?}");
    assert!(run.stdout.contains("main/m-1") && run.stdout.contains("check@1"), "{run:?}");
}

#[test]
fn a_wrong_answer_and_a_spent_budget_are_failures_that_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let server = ModelServer::start();
    let config = settings(folder.path(), &server, "");
    server.expect(choice(0));
    let run = instance(&[&"model", &"check", &"--config", &config]).exits(1);
    assert!(run.stdout.contains("not the right one"), "{run:?}");

    let config = settings(folder.path(), &server, "[model.budget]\nday_tokens = 200\n");
    let run = instance(&[&"model", &"check", &"--config", &config]).exits(1);
    assert!(run.stdout.contains("the budget of tokens of this day is spent: 150 of 200 used"), "{run:?}");
    assert_eq!(server.calls(), 1);
}

#[test]
fn settings_that_cannot_be_used_are_told_before_anybody_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let server = ModelServer::start();
    let config = settings(folder.path(), &server, "key_file = \"/nonexistent/key\"\n");
    let run = instance(&[&"model", &"check", &"--config", &config]).exits(78);
    assert!(run.stderr.contains("could not read the key of provider \"main\""), "{run:?}");
    let config = settings(folder.path(), &server, "key = \"sk-planted\"\n");
    let run = instance(&[&"model", &"check", &"--config", &config]).exits(78);
    assert!(run.stderr.contains("unknown field `key`"), "{run:?}");
    instance(&[&"model", &"check"]).exits(8);
    instance(&[&"cost", &"--folder", &folder.path()]).exits(8);
}
