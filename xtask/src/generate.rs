//! `cargo xtask generate`: the files that are made from types, and the check that they are fresh.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::binaries::{self, Scope};
use crate::command;
use crate::error_pages::handbook;
use crate::workspace::Workspace;

/// Where the JSON Schemas and the AsyncAPI document lie. Everything in there is generated.
const SCHEMAS: &str = "shared/contract/schemas";

/// Made of the catalogue in `shared/signals`.
const TELEMETRY: &str = "docs/telemetry.md";

#[derive(clap::Args)]
pub struct Options {
    /// Change nothing; fail with the list of stale files.
    #[arg(long)]
    pub check: bool,
}

/// Write them, or compare them with what would be written.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    // The build that tests use; `cargo run -p` would resolve other features and build apart.
    binaries::build(workspace, Scope::ProgramsAndTests)?;
    let kept = workspace.root.join(SCHEMAS);
    let page = workspace.root.join(TELEMETRY);
    if !options.check {
        fs::write(&page, telemetry_page(workspace)?)
            .with_context(|| format!("could not write \"{}\"", page.display()))?;
        let (now, fresh) = handbook::read(&workspace.root)?;
        if now != fresh {
            fs::write(workspace.root.join(handbook::FILE), fresh).context("could not write the handbook")?;
        }
        return write_schemas(workspace, &kept);
    }
    let fresh = workspace.target.join("generated");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).with_context(|| format!("could not clear \"{}\"", fresh.display()))?;
    }
    write_schemas(workspace, &fresh)?;
    let mut differences = compare(&files_in(&fresh)?, &files_in(&kept)?);
    if fs::read(&page).ok() != Some(telemetry_page(workspace)?) {
        differences.push(format!("{TELEMETRY}: stale"));
    }
    if !differences.is_empty() {
        bail!(
            "{} generated file(s) are stale; run \"cargo xtask generate\" and commit:\n  {}",
            differences.len(),
            differences.join("\n  ")
        );
    }
    println!("generated files are fresh");
    Ok(())
}

/// The catalogue of what the processes tell of themselves, for people.
fn telemetry_page(workspace: &Workspace) -> Result<Vec<u8>> {
    let mut example = Command::new(workspace.program("examples/telemetry-page"));
    let output = example.output().context("could not start the example telemetry-page")?;
    command::must_succeed(&command::line(&example), output.status)?;
    Ok(output.stdout)
}

fn write_schemas(workspace: &Workspace, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("could not create \"{}\"", folder.display()))?;
    let mut instance = Command::new(workspace.program("instance"));
    instance.current_dir(&workspace.root).args(["schema", "--all", "--out"]).arg(folder);
    command::run(&mut instance)
}

/// Contents by path below the folder.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files_in(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    collect(folder, folder, &mut files)?;
    Ok(files)
}

fn collect(root: &Path, folder: &Path, files: &mut Files) -> Result<()> {
    if !folder.is_dir() {
        return Ok(()); // Nothing kept yet: everything is missing.
    }
    let listing = || format!("could not list \"{}\"", folder.display());
    for entry in fs::read_dir(folder).with_context(listing)? {
        let path = entry.with_context(listing)?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else {
            let bytes = fs::read(&path).with_context(|| format!("could not read \"{}\"", path.display()))?;
            files.insert(path.strip_prefix(root).unwrap_or(&path).to_owned(), bytes);
        }
    }
    Ok(())
}

fn compare(fresh: &Files, kept: &Files) -> Vec<String> {
    let missing_or_stale = fresh.iter().filter_map(|(path, bytes)| match kept.get(path) {
        None => Some(("missing", path)),
        Some(found) if found != bytes => Some(("stale", path)),
        Some(_) => None,
    });
    let left_over = kept.keys().filter(|path| !fresh.contains_key(*path)).map(|path| ("left over", path));
    missing_or_stale
        .chain(left_over)
        .map(|(what, path)| format!("{SCHEMAS}/{}: {what}", path.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> Files {
        files.iter().map(|(path, text)| (path.into(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn equal_folders_have_no_difference() {
        let same = files(&[("a.json", "{}"), ("v1/b.json", "[]")]);
        assert!(compare(&same, &same).is_empty());
    }

    #[test]
    fn every_difference_is_named_once() {
        let fresh = files(&[("changed.json", "new"), ("made.json", "{}"), ("same.json", "{}")]);
        let kept = files(&[("changed.json", "old"), ("dropped.json", "{}"), ("same.json", "{}")]);
        assert_eq!(
            compare(&fresh, &kept),
            [
                "shared/contract/schemas/changed.json: stale",
                "shared/contract/schemas/made.json: missing",
                "shared/contract/schemas/dropped.json: left over",
            ]
        );
    }
}
