use std::sync::{Mutex, PoisonError};

use super::*;

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Heard {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn wait_for(&self, wanted: impl Fn(&[String]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !wanted(&self.all()) {
            assert!(Instant::now() < deadline, "never heard: {:?}", self.all());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Sink for Heard {
    fn line(&self, service: &str, line: &[u8]) {
        let text = format!("{service}: {}", String::from_utf8_lossy(line));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    fn remark(&self, service: &str, text: &str) {
        self.line(service, format!("({text})").as_bytes());
    }
}

fn shell(name: &'static str, script: &str) -> Program {
    Program {
        name,
        path: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        variables: Vec::new(),
        clean_environment: false,
    }
}

fn supervisor() -> (Supervisor, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    (Supervisor::new(Guard::start(&[]).unwrap(), heard.clone()), heard)
}

fn runs(pid: u32) -> bool {
    std::path::Path::new("/proc").join(pid.to_string()).exists()
}

const PATIENT: &str = "trap 'echo drained >&2; exit 0' TERM; echo up >&2; while :; do sleep 0.01; done";

#[tokio::test]
async fn what_dies_is_started_again_and_what_is_killed_too() {
    let (mut children, heard) = supervisor();
    children.start(shell("a", PATIENT));
    heard.wait_for(|lines| lines == ["a: up"]).await;
    let first = children.state("a").pid.unwrap();
    children.crash("a").await;
    let state = children.state("a");
    assert_eq!(state.starts, 2);
    assert!(state.peak_kb > 0, "the memory was looked at before the kill");
    assert!(!runs(first) && state.pid.is_some_and(|pid| pid != first));
    heard.wait_for(|lines| lines.len() == 3).await;
    assert_eq!(heard.all()[1], "a: (was ended by signal 9; starting again in 0.2 s)");
    children.stop_now().await;
    assert_eq!(children.state("a").pid, None);
}

#[tokio::test]
async fn the_wait_between_two_starts_doubles() {
    let (mut children, heard) = supervisor();
    children.start(shell("b", "exit 7"));
    heard.wait_for(|lines| lines.len() >= 3).await;
    children.stop_now().await;
    let waits =
        ["0.2", "0.4", "0.8"].map(|wait| format!("b: (ended with code 7; starting again in {wait} s)"));
    assert_eq!(heard.all()[..3], waits);
}

#[tokio::test]
async fn groups_drain_one_after_the_other_and_nobody_is_left() {
    let (mut children, heard) = supervisor();
    for name in ["one", "two", "deaf"] {
        children.start(shell(
            name,
            if name == "deaf" { "trap '' TERM; echo up >&2; while :; do sleep 0.01; done" } else { PATIENT },
        ));
    }
    heard.wait_for(|lines| lines.len() == 3).await;
    let pids: Vec<u32> = children.states().values().filter_map(|state| state.pid).collect();
    assert_eq!(pids.len(), 3);
    children.drain(&[&["two"], &["one", "deaf"]], Duration::from_millis(300)).await;
    assert_eq!(heard.all()[3..], ["two: drained", "one: drained"]);
    assert!(pids.into_iter().all(|pid| !runs(pid)));
}

#[tokio::test]
async fn bad_settings_are_not_tried_again() {
    let (mut children, heard) = supervisor();
    children.start(shell("c", "echo 'router.x: unknown key' >&2; exit 78"));
    heard.wait_for(|lines| lines.len() == 2).await;
    children.stop_now().await;
    assert_eq!(children.state("c").starts, 1);
    assert!(children.state("c").given_up.unwrap().contains("code 78"));
    assert_eq!(heard.all()[0], "c: router.x: unknown key");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_and_can_be_stopped() {
    let (mut children, heard) = supervisor();
    children.start(Program { path: "/nowhere/at-all".into(), ..shell("d", "") });
    heard.wait_for(|lines| lines.iter().any(|line| line.contains("could not start /nowhere/at-all"))).await;
    timeout(Duration::from_secs(20), children.stop_now()).await.unwrap();
}

#[tokio::test]
async fn settings_of_our_environment_stay_away_when_asked() {
    let (mut children, heard) = supervisor();
    let mut program = shell("e", "echo \"[$CARGO_PKG_NAME][$NATS_X]\" >&2; sleep 600");
    program.variables = vec![("NATS_X".into(), "kept".into())];
    program.clean_environment = true;
    children.start(program);
    heard.wait_for(|lines| lines == ["e: [instance-cli][kept]"]).await;
    children.stop_now().await;
}
