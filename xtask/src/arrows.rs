//! Who may import whom: the table, and the check that the real graph keeps to it.
//!
//! Arrows run downward only: binaries -> chassis -> bus -> contract. Whoever needs another arrow changes
//! [`table::ROOMS`] in a commit of its own, where it is seen.

mod pure;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::table::{Imports, OWNED, Owner, ROOMS, Room};
use crate::manifest;
use crate::workspace::{Dependency, Kind, Package, Workspace};

/// `cargo xtask check-arrows`: every fault, not only the first.
pub fn run(workspace: &Workspace) -> Result<()> {
    let mut faults = Vec::new();
    for package in &workspace.packages {
        let folder = workspace.relative(package.manifest.parent().unwrap_or(Path::new("")));
        faults.extend(check_package(package, folder));
        if let Some(room) = room_of(&package.name) {
            faults.extend(pure::faults(room, package.manifest.parent().unwrap_or(Path::new("")))?);
        }
        let text = std::fs::read_to_string(&package.manifest)
            .with_context(|| format!("could not read \"{}\"", package.manifest.display()))?;
        let shown: PathBuf = folder.join("Cargo.toml");
        faults.extend(manifest::faults(&text).iter().map(|fault| format!("{}{fault}", shown.display())));
    }
    if !faults.is_empty() {
        bail!("the graph breaks {} rule(s):\n  {}", faults.len(), faults.join("\n  "));
    }
    let edges = workspace.packages.iter().flat_map(|package| &package.dependencies);
    let ours = edges.filter(|dependency| room_of(&dependency.name).is_some()).count();
    println!("{} rooms, {ours} arrows between them, all in the table", workspace.packages.len());
    Ok(())
}

fn check_package(package: &Package, folder: &Path) -> Vec<String> {
    let Some(room) = room_of(&package.name) else {
        return vec![format!(
            "{}: an unknown room ({}); its row in the table of xtask/src/arrows/table.rs is missing",
            package.name,
            folder.display()
        )];
    };
    let mut faults: Vec<String> =
        package.dependencies.iter().filter_map(|dependency| check_dependency(room, dependency)).collect();
    if folder != Path::new(room.folder) {
        faults.push(format!("{}: lies in {}, its room is {}", package.name, folder.display(), room.folder));
    }
    faults
}

/// What is wrong with `room` naming `dependency`, if anything.
fn check_dependency(room: &Room, dependency: &Dependency) -> Option<String> {
    let Some(imported) = room_of(&dependency.name) else {
        return check_outside(room, dependency).or_else(|| check_prefix(room, dependency));
    };
    let edge = format!("{} -> {}", room.name, imported.name);
    if imported.name == "testkit" {
        return match dependency.kind {
            Kind::Dev if may_test_with_testkit(room) => None,
            Kind::Dev => {
                Some(format!("{edge}: testkit brings the bus along, and {} must not know it", room.name))
            }
            Kind::Normal | Kind::Build => Some(format!("{edge}: testkit is for dev-dependencies only")),
        };
    }
    match room.may_import {
        Imports::Anything => None,
        Imports::Only(allowed) if allowed.contains(&imported.name) => None,
        Imports::Only([]) => Some(format!("{edge}: {} may import nothing of ours", room.name)),
        Imports::Only(allowed) => {
            Some(format!("{edge}: {} may import only {}", room.name, allowed.join(", ")))
        }
    }
}

fn check_outside(room: &Room, dependency: &Dependency) -> Option<String> {
    let (name, owner) = OWNED.iter().find(|(name, _)| *name == dependency.name)?;
    let (allowed, owners): (bool, Vec<&str>) = match owner {
        Owner::Rooms(rooms) => (rooms.contains(&room.name), rooms.to_vec()),
        Owner::RoomsWith(errors) => (
            room.fails_with == **errors,
            ROOMS.iter().filter(|room| room.fails_with == **errors).map(|room| room.name).collect(),
        ),
    };
    (!allowed).then(|| format!("{} -> {name}: only {} may name it", room.name, owners.join(", ")))
}

/// One of ours that has no row yet is no crate from outside.
fn check_prefix(room: &Room, dependency: &Dependency) -> Option<String> {
    dependency.name.starts_with("instance-").then(|| {
        format!("{} -> {}: an unknown room; its row in the table is missing", room.name, dependency.name)
    })
}

/// Testkit starts servers and talks to them: for rooms that know the bus anyway, and bus itself.
fn may_test_with_testkit(room: &Room) -> bool {
    match room.may_import {
        Imports::Anything => true,
        Imports::Only(allowed) => room.name == "bus" || allowed.contains(&"bus"),
    }
}

