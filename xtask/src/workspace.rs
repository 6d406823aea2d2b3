//! What cargo says about this tree: where it lies, its packages, what they import.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The tree as `cargo metadata` describes it.
pub struct Workspace {
    /// The folder of the root manifest.
    pub root: PathBuf,
    /// Cargo's target folder, wherever the user's settings put it.
    pub target: PathBuf,
    pub packages: Vec<Package>,
}

/// One package of the tree.
pub struct Package {
    pub name: String,
    pub manifest: PathBuf,
    pub dependencies: Vec<Dependency>,
}

/// One entry of a package's manifest, ours or from outside.
pub struct Dependency {
    pub name: String,
    pub kind: Kind,
}

/// What a dependency is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Normal,
    Dev,
    Build,
}

impl Workspace {
    /// Ask cargo about the workspace that holds this very program.
    pub fn read() -> Result<Self> {
        // `cargo run` says where the manifest lies now; the compiled-in path serves a direct call.
        let own_folder =
            std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let output = Command::new(cargo())
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(&own_folder)
            .output()
            .context("could not run \"cargo metadata\"")?;
        if !output.status.success() {
            bail!("\"cargo metadata\" failed:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        let metadata = serde_json::from_slice(&output.stdout).context("could not read \"cargo metadata\"")?;
        Self::from_metadata(&metadata).context("could not understand \"cargo metadata\"")
    }

    /// A program of the debug build, once it is built.
    pub fn program(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }

    /// A program of the release build, once it is built.
    pub fn release_program(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// Where things from outside are installed.
    pub fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// `path` as a reader of this tree would write it.
    pub fn relative<'path>(&self, path: &'path Path) -> &'path Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    fn from_metadata(metadata: &Value) -> Result<Self> {
        Ok(Self {
            root: text(metadata, "workspace_root")?.into(),
            target: text(metadata, "target_directory")?.into(),
            packages: list(metadata, "packages")?
                .iter()
                .map(Package::from_metadata)
                .collect::<Result<_>>()?,
        })
    }
}

impl Package {
    fn from_metadata(package: &Value) -> Result<Self> {
        Ok(Self {
            name: text(package, "name")?.to_owned(),
            manifest: text(package, "manifest_path")?.into(),
            dependencies: list(package, "dependencies")?
                .iter()
                .map(Dependency::from_metadata)
                .collect::<Result<_>>()?,
        })
    }
}

impl Dependency {
    fn from_metadata(dependency: &Value) -> Result<Self> {
        let kind = match dependency.get("kind").and_then(Value::as_str) {
            None => Kind::Normal,
            Some("dev") => Kind::Dev,
            Some("build") => Kind::Build,
            Some(other) => bail!("dependency kind \"{other}\" is new to xtask"),
        };
        Ok(Self { name: text(dependency, "name")?.to_owned(), kind })
    }
}

/// The cargo that started us, or the one on PATH.
pub fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn text<'value>(value: &'value Value, field: &str) -> Result<&'value str> {
    value.get(field).and_then(Value::as_str).with_context(|| format!("field \"{field}\" is no text"))
}

fn list<'value>(value: &'value Value, field: &str) -> Result<&'value Vec<Value>> {
    value.get(field).and_then(Value::as_array).with_context(|| format!("field \"{field}\" is no list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_becomes_packages_with_the_kind_of_each_dependency() {
        let metadata = serde_json::json!({
            "workspace_root": "/tree",
            "target_directory": "/elsewhere/target",
            "packages": [{
                "name": "instance-bus",
                "manifest_path": "/tree/shared/bus/Cargo.toml",
                "dependencies": [
                    {"name": "instance-contract", "kind": null},
                    {"name": "instance-testkit", "kind": "dev"},
                    {"name": "cc", "kind": "build"},
                ],
            }],
        });
        let workspace = Workspace::from_metadata(&metadata).unwrap();
        assert_eq!(workspace.tools(), Path::new("/elsewhere/target/tools"));
        let bus = &workspace.packages[0];
        assert_eq!(workspace.relative(&bus.manifest), Path::new("shared/bus/Cargo.toml"));
        let kinds: Vec<Kind> = bus.dependencies.iter().map(|dependency| dependency.kind).collect();
        assert_eq!(kinds, [Kind::Normal, Kind::Dev, Kind::Build]);
    }

    #[test]
    fn an_unknown_kind_of_dependency_is_not_taken_for_a_normal_one() {
        let odd = serde_json::json!({"name": "cc", "kind": "optional"});
        assert!(Dependency::from_metadata(&odd).is_err());
    }
}
