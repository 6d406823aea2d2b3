//! `cargo xtask phoenix`: a consumer that we have not written takes our spans and shows the tree.
//!
//! Arize's Phoenix comes from PyPI with all that it needs (about 1 GB, minutes to install), so this is no part of CI.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::binaries::{self, Scope};
use crate::command;
use crate::nats_server;
use crate::workspace::Workspace;

const VERSION: &str = "20.26.1";
/// It makes its database and loads itself first.
const STARTS_WITHIN: Duration = Duration::from_mins(10);

/// Install it, start it, run the demo with its spans exported there, and ask its API for the tree.
pub fn run(workspace: &Workspace) -> Result<()> {
    let server = nats_server::find(workspace)?;
    binaries::build(workspace, Scope::Programs)?;
    let environment = install(workspace)?;
    let phoenix = Phoenix::start(workspace, &environment)?;

    let mut demo = Command::new(workspace.program("instance"));
    demo.current_dir(&workspace.root).args(["demo", "--seed", "1"]).env(nats_server::VARIABLE, server);
    demo.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", phoenix.url));
    command::run(&mut demo)?;

    let mut ask = Command::new(environment.join("bin/python"));
    ask.arg(workspace.root.join("tests/clients/phoenix.py")).arg(&phoenix.url);
    command::run(&mut ask)
}

/// A virtual environment of its own; it is complete once it has its mark.
fn install(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.tools().join(format!("phoenix-{VERSION}"));
    let mark = folder.join("installed");
    if mark.is_file() {
        return Ok(folder);
    }
    eprintln!("xtask: installing arize-phoenix {VERSION} into {}", folder.display());
    let began = Instant::now();
    command::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
    command::run(pip.arg(format!("arize-phoenix=={VERSION}")))?;
    fs::write(&mark, VERSION).with_context(|| format!("could not write \"{}\"", mark.display()))?;
    eprintln!("xtask: installed in {:.0} s", began.elapsed().as_secs_f64());
    Ok(folder)
}

/// The server, in a folder that is gone when it ends.
struct Phoenix {
    child: Child,
    url: String,
    folder: PathBuf,
}

impl Phoenix {
    fn start(workspace: &Workspace, environment: &Path) -> Result<Self> {
        let folder = workspace.target.join(format!("phoenix-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("could not create \"{}\"", folder.display()))?;
        let log = fs::File::create(folder.join("log")).context("could not create Phoenix' log")?;
        let (port, other) = (free_port()?, free_port()?);
        let child = Command::new(environment.join("bin/python"))
            .args(["-m", "phoenix.server.main", "serve"])
            .env("PHOENIX_HOST", "127.0.0.1")
            .env("PHOENIX_PORT", port.to_string())
            .env("PHOENIX_GRPC_PORT", other.to_string())
            .env("PHOENIX_WORKING_DIR", &folder)
            .env("PHOENIX_TELEMETRY_ENABLED", "false")
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("could not share Phoenix' log")?)
            .stderr(log)
            .spawn()
            .context("could not start Phoenix")?;
        let mut phoenix = Self { child, url: format!("http://127.0.0.1:{port}"), folder };
        phoenix.await_port(port)?;
        Ok(phoenix)
    }

    fn await_port(&mut self, port: u16) -> Result<()> {
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = self.child.try_wait().context("could not look after Phoenix")? {
                bail!("Phoenix ended with {status}:\n{}", self.log());
            }
            if began.elapsed() > STARTS_WITHIN {
                bail!("Phoenix did not start within {STARTS_WITHIN:?}:\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(200));
        }
        eprintln!("xtask: Phoenix listens after {:.0} s", began.elapsed().as_secs_f64());
        Ok(())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Phoenix {
    fn drop(&mut self) {
        // Fails only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("could not find a free port")?;
    Ok(listener.local_addr().context("which port is it?")?.port())
}
