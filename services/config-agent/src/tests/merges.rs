//! `iris merge`, done by a scripted `iris`: what the agent asks of it, and what it makes of what comes.

use std::{fs, process::Command};

use instance_agent::Probe;
use instance_contract::Failure;
use serde_json::json;

use super::{Stage, code, set, several, several::FULL};
use crate::wanted::Wanted;

/// A stage with a running instance, whose `iris` merges as the real one does: it writes its own file.
pub fn stage(behaves: &str) -> Stage {
    let mut stage = Stage::new(FULL);
    let script = stage.path("iris");
    // Not written by this process: a child that another test starts meanwhile would inherit the open file, and what is
    // open for writing cannot be run ("Text file busy").
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/iris.sh");
    let copied = Command::new("install").args(["-m", "755", source]).arg(&script).status().unwrap();
    assert!(copied.success(), "{copied}");
    fs::write(stage.path("behave"), behaves).unwrap();
    fs::write(stage.path("state"), "running, since x").unwrap();
    stage.config.iris_command = script;
    stage
}

fn larger_lock_table() -> Wanted {
    several(&json!({"live": true, "changes": [
        {"cpf_section": "config", "parameter": "locksiz", "new_value": "33554432", "current_value": "0"},
        {"cpf_section": "config", "parameter": "bbsiz", "new_value": "524288"}]}))
}

fn changed() -> String {
    let text = String::from_utf8(FULL.to_vec()).unwrap();
    text.replace("locksiz=0", "locksiz=33554432").replace("bbsiz=-1", "bbsiz=524288")
}

fn merge_files(stage: &Stage) -> Vec<String> {
    stage.others().into_iter().filter(|name| name.contains("_instance_merge")).collect()
}

#[test]
fn a_live_change_goes_through_the_running_instance_and_is_read_back() {
    let stage = stage("");
    let wanted = larger_lock_table();
    let forecast = stage.forecast_all(&wanted).unwrap();
    assert!(!forecast.needs_restart, "{forecast:?}");
    let (prepared, applied) = stage.change_all(&wanted).unwrap();
    assert_eq!(String::from_utf8(stage.cpf()).unwrap(), changed());
    assert_eq!(applied.changes.len(), 2);
    assert!(applied.warnings.is_empty(), "{applied:?}");
    let calls = fs::read_to_string(stage.path("calls")).unwrap();
    let file = stage.path(".iris.cpf_instance_merge");
    let cpf = stage.path("iris.cpf");
    assert_eq!(calls, format!("merge PROD {} {}\n600\n", file.display(), cpf.display()));
    assert_eq!(
        fs::read_to_string(stage.path("merged")).unwrap(),
        "[config]\nlocksiz=33554432\nbbsiz=524288\n"
    );
    assert!(merge_files(&stage).is_empty());
    assert!(matches!(stage.probe(&prepared), Probe::Done(_)));

    // What the instance has taken up, it also gives up.
    stage.undo(&prepared).unwrap();
    assert_eq!(stage.cpf(), FULL);
    let calls = fs::read_to_string(stage.path("calls")).unwrap();
    assert_eq!(calls.matches("merge PROD").count(), 2);
    stage.undo(&prepared).unwrap();
    assert_eq!(fs::read_to_string(stage.path("calls")).unwrap(), calls, "twice is once");
}

/// A command of one value says nothing of live, so the forecast tells the planner whether it can be.
#[test]
fn one_value_may_be_live_where_the_instance_runs_and_the_catalogue_says_so() {
    let stage = stage("");
    let told = |name: &str, value: &str| stage.forecast_all(&Wanted::from(&set(name, value))).unwrap();
    let locks = told("locksiz", "33554432");
    assert!(locks.may_be_live && !locks.needs_restart && locks.warnings.is_empty(), "{locks:?}");
    assert!(!told("locksiz", "0").may_be_live, "nothing is to be done");
    assert!(!told("gmheap", "307200").may_be_live, "it needs a restart");
    assert!(!stage.path("calls").exists(), "a forecast merges nothing");

    fs::write(stage.path("state"), "down, last used x").unwrap();
    let down = told("locksiz", "33554432");
    assert!(!down.may_be_live && !down.needs_restart, "{down:?}");
    assert!(down.restart_reason.contains("not told"), "{down:?}");
    assert!(down.warnings[0].contains("at its next start"), "{down:?}");
}

