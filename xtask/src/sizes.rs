//! `cargo xtask check-sizes`: a file of a thousand lines is a room with a missing wall.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Most files stay below this; longer ones are listed.
const LONG: usize = 330;
/// No file is longer than this.
const TOO_LONG: usize = 500;

/// List the long, fail on the too long.
pub fn run(workspace: &Workspace) -> Result<()> {
    let mut files = Vec::new();
    for package in &workspace.packages {
        let folder = package.manifest.parent().context("a manifest lies in a folder")?;
        collect(folder, &mut files)?;
    }
    let mut long: Vec<(usize, &Path)> = files
        .iter()
        .filter(|(lines, _)| *lines > LONG)
        .map(|(lines, path)| (*lines, workspace.relative(path)))
        .collect();
    long.sort_unstable_by(|left, right| right.cmp(left));
    for (lines, path) in &long {
        println!("{lines:5} lines  {}", path.display());
    }
    let too_long = long.iter().filter(|(lines, _)| *lines > TOO_LONG).count();
    println!("{} Rust files, {} over {LONG} lines, {too_long} over {TOO_LONG}", files.len(), long.len());
    if too_long > 0 {
        bail!("{too_long} file(s) have more than {TOO_LONG} lines: split each along what it is about");
    }
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<(usize, PathBuf)>) -> Result<()> {
    let listing = || format!("could not list \"{}\"", folder.display());
    for entry in fs::read_dir(folder).with_context(listing)? {
        let entry = entry.with_context(listing)?;
        let path = entry.path();
        if entry.file_type().with_context(listing)?.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("could not read \"{}\"", path.display()))?;
            files.push((text.lines().count(), path));
        }
    }
    Ok(())
}
