//! Up; a remediation; its router and an agent killed in the middle; each effect there once.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Compose;
use crate::command;

/// Waits are on conditions; a busy machine may take its time.
const LIMIT: Duration = Duration::from_mins(4);
const POLL: Duration = Duration::from_secs(1);
/// Who must answer before anything is asked for.
const ROLES: [&str; 5] = ["router", "generator", "config-agent", "os-agent", "restart-agent"];
/// The containers of services; restart-agent is in the one of the instance.
const CONTAINERS: [&str; 7] =
    ["router", "generator", "config-agent", "os-agent", "iris", "analyst", "gateway"];
const COMMAND: &str = include_str!("../../../examples/config-restart.json");
const WISHED: &str = "globals=0,0,512,0,0,0";
const LOG: &str = "/iris/IRIS/mgr/messages.log";

pub fn tell(compose: &Compose) -> Result<()> {
    let started = Instant::now();
    compose.run(&["up", "--detach", "--no-build"])?;
    wait_for("all roles", || everybody_is_there(compose))?;
    println!("up: {} roles answer after {:.0} s", ROLES.len(), started.elapsed().as_secs_f64());
    hardened(compose)?;
    wait_for("healthy containers", || all_are_healthy(compose))?;

    let starts = starts(compose)?;
    let id = ask(compose)?;
    wait_for("the question to a person", || Ok(phase(compose, &id)? == "waiting_approval"))?;
    let router = kill(compose, "router")?;
    operator(compose, &["approve", &id, "--yes", "--note", "cargo xtask containers"])?;
    let agent = kill(compose, "config-agent")?;
    wait_for("the end", || Ok(phase(compose, &id)? == "ended"))?;

    let trace: Value = serde_json::from_str(&operator(compose, &["trace", &id, "--json"])?)?;
    let status = trace["overall_status"].as_str().or_else(|| trace["trace"]["overall_status"].as_str());
    ensure!(status == Some("success"), "the remediation did not end well: {trace}");
    once(compose, starts)?;
    wait_for("healthy containers, the killed ones too", || all_are_healthy(compose))?;
    println!(
        "remediation {id}: success; the router (pid {router}) and config-agent (pid {agent}) were killed in the middle and \
         came back; one change of the CPF, one start of the instance"
    );
    Ok(())
}

/// Counted where it was done, not where it was told.
fn once(compose: &Compose, starts_before: usize) -> Result<()> {
    let cpf = inside(compose, &["cat", "/iris/IRIS/iris.cpf"])?;
    ensure!(cpf.contains(WISHED), "the CPF does not hold {WISHED}");
    let names = inside(compose, &["ls", "/iris/IRIS"])?;
    let backups: Vec<&str> = names.lines().filter(|name| name.starts_with("iris.cpf_instance_")).collect();
    ensure!(backups.len() == 1, "not one change of the CPF, but {backups:?}");
    let after = starts(compose)?;
    ensure!(after == starts_before + 1, "not one start of the instance, but {}", after - starts_before);
    for service in ["router", "config-agent"] {
        let container = compose.container(service)?;
        let count = compose.engine.capture(&["inspect", "--format", "{{.RestartCount}}", &container])?;
        ensure!(count.trim() == "1", "{service} was started again {} times, not once", count.trim());
    }
    Ok(())
}

/// What a container may do, read from the engine: not root, nothing written outside of volumes, no capability.
fn hardened(compose: &Compose) -> Result<()> {
    let format =
        "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.Privileged}}";
    for role in CONTAINERS {
        let container = compose.container(role)?;
        let told = compose.engine.capture(&["inspect", "--format", format, &container])?;
        ensure!(
            told.trim() == "65532:65532 true [ALL] false",
            "container \"{role}\" runs as {}",
            told.trim()
        );
    }
    Ok(())
}

/// By what the containers' own health checks say.
fn all_are_healthy(compose: &Compose) -> Result<bool> {
    for role in CONTAINERS {
        let words = ["inspect", "--format", "{{.State.Health.Status}}"];
        let told = compose.engine.capture(&[&words[..], &[&compose.container(role)?]].concat())?;
        if told.trim() != "healthy" {
            return Ok(false);
        }
    }
    Ok(true)
}

fn everybody_is_there(compose: &Compose) -> Result<bool> {
    let told = compose.printed(&["run", "--rm", "-T", "operator", "doctor", "--json"])?;
    let Ok(told) = serde_json::from_str::<Value>(&told) else { return Ok(false) };
    let checks = told["checks"].as_array().cloned().unwrap_or_default();
    let ok = |name: &str| checks.iter().any(|check| check["name"] == name && check["outcome"] == "ok");
    Ok(ROLES.iter().chain(&["hosts"]).all(|role| ok(role)))
}

fn ask(compose: &Compose) -> Result<String> {
    let words =
        ["run", "--rm", "-T", "operator", "orchestrate", "--complete", "--json", "--command-file", "-"];
    let mut asking = compose.command(&words);
    let mut asking = asking
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("could not run docker-compose")?;
    asking.stdin.take().context("the operator reads")?.write_all(COMMAND.as_bytes())?;
    let output = asking.wait_with_output()?;
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "the command was not taken: {answer}");
    let answer: Value = serde_json::from_str(&answer).with_context(|| format!("no answer: {answer}"))?;
    let id = answer["remediation_id"].as_str().with_context(|| format!("no remediation: {answer}"))?;
    Ok(id.to_owned())
}

fn phase(compose: &Compose, id: &str) -> Result<String> {
    let told = compose.printed(&["run", "--rm", "-T", "operator", "status", id, "--json"])?;
    let told: Value = serde_json::from_str(&told).unwrap_or_default();
    Ok(told["phase"].as_str().unwrap_or_default().to_owned())
}

/// The container's first process dies as by a crash; its restart policy brings the container back.
fn kill(compose: &Compose, service: &str) -> Result<String> {
    let container = compose.container(service)?;
    let pid =
        compose.engine.capture(&["inspect", "--format", "{{.State.Pid}}", &container])?.trim().to_owned();
    ensure!(pid.parse::<u32>().is_ok_and(|pid| pid > 1), "container \"{service}\" has no process");
    command::run(Command::new("kill").args(["-KILL", &pid]))?;
    Ok(pid)
}

fn starts(compose: &Compose) -> Result<usize> {
    Ok(inside(compose, &["cat", LOG])?.matches("] Enabling logons").count())
}

fn inside(compose: &Compose, words: &[&str]) -> Result<String> {
    compose.capture(&[&["exec", "-T", "iris"][..], words].concat())
}

fn operator(compose: &Compose, words: &[&str]) -> Result<String> {
    compose.capture(&[&["run", "--rm", "-T", "operator"][..], words].concat())
}

fn wait_for(what: &str, mut is_true: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        if is_true()? {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    bail!("waited {} s for {what}, in vain", LIMIT.as_secs())
}
