//! The world as bytes: what a remediation may change, and what it must leave alone.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Files and their bytes, by path below the folders that were looked at.
pub type Snapshot = BTreeMap<PathBuf, Vec<u8>>;

/// Everything below the folders, without what a running instance writes of itself.
pub fn snapshot(folders: &[PathBuf]) -> Snapshot {
    let mut found = Snapshot::new();
    for folder in folders {
        collect(folder, &mut found);
    }
    found
}

fn collect(folder: &Path, found: &mut Snapshot) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // Journal, database and log files live while the instance does.
            if !path.ends_with("PROD/mgr") {
                collect(&path, found);
            }
        } else if path.is_file() {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}

/// Paths of files that came, went, or have other bytes.
pub fn differences(before: &Snapshot, after: &Snapshot) -> Vec<PathBuf> {
    let changed = before.iter().filter(|(path, bytes)| after.get(*path) != Some(bytes)).map(|(path, _)| path);
    let new = after.keys().filter(|path| !before.contains_key(*path));
    let mut paths: Vec<PathBuf> = changed.chain(new).cloned().collect();
    paths.sort();
    paths
}

/// The lines that differ, as (before, after). The number of lines must be the same.
pub fn changed_lines(before: &str, after: &str) -> Vec<(String, String)> {
    let (old, new): (Vec<_>, Vec<_>) = (before.split('\n').collect(), after.split('\n').collect());
    assert_eq!(old.len(), new.len(), "lines came or went");
    let pairs = old.into_iter().zip(new).filter(|(old, new)| old != new);
    pairs.map(|(old, new)| (old.to_owned(), new.to_owned())).collect()
}
