//! An independent yardstick, when its source lies beside the tree: the bare chain of `../shared/bench/limits`. Not part of
//! the product. `cargo xtask bench text` builds its own by the same way.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The built program; `None` when there is no such folder.
pub fn build(folder: &Path, target: &Path, name: &str) -> Result<Option<PathBuf>> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Ok(None);
    }
    // Its own lock file would be written beside its manifest, which is not ours to change.
    let copy = target.join("source");
    copy_folder(folder, &copy)?;
    stand_alone(&copy.join("Cargo.toml"))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--manifest-path"])
        .arg(copy.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", target)
        .status()
        .context("could not run cargo for the yardstick")?;
    ensure!(status.success(), "the yardstick could not be built ({status})");
    Ok(Some(target.join("release").join(name)))
}

/// The copy lies below our own workspace, and cargo must not take it for a member that was forgotten.
fn stand_alone(manifest: &Path) -> Result<()> {
    let text = std::fs::read_to_string(manifest).context("could not read the yardstick's manifest")?;
    if text.lines().any(|line| line.trim() == "[workspace]") {
        return Ok(());
    }
    std::fs::write(manifest, text + "\n[workspace]\n")
        .context("could not write the copy of the yardstick's manifest")
}

/// Its figures for the fused chain of `steps` steps.
pub fn run(program: &Path, server: &Path, steps: u32, sync: &str) -> Result<Value> {
    let store = tempfile::Builder::new().prefix("instance-bench-").tempdir()?;
    let output = Command::new(program)
        .args(["bench-json", "--variant", "fused", "--sync", sync, "--steps", &steps.to_string()])
        .arg("--nats")
        .arg(server)
        .arg("--dir")
        .arg(store.path())
        .output()
        .context("could not run the yardstick")?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.trim())
        .with_context(|| format!("the yardstick said {text:?}, {}", String::from_utf8_lossy(&output.stderr)))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).context("could not list the yardstick")? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()? {
            kind if kind.is_dir() && entry.file_name() != "target" => copy_folder(&entry.path(), &target)?,
            kind if kind.is_file() => drop(std::fs::copy(entry.path(), target)?),
            _ => {}
        }
    }
    Ok(())
}
