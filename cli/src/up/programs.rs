//! Where the programs are: the services beside this one, `nats-server` named, beside us, or on PATH.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::exit::{Exit, Stop};

/// Names the server explicitly; `cargo xtask` sets it.
const NATS_SERVER: &str = "INSTANCE_NATS_SERVER";

/// A program of ours, which is built and shipped beside this one.
pub fn ours(name: &str) -> Result<PathBuf> {
    let path = beside_us()?.join(name);
    if path.is_file() {
        return Ok(path);
    }
    let missing = format!("program \"{name}\" is not at \"{}\"", path.display());
    Err(Stop::new(Exit::Failure, missing).next("`cargo xtask demo` builds every program").into())
}

/// This program itself.
pub fn this() -> Result<PathBuf> {
    env::current_exe().context("could not tell where this program is")
}

/// The server to run: the named one, the one that `cargo xtask` has installed, or the one on PATH.
pub fn nats_server() -> Result<PathBuf> {
    if let Some(named) = env::var_os(NATS_SERVER).filter(|named| !named.is_empty()) {
        return Ok(named.into());
    }
    // Ours lies in target/tools, we lie in target/debug or target/release.
    let installed = beside_us()?.parent().and_then(|target| newest(&target.join("tools")));
    let found = installed.or_else(|| on_path("nats-server"));
    found.ok_or_else(|| {
        Stop::new(Exit::Failure, "there is no nats-server here")
            .next(format!(
                "run `cargo xtask tools --install`, put one on PATH, or name it with {NATS_SERVER}"
            ))
            .into()
    })
}

/// The first program of that name on PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn beside_us() -> Result<PathBuf> {
    let own = this()?;
    Ok(own.parent().context("this program lies in no folder")?.to_owned())
}

/// `nats-server-<version>/nats-server` with the highest version.
fn newest(tools: &Path) -> Option<PathBuf> {
    let version = |folder: &Path| -> Option<Vec<u32>> {
        let name = folder.file_name()?.to_str()?.strip_prefix("nats-server-")?;
        name.split('.').map(|number| number.parse().ok()).collect()
    };
    let folders = fs::read_dir(tools).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let programs = folders.filter_map(|folder| Some((version(&folder)?, folder.join("nats-server"))));
    Some(programs.filter(|(_, file)| file.is_file()).max()?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_installed_server_is_taken_by_number_not_by_letters() {
        let tools = tempfile::tempdir().unwrap();
        for version in ["2.9.1", "2.15.1", "2.10.26", "x"] {
            let folder = tools.path().join(format!("nats-server-{version}"));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("nats-server"), "").unwrap();
        }
        fs::create_dir(tools.path().join("nats-server-3.0.0")).unwrap();
        assert_eq!(newest(tools.path()), Some(tools.path().join("nats-server-2.15.1/nats-server")));
        assert_eq!(newest(Path::new("/nowhere")), None);
    }
}
