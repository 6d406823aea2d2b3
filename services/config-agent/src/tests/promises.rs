//! What every action promises: twice is once, an undo restores, a lost answer is found, a foreign change stays.

use std::{fs, os::unix::fs::MetadataExt};

use instance_agent::{Prepared, Probe};
use instance_contract::Failure;
use instance_iris::cpf::Document;
use instance_testkit::promises::{Promised, Seen, keep_promises};
use serde_json::json;

use super::{Stage, merges, set, several, several::FULL};
use crate::wanted::Wanted;

/// Section, name and value that somebody else writes.
type Foreign = (&'static str, &'static str, &'static str);

/// One kind of change, prepared.
struct Change {
    stage: Stage,
    wanted: Wanted,
    prepared: Prepared,
    foreign: Foreign,
    /// A merge writes the file in place, as IRIS does: owner and mode cannot tell.
    live: bool,
}

impl Change {
    fn new(stage: Stage, wanted: Wanted, foreign: Foreign, live: bool) -> Self {
        std::os::unix::fs::chown(stage.path("iris.cpf"), Some(owner()), None).unwrap();
        let prepared = stage.prepare_all(&wanted).unwrap();
        Self { stage, wanted, prepared, foreign, live }
    }
}

/// A foreign one where we are root (as in CI), else our own.
fn owner() -> u32 {
    let own = fs::metadata("/proc/self").unwrap().uid();
    if own == 0 { 51773 } else { own }
}

fn seen(probe: &Probe) -> Seen {
    match probe {
        Probe::Done(_) => Seen::Done,
        Probe::NotDone => Seen::NotDone,
        Probe::Other { .. } => Seen::Other,
    }
}

fn told<T>(outcome: Result<T, Failure>) -> Result<(), String> {
    outcome.map(drop).map_err(|failure| failure.to_string())
}

impl Promised for Change {
    type World = (String, u32, u32, u32, Vec<String>);
    type Trace = (u64, i64, i64, Vec<String>, String);

    fn world(&self) -> Self::World {
        let metadata = fs::metadata(self.stage.path("iris.cpf")).unwrap();
        let text = String::from_utf8(self.stage.cpf()).unwrap();
        // Backups may come; drafts and merge files must go.
        let litter = self.stage.others().into_iter().filter(|name| name.starts_with('.')).collect();
        (text, metadata.mode(), metadata.uid(), metadata.gid(), litter)
    }

    fn trace(&self) -> Self::Trace {
        let metadata = fs::metadata(self.stage.path("iris.cpf")).unwrap();
        let calls = fs::read_to_string(self.stage.path("calls")).unwrap_or_default();
        assert!(self.live || calls.is_empty(), "{calls}");
        (metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), self.stage.others(), calls)
    }

    fn act(&self) -> Result<(), String> {
        told(self.stage.apply_all(&self.wanted, &self.prepared, &|| Ok(())))
    }

    fn probe(&self) -> Seen {
        seen(&self.stage.probe(&self.prepared))
    }

    fn undo(&self) -> Result<(), String> {
        told(self.stage.undo(&self.prepared))
    }

    fn probe_undo(&self) -> Seen {
        seen(&self.stage.probe_undo(&self.prepared))
    }

    fn interfere(&self) {
        let (section, name, value) = self.foreign;
        let mut theirs = Document::parse(&self.stage.cpf());
        if theirs.set(section, name, value).is_err() {
            theirs.insert(section, name, value).unwrap();
        }
        fs::write(self.stage.path("iris.cpf"), theirs.to_bytes()).unwrap();
    }
}

#[test]
fn one_value_keeps_its_promises() {
    keep_promises(|| {
        let wanted = Wanted::from(&set("globals", "0,0,512,0,0,0"));
        Change::new(Stage::new(FULL), wanted, ("config", "globals", "0,0,777,0,0,0"), false)
    });
}

#[test]
fn a_size_of_globals_keeps_its_promises() {
    keep_promises(|| {
        let wanted = several(&json!({"changes": [
            {"cpf_section": "config", "parameter": "globals", "block_size_kb": 8, "new_value": "512"}]}));
        Change::new(Stage::new(FULL), wanted, ("config", "globals", "0,0,777,0,0,0"), false)
    });
}

#[test]
fn several_changes_keep_their_promises() {
    keep_promises(|| {
        let wanted = several(&json!({"changes": [
            {"cpf_section": "Databases", "parameter": "SHOP", "change": "add", "new_value": "/data/shop/"},
            {"cpf_section": "Namespaces", "parameter": "SHOP", "change": "add", "new_value": "SHOP"},
            {"cpf_section": "config", "parameter": "errlog", "new_value": "600"}]}));
        Change::new(Stage::new(FULL), wanted, ("config", "errlog", "700"), false)
    });
}

#[test]
fn an_added_entry_keeps_its_promises() {
    keep_promises(|| {
        let wanted = several(&json!({"changes": [
            {"cpf_section": "Namespaces", "parameter": "SHOP", "change": "add", "new_value": "STOCK"}]}));
        Change::new(Stage::new(FULL), wanted, ("Namespaces", "SHOP", "PRICES"), false)
    });
}

#[test]
fn a_removed_entry_keeps_its_promises() {
    keep_promises(|| {
        let wanted = several(&json!({"changes": [
            {"cpf_section": "Namespaces", "parameter": "REPORTS", "change": "remove"}]}));
        Change::new(Stage::new(FULL), wanted, ("Namespaces", "REPORTS", "PRICES"), false)
    });
}

#[test]
fn a_live_change_keeps_its_promises() {
    keep_promises(|| {
        let wanted = several(&json!({"live": true, "changes": [
            {"cpf_section": "config", "parameter": "locksiz", "new_value": "33554432"},
            {"cpf_section": "config", "parameter": "bbsiz", "new_value": "524288"}]}));
        Change::new(merges::stage(""), wanted, ("config", "locksiz", "65536"), true)
    });
}
