//! `instance schema`, and the committed schemas.

use std::{collections::BTreeMap, fs, path::Path};

use crate::run::{instance, root};

fn files(folder: &Path) -> BTreeMap<String, String> {
    let listing = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    listing
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect()
}

#[test]
fn the_committed_schemas_are_fresh() {
    let folder = tempfile::tempdir().unwrap();
    let fresh = folder.path().join("made/for/it");
    instance(&[&"schema", &"--all", &"--out", &fresh]).exits(0);
    let (fresh, committed) = (files(&fresh), files(&root().join("shared/contract/schemas")));
    assert_eq!(
        fresh.keys().collect::<Vec<_>>(),
        committed.keys().collect::<Vec<_>>(),
        "run: cargo xtask generate"
    );
    for (name, text) in &fresh {
        assert!(
            text == &committed[name],
            "shared/contract/schemas/{name} is stale; run: cargo xtask generate"
        );
        assert!(text.ends_with("}\n"), "{name}");
    }
}

#[test]
fn each_name_that_is_listed_can_be_printed() {
    let listed = instance(&[&"schema"]).exits(0).stdout;
    assert!(listed.lines().any(|name| name == "remediation_command"), "{listed}");
    for name in listed.lines() {
        let run = instance(&[&"schema", &name]).exits(0);
        let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let version = if name == "asyncapi" { &document["asyncapi"] } else { &document["$schema"] };
        assert!(version.is_string(), "{name}");
    }
    let document = instance(&[&"schema", &"--json"]).exits(0).document("instance.cli.v1.schema_list");
    assert_eq!(document["names"].as_array().unwrap().len(), listed.lines().count());
}

#[test]
fn a_name_that_does_not_exist_is_not_found() {
    let run = instance(&[&"schema", &"remediation"]).exits(8);
    assert!(run.stderr.contains("remediation_command"), "{run:?}");
    assert_eq!(run.stdout, "");
}
