//! The scenarios in which a model takes part: without one, and with the one of a few lines (`tests/models/scripted.rs`).

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::{again_alone, chaos, instance, nothing_wrong};
use crate::command;
use crate::workspace::Workspace;

/// Without a model, and with it.
const ALONE: &str = "xtask-rules-alone";
const ASKED: &str = "xtask-model-asked";

/// The endpoint that the scenarios ask.
struct Endpoint {
    child: Child,
    told: BufReader<ChildStdout>,
    url: String,
}

/// What the rules miss rightly, the model finds; where it is misled, nothing is harmed. Each is asked about.
pub fn run(workspace: &Workspace, jobs: &str) -> Result<()> {
    let (needed, misled) = (named(workspace, "needed")?, named(workspace, "misled")?);
    ensure!(needed.len() >= 3 && !misled.is_empty(), "there are not enough scenarios with a model");
    let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
    let all: Vec<&str> = needed.iter().copied().chain(misled.iter().map(String::as_str)).collect();

    let alone = ["run", "--label", ALONE, "--jobs", jobs];
    chaos(workspace, &[&alone[..], &needed].concat())?;
    chaos(workspace, &[&["assert", "--label", ALONE, "--verdict", "missed"][..], &needed].concat())?;

    let endpoint = Endpoint::start(workspace)?;
    let asked = ["control", "--label", ASKED, "--jobs", jobs, "--model", &endpoint.url];
    let outcome = chaos(workspace, &[&asked[..], &all].concat())
        .and_then(|()| nothing_wrong(workspace, ASKED))
        .and_then(|()| again_alone(workspace, ASKED, &["--model", &endpoint.url]));
    let calls = endpoint.end()?;
    outcome?;
    eprintln!("xtask: {calls} calls at the endpoint for {} scenarios with a model", all.len());
    // Each is played with its own truth, and once more with another one.
    ensure!(calls >= all.len() * 2, "only {calls} calls at the endpoint: some were solved without it");
    Ok(())
}

/// The built-in scenarios in which a model has that part.
fn named(workspace: &Workspace, part: &str) -> Result<Vec<String>> {
    let told = command::capture(&mut instance(workspace, &["list", "--json"])?)?;
    let mut names = Vec::new();
    for line in told.lines() {
        let row: serde_json::Value = serde_json::from_str(line).context("could not read the list")?;
        if row["model"] == part {
            names.push(row["name"].as_str().context("a scenario has no name")?.to_owned());
        }
    }
    Ok(names)
}

impl Endpoint {
    fn start(workspace: &Workspace) -> Result<Self> {
        let mut program = Command::new(workspace.program("examples/scripted-model"));
        let line = command::line(&program);
        let mut child = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start \"{line}\""))?;
        let mut told = BufReader::new(child.stdout.take().context("it has no output")?);
        let mut url = String::new();
        told.read_line(&mut url).context("could not read the address of the endpoint")?;
        let url = url.trim().to_owned();
        if url.is_empty() {
            bail!("\"{line}\" ended before it told its address");
        }
        Ok(Self { child, told, url })
    }

    /// How often it was called, by its own count.
    fn end(mut self) -> Result<usize> {
        // It goes on until its input ends.
        drop(self.child.stdin.take());
        let mut told = String::new();
        self.told.read_to_string(&mut told).context("could not read what the endpoint counted")?;
        let status = self.child.wait().context("could not await the endpoint")?;
        command::must_succeed("scripted-model", status)?;
        let calls = told.lines().find_map(|line| line.strip_suffix(" calls"));
        calls.and_then(|calls| calls.parse().ok()).with_context(|| format!("no count of calls in {told:?}"))
    }
}
