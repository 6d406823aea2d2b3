//! What the programs take in at compile time is there when the image is compiled.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The root of the tree.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The Rust files below a folder that are no tests: the image builds none.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "tests" || name.ends_with("_tests") {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

/// Without its `..`, which need not exist on the way.
fn straight(path: &Path) -> PathBuf {
    let mut straight = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            straight.pop();
        } else {
            straight.push(part);
        }
    }
    straight
}

#[test]
fn the_image_copies_what_the_sources_take_in() {
    let root = root();
    let dockerfile = fs::read_to_string(root.join("deploy/Dockerfile")).unwrap();
    let (_, compiled) = dockerfile.split_once(" AS compiled").unwrap();
    let (compiled, _) = compiled.split_once("\nFROM ").unwrap();
    let copied: Vec<PathBuf> = compiled
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        // The last word is where it goes.
        .filter_map(|line| line.rsplit_once(' '))
        .flat_map(|(from, _)| from.split(' ').map(|word| root.join(word)))
        .collect();
    let mut files = Vec::new();
    for room in ["cli", "services", "shared"] {
        sources(&root.join(room), &mut files);
    }
    let mut seen = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for rest in text.split("include_str!(\"").skip(1) {
            let named = rest.split('"').next().unwrap();
            let taken = straight(&file.parent().unwrap().join(named));
            seen += 1;
            assert!(
                copied.iter().any(|copied| taken.starts_with(copied)),
                "{} takes in {}, and deploy/Dockerfile does not copy it",
                file.display(),
                taken.display()
            );
        }
    }
    assert!(seen > 30, "{seen} files taken in: this looks in the wrong place");
}
