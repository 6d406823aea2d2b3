//! The CPF: what stops a start, and what a merge changes.

mod support;

use std::fs;

use support::{Bench, exists, runs, text, wait_until};

/// Starts with an edited CPF, demands a refusal with that message, and puts the file right again.
#[expect(clippy::unwrap_used, reason = "it is the body of the tests below")]
fn check_refused(from: &str, to: &str, message: &str) {
    let bench = Bench::new();
    let good = fs::read(bench.path("PROD/iris.cpf")).unwrap();
    bench.edit_cpf(from, to);
    let bad = fs::read(bench.path("PROD/iris.cpf")).unwrap();
    let refused = bench.iris(&["start", "PROD", "quietly"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stdout).contains("An error was encountered while initializing the system."));
    assert_eq!(bench.last_entry(message).map(|entry| entry.0), Some(3), "{}", bench.log());
    let parsing = format!(
        "Error: Parsing CPF file {}/iris.cpf - Shutting down the system : $zu(56,2)=",
        bench.path("PROD").display()
    );
    assert_eq!(bench.last_entry(&parsing).map(|entry| entry.0), Some(3));
    assert!(!bench.log().contains("Enabling logons"));
    assert!(bench.log().ends_with("Shutdown complete\n"));
    assert_eq!(bench.state(), ("down".to_owned(), String::new()));
    assert_eq!(fs::read(bench.path("PROD/iris.cpf")).unwrap(), bad, "a refused file is not touched");
    assert!(!exists(&bench.path("PROD/_LastGood_.cpf")));
    for pid in bench.entries().iter().filter_map(|entry| Some(entry.header.as_ref()?.process_id)) {
        assert!(!runs(u32::try_from(pid).unwrap()), "process {pid} is left");
    }

    fs::write(bench.path("PROD/iris.cpf"), good).unwrap();
    bench.start();
    assert_eq!(bench.state().0, "running");
}

#[test]
fn an_unknown_parameter_stops_the_start() {
    check_refused(
        "[Startup]\n",
        "[Startup]\nglobals=20000\n",
        "Invalid parameter name 'globals', LINE:'globals=20000' at line ",
    );
}

#[test]
fn a_missing_parameter_stops_the_start() {
    check_refused(
        "gmheap=0\n",
        "",
        "The following parameters are missing from section [config]: 'gmheap' at line ",
    );
}

#[test]
fn a_repeated_parameter_stops_the_start() {
    check_refused(
        "gmheap=0\n",
        "gmheap=0\ngmheap=40000\n",
        "Duplicate line detected, LINE:'gmheap=40000' at line ",
    );
}

#[test]
fn an_empty_value_stops_the_start() {
    check_refused("WebServer=1\n", "WebServer=\n", "Property 'Config.Startup::WebServer(");
}

#[test]
fn an_edit_while_down_is_noticed() {
    let bench = Bench::new();
    bench.start();
    bench.stop();
    let changed = "is not the same as when last shut down";
    bench.start();
    bench.stop();
    assert!(!bench.log().contains(changed), "nobody changed it");
    bench.edit_cpf("globals=0,0,256,0,0,0", "globals=0,0,300,0,0,0");
    bench.start();
    assert!(bench.log().contains(changed));
}

#[test]
fn a_merge_writes_the_cpf_and_says_so() {
    let bench = Bench::new();
    bench.start();
    let merge = bench.path("merge.cpf");
    fs::write(&merge, "[config]\nglobals=0,0,400,0,0,0\nlocksiz=1000000\n").unwrap();
    let printed = bench.iris_ok(&["merge", "PROD", merge.to_str().unwrap()]);
    let cpf = bench.path("PROD/iris.cpf");
    assert_eq!(printed, format!("IRIS Merge of {} into {}\n", merge.display(), cpf.display()));
    let merged = fs::read_to_string(&cpf).unwrap();
    assert!(merged.contains("\nglobals=0,0,400,0,0,0\n") && merged.contains("\nlocksiz=1000000\n"));
    for line in ["Merging ", "Validating CPF file ", "No errors found in CPF file "] {
        assert_eq!(bench.last_entry(line).map(|entry| entry.0), Some(0), "{line}");
    }
    assert_eq!(bench.told()["globals_8k_mb"], 256, "globals need a restart");
    bench.iris_ok(&["restart", "PROD", "quietly"]);
    assert_eq!(bench.told()["globals_8k_mb"], 400);
}

#[test]
fn a_start_and_a_restart_merge_the_file_that_the_environment_names() {
    let bench = Bench::new();
    bench.start();
    bench.stop();
    let merge = bench.path("merge.cpf");
    let with_file = |words: &[&str]| {
        let output = bench.iris_with(&[("ISC_CPF_MERGE_FILE", &merge)], words);
        assert!(output.status.success(), "{}", text(&output.stdout));
        text(&output.stdout)
    };
    fs::write(&merge, "[config]\nglobals=0,0,400,0,0,0\n").unwrap();
    assert!(with_file(&["start", "PROD", "quietly"]).contains("\nMerging IRIS, please wait...\n"));
    assert_eq!(bench.told()["globals_8k_mb"], 400);
    let log = bench.log();
    let merging = format!("Merging {} into {}", merge.display(), bench.path("PROD/iris.cpf").display());
    assert!(log.find(&merging) < log.rfind("Using parameters from file") && log.contains(&merging), "{log}");
    assert!(!log.contains("is not the same as when last shut down"), "IRIS has changed it itself");

    fs::write(&merge, "[config]\nglobals=0,0,300,0,0,0\n").unwrap();
    with_file(&["stop", "PROD", "restart", "quietly"]);
    assert_eq!(bench.told()["globals_8k_mb"], 300);

    fs::remove_file(&merge).unwrap();
    with_file(&["restart", "PROD", "quietly"]);
    let skipped = format!("File pointed to by '{}' does not exist; skipping", merge.display());
    // It is the last word of the start, which does not wait for it.
    wait_until("the word about it", || bench.last_entry(&skipped).map(|entry| entry.0) == Some(0));
    assert_eq!(bench.told()["globals_8k_mb"], 300);
    assert!(fs::read_to_string(bench.path("PROD/iris.cpf")).unwrap().contains("\nglobals=0,0,300,0,0,0\n"));
    bench.iris_ok(&["restart", "PROD", "quietly"]);
    assert_eq!(bench.log().matches("; skipping").count(), 1, "who names no file hears nothing of it");
}

#[test]
fn a_merge_that_would_break_the_next_start_changes_nothing() {
    let bench = Bench::new();
    let merge = bench.path("merge.cpf");
    fs::write(&merge, "[Startup]\nglobals=20000\n").unwrap();
    let merge = merge.to_str().unwrap();
    assert_eq!(bench.iris(&["merge", "PROD", merge]).status.code(), Some(7), "it is not running");
    bench.start();
    let before = fs::read(bench.path("PROD/iris.cpf")).unwrap();
    let failed = bench.iris(&["merge", "PROD", merge]);
    assert_eq!(failed.status.code(), Some(7));
    assert!(text(&failed.stdout).contains("IRIS Merge failed,Invalid parameter name 'globals'"));
    assert_eq!(fs::read(bench.path("PROD/iris.cpf")).unwrap(), before);
}
