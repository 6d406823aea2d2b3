//! `cargo xtask phoenix`: a consumer that we have not written takes our spans and shows the tree.
//!
//! Arize's Phoenix comes from PyPI with all that it needs (855 MB): a minute and a half to install once, and another minute until
//! it has started and the demo was run, on two cores that are busy. Where it cannot be installed the stage of CI says so and
//! counts as skipped.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::binaries::{self, Scope};
use crate::ci::Outcome;
use crate::command;
use crate::nats_server;
use crate::python_tools::{self, PHOENIX};
use crate::workspace::Workspace;

const HANDED_OUT: u16 = 32_768;
/// It makes its database and loads itself first.
const STARTS_WITHIN: Duration = Duration::from_mins(10);

/// Install it, start it, run the demo with its spans exported there, and ask its API for the tree.
pub fn run(workspace: &Workspace) -> Result<Outcome> {
    let began = Instant::now();
    let packages = match python_tools::ensure(workspace, &PHOENIX) {
        Ok(packages) => packages,
        Err(error) => {
            println!("skipped: Phoenix cannot be had here: {error:#}");
            return Ok(Outcome::of(&["Phoenix cannot be had here".to_owned()]));
        }
    };
    eprintln!("xtask: Phoenix is installed after {:.0} s", began.elapsed().as_secs_f64());
    let server = nats_server::find(workspace)?;
    binaries::build(workspace, Scope::ProgramsAndTests)?;
    let phoenix = Phoenix::start(workspace, &packages)?;

    let mut demo = Command::new(workspace.program("instance"));
    demo.current_dir(&workspace.root).args(["demo", "--seed", "1"]).env(nats_server::VARIABLE, server);
    demo.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", phoenix.url));
    command::run(&mut demo)?;

    let mut ask = Command::new("python3");
    ask.arg(workspace.root.join("tests/clients/phoenix.py")).arg(&phoenix.url);
    command::run(&mut ask)?;
    Ok(Outcome::Passed)
}

/// The server, in a folder that is gone when it ends.
struct Phoenix {
    child: Child,
    url: String,
    folder: PathBuf,
}

impl Phoenix {
    fn start(workspace: &Workspace, packages: &Path) -> Result<Self> {
        let folder = workspace.target.join(format!("phoenix-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("could not create \"{}\"", folder.display()))?;
        let log = fs::File::create(folder.join("log")).context("could not create Phoenix' log")?;
        // Two that run at once begin at different places.
        let port = free_port(20_000 + u16::try_from(std::process::id() % 10_000).unwrap_or_default())?;
        let other = free_port(port)?;
        let child = Command::new("python3")
            .args(["-m", "phoenix.server.main", "serve"])
            .env("PYTHONPATH", packages)
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

/// A port that nobody has, behind another one, and that the system hands to no connection (those begin at 32768).
fn free_port(behind: u16) -> Result<u16> {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (behind + 1..HANDED_OUT).find(free).context("could not find a free port")
}