#[test]
fn of_an_instance_that_is_down_the_undo_changes_the_file() {
    let stage = stage("");
    let (prepared, _) = stage.change_all(&larger_lock_table()).unwrap();
    fs::write(stage.path("state"), "down, last used x").unwrap();
    stage.undo(&prepared).unwrap();
    assert_eq!(stage.cpf(), FULL);
    assert_eq!(fs::read_to_string(stage.path("calls")).unwrap().matches("merge PROD").count(), 1);
}

#[test]
fn only_a_running_instance_and_only_live_parameters() {
    let stage = stage("");
    let restart = several(&json!({"live": true, "changes": [
        {"cpf_section": "config", "parameter": "locksiz", "new_value": "33554432"},
        {"cpf_section": "config", "parameter": "gmheap", "new_value": "307200"}]}));
    let failure = stage.forecast_all(&restart).unwrap_err();
    assert_eq!(code(&failure), "not_live");
    assert!(failure.to_string().contains("[config] gmheap"), "{failure}");
    fs::write(stage.path("state"), "down, last used x").unwrap();
    assert_eq!(code(&stage.forecast_all(&larger_lock_table()).unwrap_err()), "instance_not_running");
    let failure = stage.change_all(&larger_lock_table()).unwrap_err();
    assert_eq!((code(&failure), stage.cpf()), ("instance_not_running", FULL.to_vec()));
}

#[test]
fn an_exit_code_is_not_believed() {
    // It says that all went well, and has done nothing.
    let lies = stage("lies");
    let failure = lies.change_all(&larger_lock_table()).unwrap_err();
    assert_eq!((code(&failure), lies.cpf()), ("merge_failed", FULL.to_vec()));
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure}");
    // It has done it, and says that it failed.
    let odd = stage("odd_exit");
    odd.change_all(&larger_lock_table()).unwrap();
    assert_eq!(String::from_utf8(odd.cpf()).unwrap(), changed());
    // It has failed.
    let fails = stage("fails");
    let failure = fails.change_all(&larger_lock_table()).unwrap_err();
    assert!(
        failure.to_string().contains("exit code 7") && failure.to_string().contains("no right"),
        "{failure}"
    );
    assert_eq!((fails.cpf(), merge_files(&fails)), (FULL.to_vec(), Vec::<String>::new()));
    // Half of it.
    let half = stage("half");
    let failure = half.change_all(&larger_lock_table()).unwrap_err();
    assert!(matches!(failure, Failure::Unknown { .. }), "{failure}");
    assert_eq!(code(&failure), "merge_incomplete");
}

#[test]
fn a_merge_that_hangs_is_ended_and_what_is_true_is_unknown() {
    let stage = stage("hangs");
    let wanted = larger_lock_table();
    let prepared = stage.prepare_all(&wanted).unwrap();
    let failure = stage.apply_within(&wanted, &prepared, std::time::Duration::from_secs(5)).unwrap_err();
    assert!(matches!(failure, Failure::Unknown { .. }), "{failure}");
    assert_eq!(code(&failure), "merge_timed_out");
    assert_eq!(stage.probe(&prepared), Probe::NotDone);
}

#[test]
fn what_iris_changes_besides_is_told() {
    let stage = stage("rewrites");
    let (_, applied) = stage.change_all(&larger_lock_table()).unwrap();
    assert!(applied.warnings[0].contains("[config] errlog"), "{applied:?}");
}

#[test]
fn a_rival_before_the_merge_wins() {
    let stage = stage("");
    let wanted = larger_lock_table();
    let prepared = stage.prepare_all(&wanted).unwrap();
    let rival = String::from_utf8(FULL.to_vec()).unwrap().replace("errlog=500", "errlog=600");
    let write = || {
        fs::write(stage.path("iris.cpf"), &rival).unwrap();
        Ok(())
    };
    let failure = stage.apply_all(&wanted, &prepared, &write).unwrap_err();
    assert_eq!((code(&failure), stage.cpf()), ("lost_update", rival.clone().into_bytes()));
    assert!(!stage.path("calls").exists() && merge_files(&stage).is_empty());
}