fn room_of(package: &str) -> Option<&'static Room> {
    let name = if package == "xtask" { package } else { package.strip_prefix("instance-")? };
    ROOMS.iter().find(|room| room.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the checker says of one dependency planted into one package.
    #[track_caller]
    fn check(package: &str, dependency: &str, kind: Kind, expected: &str) {
        let room = room_of(package).expect("a room of the table");
        let planted = Package {
            name: package.to_owned(),
            manifest: PathBuf::new(),
            dependencies: vec![Dependency { name: dependency.to_owned(), kind }],
        };
        assert_eq!(check_package(&planted, Path::new(room.folder)).join("\n"), expected);
    }

    #[test]
    fn the_table_names_only_rooms_that_exist_and_runs_downward() {
        for (row, room) in ROOMS.iter().enumerate() {
            let Imports::Only(allowed) = room.may_import else { continue };
            for imported in allowed {
                let imported_row = ROOMS.iter().position(|other| other.name == *imported);
                assert!(imported_row < Some(row) && imported_row.is_some(), "{} -> {imported}", room.name);
            }
        }
    }

    #[test]
    fn arrows_of_the_table_pass() {
        check("instance-router", "instance-engine", Kind::Normal, "");
        check("instance-os-agent", "instance-agent", Kind::Normal, "");
        check("instance-tests", "instance-router", Kind::Dev, "");
        check("instance-contract", "serde", Kind::Normal, "");
    }

    #[test]
    fn a_wrong_arrow_is_named_with_its_rule() {
        check(
            "instance-contract",
            "instance-bus",
            Kind::Normal,
            "contract -> bus: contract may import nothing of ours",
        );
        check(
            "instance-bus",
            "instance-chassis",
            Kind::Normal,
            "bus -> chassis: bus may import only contract, clock, signals",
        );
        check(
            "instance-iris-sim",
            "instance-contract",
            Kind::Normal,
            "iris-sim -> contract: iris-sim may import only iris, knowledge, clock",
        );
    }

    #[test]
    fn a_wrong_arrow_is_found_in_tests_and_build_scripts_too() {
        for kind in [Kind::Dev, Kind::Build] {
            check(
                "instance-planner",
                "instance-clock",
                kind,
                "planner -> clock: planner may import only contract, knowledge",
            );
        }
    }

    #[test]
    fn only_the_router_has_the_engine_and_only_agents_have_the_agent_loop() {
        check(
            "instance-generator",
            "instance-engine",
            Kind::Normal,
            "generator -> engine: generator may import only \
             contract, iris, knowledge, invent, improvise, llm, transport, clock, bus, chassis, signals",
        );
        check(
            "instance-router",
            "instance-agent",
            Kind::Normal,
            "router -> agent: router may import only \
             contract, iris, knowledge, clock, planner, bus, chassis, engine, signals",
        );
    }

    #[test]
    fn no_service_imports_another_and_nobody_imports_the_cli() {
        for imported in ["instance-router", "instance-cli"] {
            let room = room_of("instance-config-agent").unwrap();
            let edge = Dependency { name: imported.to_owned(), kind: Kind::Normal };
            assert!(check_dependency(room, &edge).is_some(), "{imported}");
        }
    }

    #[test]
    fn testkit_is_for_tests_of_rooms_that_know_the_bus() {
        check("instance-bus", "instance-testkit", Kind::Dev, "");
        check("instance-router", "instance-testkit", Kind::Dev, "");
        check(
            "instance-router",
            "instance-testkit",
            Kind::Normal,
            "router -> testkit: testkit is for dev-dependencies only",
        );
        check(
            "instance-iris",
            "instance-testkit",
            Kind::Dev,
            "iris -> testkit: testkit brings the bus along, and iris must not know it",
        );
    }

    #[test]
    fn crates_from_outside_stay_with_their_owner() {
        check("instance-tests", "async-nats", Kind::Dev, "");
        check(
            "instance-chassis",
            "async-nats",
            Kind::Normal,
            "chassis -> async-nats: only bus, testkit, tests, bench-pipeline may name it",
        );
        check(
            "instance-router",
            "anyhow",
            Kind::Normal,
            "router -> anyhow: only testkit, cli, xtask, tests, bench-pipeline may name it",
        );
    }

    #[test]
    fn an_unknown_room_is_refused_as_package_and_as_dependency() {
        let package =
            Package { name: "instance-utils".into(), manifest: PathBuf::new(), dependencies: Vec::new() };
        assert_eq!(
            check_package(&package, Path::new("shared/utils")),
            ["instance-utils: an unknown room (shared/utils); \
              its row in the table of xtask/src/arrows/table.rs is missing"]
        );
        check(
            "instance-bus",
            "instance-utils",
            Kind::Normal,
            "bus -> instance-utils: an unknown room; its row in the table is missing",
        );
    }

    #[test]
    fn a_room_in_the_wrong_folder_is_refused() {
        let package =
            Package { name: "instance-bus".into(), manifest: PathBuf::new(), dependencies: Vec::new() };
        assert_eq!(
            check_package(&package, Path::new("services/bus")),
            ["instance-bus: lies in services/bus, its room is shared/bus"]
        );
    }
}
