//! What demo and tests need from outside the tree: a `nats-server`, and for tests `nats-py` (the bare client), the messages
//! of OTLP, a `redis-server`, Prometheus and Alertmanager.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian;
use crate::nats_server::{self, Pinned};
use crate::pip::{self, Pin};
use crate::workspace::Workspace;

/// Names the folder that holds `nats-py`, for `PYTHONPATH`.
const PYTHON_VARIABLE: &str = "INSTANCE_NATS_PY";

const NATS_PY: Pin = Pin {
    package: "nats-py",
    version: "2.16.0",
    // Pure Python: one wheel for every platform.
    sha256: &["aeb1ff123966c05833d26c7df7e1d54c1c6d32b612428b21677a2e921f1fecae"],
};

/// Names the folders of `opentelemetry-proto` and what it needs, for `PYTHONPATH`.
const OTLP_VARIABLE: &str = "INSTANCE_OTLP_PY";

/// The published messages of OTLP, for the receiver that checks what is exported.
const OTLP_PY: [(&str, Pin); 2] = [
    (
        "opentelemetry_proto",
        Pin {
            package: "opentelemetry-proto",
            version: "1.45.2",
            sha256: &["03a7ca1b43f89fd5b965d5975902bb2515c0c86e2428b456836e9a6149c6235a"],
        },
    ),
    (
        "protobuf",
        Pin {
            package: "protobuf",
            version: "7.36.2",
            // Linux on x86-64 and ARM, macOS.
            sha256: &[
                "89f23aa53c24553a2416fd4fd1ec06f74fa42b14b546d8883128813f775bbfd2",
                "e11e1f0180583a2af89db6a2ecd9e8dc40aa6d2988ca175bfd0e6d12ea72d74e",
                "cbc70b17ee27e28894c7fee8bb04be1abead49e936bc70eb60052531eee2079e",
            ],
        },
    ),
];

#[derive(clap::Args)]
pub struct Options {
    /// Install our own nats-server even when there is one on PATH; from then on ours is preferred.
    #[arg(long)]
    install: bool,
    /// Install exactly this version and print where it lies.
    #[arg(long, value_enum, value_name = "VERSION")]
    server_version: Option<Pinned>,
}

/// What demo and tests are handed.
pub struct Tools {
    pub nats_server: PathBuf,
    nats_py: PathBuf,
    otlp_py: OsString,
    redis_server: Option<PathBuf>,
    prometheus: bool,
    promtool: Option<PathBuf>,
}

impl Tools {
    /// Find or install all of them.
    pub fn ensure(workspace: &Workspace) -> Result<Self> {
        Ok(Self {
            nats_server: nats_server::find(workspace)?,
            nats_py: python(workspace, "python-nats", "nats_py", &NATS_PY)?,
            otlp_py: otlp_py(workspace)?,
            redis_server: debian::REDIS_SERVER.find()?,
            prometheus: debian::prometheus_is_here()?,
            promtool: debian::PROMTOOL.find()?,
        })
    }

    /// Say in `command`'s environment where they are.
    pub fn hand_to(&self, command: &mut Command) {
        command.env(nats_server::VARIABLE, &self.nats_server).env(PYTHON_VARIABLE, &self.nats_py);
        command.env(OTLP_VARIABLE, &self.otlp_py);
        let or_none = |found: &Option<PathBuf>| found.clone().unwrap_or_else(|| debian::NONE.into());
        command.env(debian::PROMTOOL.variable, or_none(&self.promtool));
        command.env(debian::REDIS_SERVER.variable, or_none(&self.redis_server));
        if !self.prometheus {
            command.env(debian::PROMETHEUS, debian::NONE);
        }
    }
}

/// `cargo xtask tools`: the server's path on stdout, so that a shell can take it.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let server = match (options.server_version, options.install) {
        (Some(version), _) => nats_server::install(workspace, version)?,
        (None, true) => nats_server::install(workspace, Pinned::Current)?,
        (None, false) => nats_server::find(workspace)?,
    };
    let nats_py = python(workspace, "python-nats", "nats_py", &NATS_PY)?;
    eprintln!("xtask: {OTLP_VARIABLE}={}", otlp_py(workspace)?.display());
    if let Some(promtool) = debian::PROMTOOL.find()? {
        eprintln!("xtask: promtool is {}", promtool.display());
    }
    eprintln!("xtask: {} {} is in {}", NATS_PY.package, NATS_PY.version, nats_py.display());
    if let Some(redis_server) = debian::REDIS_SERVER.find()? {
        eprintln!("xtask: redis-server is {}", redis_server.display());
    }
    println!("{}", server.display());
    Ok(())
}

fn otlp_py(workspace: &Workspace) -> Result<OsString> {
    let folders = OTLP_PY
        .iter()
        .map(|(distribution, pin)| python(workspace, &format!("python-{}", pin.package), distribution, pin));
    env::join_paths(folders.collect::<Result<Vec<_>>>()?).context("a folder of tools has a colon in its name")
}

/// The folder of a package, installed when it is missing or of another version; `distribution` is its name in file names.
fn python(workspace: &Workspace, folder: &str, distribution: &str, pin: &Pin) -> Result<PathBuf> {
    let folder = workspace.tools().join(folder);
    let installed = || folder.join(format!("{distribution}-{}.dist-info", pin.version)).is_dir();
    if folder.exists() && !installed() {
        // The whole of another pinned version: a folder only ever appears complete.
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("could not remove the older \"{}\"", folder.display()))?;
    }
    if !installed() {
        pip::install(pin, &folder, |installed: &Path| Ok(installed.to_path_buf()))
            .context("tests of what is on the wire need it")?;
    }
    Ok(folder)
}
