//! One program for all that is asked of it: each thing has help and gives JSON, as docs/operations.md lists them.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::{
    command_line::alone,
    pipeline::{Pipeline, source_tree, wish},
};

/// The rows of the table: what is wanted, and the words of the command up to its first option.
fn listed() -> Vec<(String, Vec<String>)> {
    let page = fs::read_to_string(source_tree().join("docs/operations.md")).unwrap();
    let table = page.split_once("## One program").unwrap().1.split_once("\n## ").unwrap().0;
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | `instance "));
    let words = |text: &str| {
        let command = text.split('`').next().unwrap();
        command.split(' ').take_while(|word| !word.starts_with("--")).map(str::to_owned).collect()
    };
    rows.map(|(wanted, command)| (wanted.to_owned(), words(command))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_twelve_things_has_help_and_gives_json() {
    let mut pipeline = Pipeline::new(&[]).await;
    pipeline.iris.start();
    pipeline.everything().await;
    let file = |wish: &Value, name: &str| {
        let path = pipeline.path(name);
        fs::write(&path, wish.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let inbox = pipeline.path("inbox");
    fs::create_dir_all(&inbox).unwrap();
    let live = file(&wish::set_cpf("globals", "0,0,300,0,0,0", false), "live.json");
    let dry = file(&wish::set_cpf("globals", "0,0,302,0,0,0", false), "dry.json");
    let kernel = file(&wish::set_kernel("vm.swappiness", 5, false), "os.json");
    let restart = file(&wish::restart(), "restart.json");
    fs::write(inbox.join("one.json"), wish::set_cpf("globals", "0,0,301,0,0,0", false).to_string()).unwrap();
    let inbox = inbox.to_str().unwrap();
    let baseline = pipeline.path("baseline.json");
    let given: [(&str, Vec<&str>); 12] = [
        ("generate", vec!["generate", "--count", "2"]),
        ("publish", vec!["generate", "--count", "2", "--publish"]),
        ("consume", vec!["consume", "--source", inbox, "--once"]),
        ("validate", vec!["validate", &live]),
        ("orchestrate", vec!["orchestrate", "--command-file", &dry, "--dry-run", "--wait"]),
        ("remediate", vec!["orchestrate", "--command-file", &live, "--wait"]),
        ("config", vec!["config", "show", "router"]),
        ("os", vec!["orchestrate", "--command-file", &kernel, "--dry-run", "--wait"]),
        ("restart", vec!["orchestrate", "--command-file", &restart, "--dry-run", "--wait"]),
        ("cost", vec!["cost"]),
        ("profile", vec!["profile", "--baseline", baseline.to_str().unwrap()]),
        ("check", vec!["doctor", "--check"]),
    ];
    let listed = listed();
    let names: BTreeSet<&str> = listed.iter().map(|(wanted, _)| wanted.as_str()).collect();
    assert_eq!(names, given.iter().map(|(wanted, _)| *wanted).collect());
    for (wanted, words) in &listed {
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let help = alone(&words);
        assert!(help.code == 0 && help.stdout.contains("Usage: instance "), "{wanted}: {help:?}");
        assert!(help.stdout.contains("Examples:"), "{wanted} shows no example:\n{}", help.stdout);
    }
    for (wanted, words) in &given {
        let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        let ran = pipeline.instance(&words).await;
        let documents: Vec<Value> = serde_json::Deserializer::from_str(&ran.stdout)
            .into_iter()
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{wanted}: {error}: {ran:?}"));
        // Doctor tells of what the scenario leaves out; everything else is done.
        assert!(ran.code == 0 || *wanted == "check", "{wanted}: {ran:?}");
        assert!(!documents.is_empty() && documents.iter().all(Value::is_object), "{wanted}: {ran:?}");
    }
}
