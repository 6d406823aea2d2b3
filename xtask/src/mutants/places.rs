//! Where the faults are planted: read from the sources, and held to the table.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Where a fault stands, as `path:line` from the root of the tree.
pub type Places = BTreeMap<String, String>;

/// Every `mutant("...")` in the sources of services and shared rooms, and in their examples: the simulation's model of an
/// agent has faults too.
pub fn read(root: &Path) -> Result<Places> {
    let mut places = Places::new();
    for room in ["services", "shared"] {
        for package in entries(&root.join(room))? {
            for sources in ["src", "examples"].map(|folder| package.join(folder)) {
                if sources.is_dir() {
                    collect(root, &sources, &mut places)?;
                }
            }
        }
    }
    Ok(places)
}

/// Fail unless the names of the table are those of the sources.
pub fn hold_to(places: &Places, names: &[&str]) -> Result<()> {
    if let Some(missing) = names.iter().find(|name| !places.contains_key(**name)) {
        bail!("\"{missing}\" is in the table of mutants, and planted nowhere");
    }
    if let Some((unlisted, place)) = places.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        bail!("\"{unlisted}\" is planted in {place}, and not in the table of mutants");
    }
    Ok(())
}

fn collect(root: &Path, folder: &Path, places: &mut Places) -> Result<()> {
    for path in entries(folder)? {
        if path.is_dir() {
            collect(root, &path, places)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
            let shown = path.strip_prefix(root).unwrap_or(&path).display();
            for (name, line) in names(&text) {
                let place = format!("{shown}:{line}");
                if let Some(other) = places.insert(name.clone(), place.clone()) {
                    bail!(
                        "\"{name}\" is planted twice, in {other} and in {place}: nobody could tell them apart"
                    );
                }
            }
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let listed = fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))?;
    let paths = listed.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<Result<_, _>>().with_context(|| format!("could not list {}", folder.display()))
}

/// Names with their line, from 1. A name has a room before its dot; a test's example of none has no dot.
fn names(text: &str) -> Vec<(String, usize)> {
    let numbered = text.lines().enumerate();
    let calls = numbered.flat_map(|(index, line)| {
        line.split("mutant(\"").skip(1).map(move |rest| (rest.split_once('"'), index + 1))
    });
    calls
        .filter_map(|(call, line)| Some((call?.0, line)))
        .filter(|(name, _)| name.contains('.'))
        .map(|(name, line)| (name.to_owned(), line))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_calls() {
        let text = "if mutant(\"a.b\") {}\n// no call\nif self.policy.mutant(\"c.d\") || mutant(\"e.f\") {}";
        let found = names(text);
        let shown: Vec<_> = found.iter().map(|(name, line)| (name.as_str(), *line)).collect();
        assert_eq!(shown, [("a.b", 1), ("c.d", 3), ("e.f", 3)]);
    }

    #[test]
    fn table_and_sources_name_the_same() {
        let places = Places::from([("a.b".to_owned(), "x.rs:1".to_owned())]);
        assert!(hold_to(&places, &["a.b"]).is_ok());
        assert!(hold_to(&places, &["a.b", "c.d"]).unwrap_err().to_string().contains("c.d"));
        assert!(hold_to(&places, &[]).unwrap_err().to_string().contains("x.rs:1"));
    }
}
