//! `cargo xtask census`: what the agents rest on, counted: rows and their sources, facts about an instance and the doors
//! of the real product that they are read through, tests on real file systems that fail, promises, crash points.
//!
//! Fails on a row without a source, on a fact without a door or that no source reads, on a metric or a command that is
//! read without being listed, and on an agent without such tests. Sources are read as text, data as TOML: it shares no
//! code with what it counts.

mod doors; // Facts, and the sources that read them.
mod proofs; // Tests and crash points.
mod rows; // Rows and their sources.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Count, and tell every fault.
pub fn run(workspace: &Workspace) -> Result<()> {
    let mut faults = rows::count(&workspace.root)?;
    println!();
    faults.extend(doors::count(&workspace.root)?);
    println!();
    faults.extend(proofs::count(&workspace.root)?);
    for fault in &faults {
        println!("{fault}");
    }
    if !faults.is_empty() {
        bail!("{} fault(s) in what the agents rest on", faults.len());
    }
    Ok(())
}

/// A file as a check reads it.
struct Source {
    /// From the root of the tree.
    path: String,
    text: String,
}

/// All files below a folder that end so, in the order of their names.
fn files(root: &Path, folder: &str, ending: &str) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    collect(&root.join(folder), ending, &mut found)?;
    found.sort();
    let source = |path: PathBuf| {
        let text =
            fs::read_to_string(&path).with_context(|| format!("could not read \"{}\"", path.display()))?;
        let path = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        Ok(Source { path, text })
    };
    found.into_iter().map(source).collect()
}

fn collect(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    let listing = || format!("could not list \"{}\"", folder.display());
    for entry in fs::read_dir(folder).with_context(listing)? {
        let path = entry.with_context(listing)?.path();
        if path.is_dir() {
            collect(&path, ending, found)?;
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    Ok(())
}

/// The part of a source that is no test.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or(text)
}
