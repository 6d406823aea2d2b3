//! The bill of materials of the programs that are shipped: CycloneDX 1.6, from what cargo and the lock file say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::command;
use crate::workspace::Workspace;

const FILE: &str = "sbom.cdx.json";
/// Rooms that no shipped program is made of.
const NOT_SHIPPED: [&str; 4] = ["xtask", "instance-tests", "instance-bench-pipeline", "instance-testkit"];

/// Write `target/sbom.cdx.json`; fail on a crate from outside without licence or checksum.
pub fn write(workspace: &Workspace) -> Result<()> {
    let mut cargo = command::cargo_in(workspace);
    let arguments = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform"];
    let told = command::capture(cargo.args(arguments).arg("x86_64-unknown-linux-gnu"))?;
    let metadata: Value = serde_json::from_str(&told).context("cargo metadata prints JSON")?;
    let lock = workspace.root.join("Cargo.lock");
    let lock = fs::read_to_string(&lock).with_context(|| format!("could not read \"{}\"", lock.display()))?;
    let lock: toml::Table = lock.parse().context("Cargo.lock is TOML")?;
    let bill = bill(&metadata, &checksums(&lock))?;
    let file = workspace.target.join(FILE);
    fs::write(&file, format!("{bill:#}\n"))
        .with_context(|| format!("could not write \"{}\"", file.display()))?;
    let count = bill["components"].as_array().map_or(0, Vec::len);
    println!("{count} components in \"{}\", each with licence and checksum", file.display());
    Ok(())
}

fn bill(metadata: &Value, checksums: &BTreeMap<(String, String), String>) -> Result<Value> {
    let shipped = shipped(metadata);
    let packages = metadata["packages"].as_array().context("cargo metadata names packages")?;
    let mut components = Vec::new();
    for package in packages.iter().filter(|package| shipped.contains(text(&package["id"]))) {
        let (name, version) = (text(&package["name"]), text(&package["version"]));
        let mut component = json!({
            "type": "library", "bom-ref": reference(name, version), "name": name, "version": version,
            "purl": reference(name, version), "licenses": [{"expression": text(&package["license"])}],
        });
        if package["source"].is_string() {
            let checksum = checksums.get(&(name.to_owned(), version.to_owned()));
            let checksum =
                checksum.with_context(|| format!("{name} {version} has no checksum in Cargo.lock"))?;
            component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
        }
        ensure!(package["license"].is_string(), "{name} {version} names no licence");
        components.push(component);
    }
    Ok(json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {"component": {"type": "application", "name": "instance", "version": env!("CARGO_PKG_VERSION")}},
        "components": components,
        "dependencies": dependencies(metadata, &shipped),
    }))
}

/// The ids of everything that gets into a program: our rooms but those of tests, and what they need to build and to run.
fn shipped(metadata: &Value) -> BTreeSet<&str> {
    let nodes: BTreeMap<&str, &Value> = nodes(metadata).map(|node| (text(&node["id"]), node)).collect();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let ours = packages
        .filter(|package| package["source"].is_null() && !NOT_SHIPPED.contains(&text(&package["name"])));
    let mut open: Vec<&str> = ours.map(|package| text(&package["id"])).collect();
    let mut found = BTreeSet::new();
    while let Some(id) = open.pop() {
        if found.insert(id) {
            open.extend(nodes.get(id).into_iter().flat_map(|node| needed(node)));
        }
    }
    found
}

/// What a package needs, but for its own tests.
fn needed(node: &Value) -> impl Iterator<Item = &str> {
    let all = node["deps"].as_array().into_iter().flatten();
    let of_tests = |kind: &Value| kind["kind"] == "dev";
    all.filter(move |one| !one["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().all(of_tests)))
        .map(|one| text(&one["pkg"]))
}

fn dependencies(metadata: &Value, shipped: &BTreeSet<&str>) -> Vec<Value> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let references: BTreeMap<&str, String> = packages
        .map(|package| (text(&package["id"]), reference(text(&package["name"]), text(&package["version"]))))
        .collect();
    nodes(metadata)
        .filter(|node| shipped.contains(text(&node["id"])))
        .map(|node| {
            let on: Vec<&String> = needed(node).filter_map(|id| references.get(id)).collect();
            json!({"ref": references.get(text(&node["id"])), "dependsOn": on})
        })
        .collect()
}

fn nodes(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["resolve"]["nodes"].as_array().into_iter().flatten()
}

/// By name and version.
fn checksums(lock: &toml::Table) -> BTreeMap<(String, String), String> {
    let packages = lock.get("package").and_then(|it| it.as_array()).into_iter().flatten();
    let row = |package: &toml::Value| {
        let field = |name: &str| Some(package.get(name)?.as_str()?.to_owned());
        Some(((field("name")?, field("version")?), field("checksum")?))
    };
    packages.filter_map(row).collect()
}

fn reference(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{version}")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Value {
        let package = |id: &str, source: Value| json!({"id": id, "name": id, "version": "1.0.0", "license": "MIT", "source": source});
        let dependency = |id: &str, kind: Value| json!({"pkg": id, "dep_kinds": [{"kind": kind}]});
        json!({
            "packages": [
                package("instance-cli", Value::Null), package("xtask", Value::Null), package("used", json!("registry")),
                package("built-with", json!("registry")), package("tested-with", json!("registry")),
            ],
            "resolve": {"nodes": [
                {"id": "instance-cli", "deps": [dependency("used", Value::Null), dependency("tested-with", json!("dev"))]},
                {"id": "used", "deps": [dependency("built-with", json!("build"))]},
                {"id": "xtask", "deps": [dependency("tested-with", Value::Null)]},
            ]},
        })
    }

    #[test]
    fn a_bill_holds_what_is_shipped_with_its_checksums() {
        let sums =
            ["used", "built-with"].map(|name| ((name.to_owned(), "1.0.0".to_owned()), "ab".to_owned()));
        let bill = bill(&metadata(), &sums.into_iter().collect()).unwrap();
        let names: Vec<&str> =
            bill["components"].as_array().unwrap().iter().map(|one| text(&one["name"])).collect();
        assert_eq!(names, ["instance-cli", "used", "built-with"]);
        assert_eq!(bill["components"][1]["hashes"][0]["content"], "ab");
        assert_eq!(bill["dependencies"][0]["dependsOn"], json!(["pkg:cargo/used@1.0.0"]));
    }

    #[test]
    fn a_crate_without_a_checksum_is_a_fault() {
        let error = bill(&metadata(), &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("used 1.0.0 has no checksum"), "{error}");
    }
}
