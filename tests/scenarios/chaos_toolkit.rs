//! The shipped experiments under the real `chaos`: what was healed keeps the hypothesis, another verdict deviates.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    process::Command,
};

use serde_json::Value;

use crate::pipeline::{program, source_tree};

/// The folder with chaostoolkit, where `cargo xtask test` could have it.
fn toolkit() -> Option<String> {
    let named =
        env::var("INSTANCE_CHAOSTOOLKIT_PY").expect("`cargo xtask test` names the folder of chaostoolkit");
    if named == "none" {
        println!("left out: chaostoolkit could not be installed, so no experiment was run");
        return None;
    }
    Some(named)
}

/// `chaos run` of a shipped experiment: did it end well, and its journal.
fn run(toolkit: &str, folder: &Path, experiment: &str, variables: &[(&str, &str)]) -> (bool, Value) {
    let journal = folder.join("journal.json");
    let _ = fs::remove_file(&journal);
    let mut chaos = Command::new("python3");
    chaos.args(["-m", "chaostoolkit", "--no-version-check", "--no-log-file", "run"]);
    chaos.args(["--journal-path"]).arg(&journal);
    for (name, value) in variables {
        chaos.arg("--var").arg(format!("{name}={value}"));
    }
    chaos.arg(source_tree().join("deploy/chaostoolkit").join(experiment)).current_dir(folder);
    // `instance` is found as an operator's would be.
    let programs = program("instance").parent().unwrap().to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([programs].into_iter().chain(env::split_paths(&path))).unwrap();
    chaos
        .env("PATH", path)
        .env("PYTHONPATH", toolkit)
        .env("HOME", folder)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = chaos.output().unwrap();
    let text = fs::read_to_string(&journal).unwrap_or_else(|error| {
        let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        panic!("no journal ({error}):\n{}", said.concat())
    });
    (output.status.success(), serde_json::from_str(&text).unwrap())
}

#[test]
fn a_healed_instance_keeps_the_hypothesis_and_another_verdict_deviates() {
    let Some(toolkit) = toolkit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (well, journal) = run(&toolkit, folder.path(), "heal.json", &[("label", "healed")]);
    assert!(well && journal["status"] == "completed" && journal["deviated"] == false, "{journal:#}");
    // Not an empty run: the scenario was played by the action.
    assert_eq!(journal["run"][0]["output"]["status"], 0, "{journal:#}");
    let report = folder.path().join("run/chaos/healed");
    assert!(report.is_dir(), "the run has its folder");
    let again = [("label", "healed"), ("verdict", "verified")];
    let (well, journal) = run(&toolkit, folder.path(), "verdict.json", &again);
    assert!(well && journal["deviated"] == false, "{journal:#}");
    let other = [("label", "healed"), ("verdict", "missed")];
    let (well, journal) = run(&toolkit, folder.path(), "verdict.json", &other);
    assert!(!well && journal["deviated"] == true, "{journal:#}");
}

/// What the gateway answers with, by the word of its page: 200 for the verdict that is true, 409 for any other.
#[test]
fn the_gateways_word_decides_by_its_status_alone() {
    let Some(toolkit) = toolkit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let gateway = format!("http://{}", listener.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let asked = lines.next().unwrap().unwrap();
            assert!(asked.starts_with("GET /v1/assert?label=nightly&verdict="), "{asked}");
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let status = if asked.contains("verdict=verified") { "200 OK" } else { "409 Conflict" };
            stream
                .write_all(
                    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
                )
                .unwrap();
        }
    });
    for (verdict, deviates) in [("verified", false), ("missed", true)] {
        let variables = [("gateway", gateway.as_str()), ("label", "nightly"), ("verdict", verdict)];
        let (well, journal) = run(&toolkit, folder.path(), "gateway.json", &variables);
        assert_eq!((well, &journal["deviated"]), (!deviates, &deviates.into()), "{journal:#}");
    }
    answering.join().unwrap();
}
