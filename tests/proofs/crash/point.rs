//! The crash points, as the sources have them.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use crate::processes::source_tree;

/// A process that can be made to die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    Router,
    ConfigAgent,
    OsAgent,
    RestartAgent,
}

impl Service {
    pub const ALL: [Self; 4] = [Self::Router, Self::ConfigAgent, Self::OsAgent, Self::RestartAgent];

    /// As its folder under `services/` is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::ConfigAgent => "config-agent",
            Self::OsAgent => "os-agent",
            Self::RestartAgent => "restart-agent",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Every point by its name, with the file that it stands in.
pub type Points = BTreeMap<String, PathBuf>;

/// Reads all sources of services and shared crates, but those of the analyst: its own test kills it at each of its points
/// (`services/analyst/tests/analyst/deaths.rs`), for none of them lies on the way of a remediation.
///
/// # Panics
/// When a name stands in two calls: nobody could tell them apart.
pub fn all() -> Points {
    let mut points = Points::new();
    for room in ["services", "shared"] {
        for package in fs::read_dir(source_tree().join(room)).unwrap() {
            let package = package.unwrap().path();
            let sources = package.join("src");
            if sources.is_dir() && !package.ends_with("analyst") {
                collect(&sources, &mut points);
            }
        }
    }
    assert!(!points.is_empty(), "the sources have no crash points, so nothing would be proven");
    points
}

fn collect(folder: &Path, points: &mut Points) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, points);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for name in names(&fs::read_to_string(&path).unwrap()) {
                let before = points.insert(name.clone(), path.clone());
                assert!(before.is_none(), "{name} stands in {} and in {before:?}", path.display());
            }
        }
    }
}

/// The names in the calls of one file.
fn names(source: &str) -> Vec<String> {
    let calls = source.split("crash_point(\"").skip(1);
    calls.filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned()).collect()
}
