//! The services of the demo: their settings, and what they say, kept in files.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::time::Instant;

use super::{
    Liar,
    choice::Choice,
    world::{INSTANCE, World},
};
use crate::{
    exit::{Exit, Stop},
    up::{
        instances::Found,
        pipeline::{self, ANALYST},
        settings::{self, AGENTS, SERVICES},
        supervisor::{Program, Sink, Supervisor},
    },
};

/// A name of its own, so that nobody takes the made-up host for the real one.
const HOST: &str = "demo";
/// For how long the condition must stay silent, in seconds: three passes of the write daemon.
const QUIET_SECONDS: i64 = 3;
/// A demo that nobody drains must not hang for minutes.
const GRACE_SECONDS: i64 = 10;
pub const DRAIN: Duration = Duration::from_secs(15);

/// Writes every settings file and gives the programs to start.
pub fn programs(
    run: &Path,
    world: &World,
    url: &str,
    liar: Option<Liar>,
    choice: &Choice,
) -> Result<Vec<Program>> {
    let found = Found { name: INSTANCE.to_owned(), folder: world.site.instance.clone() };
    let mut programs = Vec::new();
    for name in SERVICES {
        let mut file = settings::File::read(name, None)?;
        file.set_common("host", HOST).set_common("grace_seconds", GRACE_SECONDS).set_in("nats", "url", url);
        file.keep_state_in(run).serve(&world.iris(), std::slice::from_ref(&found));
        match name {
            "router" => {
                let policy = [("quiet_seconds".to_owned(), QUIET_SECONDS.into())];
                file.set("policy", toml::Value::Table(policy.into_iter().collect()))
                    .set("name", "router-demo");
            }
            "generator" => {
                file.set("poll_ms", 50).set("quiet_ms", 200).set("start_at", "beginning");
            }
            ANALYST => {}
            _ => {
                file.set("proc_root", world.site.host.to_string_lossy().into_owned());
            }
        }
        if name == "os-agent" {
            let drop_ins = run.join("sysctl.d");
            fs::create_dir_all(&drop_ins)
                .with_context(|| format!("could not make \"{}\"", drop_ins.display()))?;
            file.set("sysctl_dir", drop_ins.to_string_lossy().into_owned());
        }
        let mut program = pipeline::service(name, &file.write(run)?, url)?;
        if let Some(lie) = liar.and_then(|liar| liar.told_by(name, choice)) {
            program.variables.push(("INSTANCE_SABOTAGE".into(), lie.into()));
        }
        programs.push(program);
    }
    for program in &mut programs {
        program.clean_environment = true;
    }
    Ok(programs)
}

/// What every service says, in one file each, and in memory for whoever waits for a word.
pub struct ServiceLogs {
    folder: PathBuf,
    files: Mutex<BTreeMap<String, File>>,
    said: Mutex<Vec<(String, String)>>,
}

impl ServiceLogs {
    pub fn new(run: &Path) -> Result<Self> {
        let folder = run.join("logs");
        fs::create_dir_all(&folder).with_context(|| format!("could not make \"{}\"", folder.display()))?;
        Ok(Self { folder, files: Mutex::default(), said: Mutex::default() })
    }

    /// Has the service said this?
    pub fn has(&self, service: &str, text: &str) -> bool {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().any(|(who, line)| who == service && line.contains(text))
    }

    /// The newest lines of a service, for an error.
    pub fn last(&self, service: &str, count: usize) -> Vec<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<_> =
            said.iter().filter(|(who, _)| who == service).map(|(_, line)| line.clone()).collect();
        lines[lines.len().saturating_sub(count)..].to_vec()
    }
}

impl Sink for ServiceLogs {
    fn line(&self, service: &str, line: &[u8]) {
        let text = String::from_utf8_lossy(line).into_owned();
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if !files.contains_key(service)
            && let Ok(file) = File::create(self.folder.join(format!("{service}.log")))
        {
            files.insert(service.to_owned(), file);
        }
        if let Some(file) = files.get_mut(service) {
            // A full disk must not stop the demo; its own report tells enough.
            let _ = writeln!(file, "{text}");
        }
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push((service.to_owned(), text));
    }

    fn remark(&self, service: &str, text: &str) {
        self.line(service, format!("[supervisor] {text}").as_bytes());
    }
}

/// Until every service is ready for work.
pub async fn ready(supervisor: &Supervisor, logs: &ServiceLogs, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    let mut waits: Vec<(&str, &str)> = AGENTS.iter().map(|agent| (*agent, "serving")).collect();
    waits.extend([
        ("router", "read the remediation log"),
        ("generator", "connected"),
        (ANALYST, "answering messages"),
    ]);
    while let Some((service, _)) = waits.iter().find(|(service, word)| !logs.has(service, word)) {
        let given_up = supervisor.state(service).given_up;
        if given_up.is_some() || Instant::now() >= deadline {
            let why = given_up.unwrap_or_else(|| format!("was not ready within {} s", patience.as_secs()));
            let last = logs.last(service, 5).join("\n  ");
            return Err(
                Stop::new(Exit::Failure, format!("the {service} {why}; its last words:\n  {last}")).into()
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The agent that is to lie says so at its start, when it was built to be able to.
pub fn lie_is_on(logs: &ServiceLogs, liar: Liar, choice: &Choice) -> Result<()> {
    let agent = AGENTS.into_iter().find(|agent| liar.told_by(agent, choice).is_some());
    if agent.is_some_and(|agent| logs.has(agent, "SABOTAGE")) {
        return Ok(());
    }
    let text = "the agents cannot lie: they were built without the feature `sabotage`";
    Err(Stop::new(Exit::Usage, text).next("`cargo xtask demo -- --sabotage ...` builds them with it").into())
}
