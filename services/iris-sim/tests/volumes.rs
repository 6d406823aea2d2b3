//! Journal and database files on a real disk: they fill, are switched and purged, and the disk is full.

// Testkit brings the bus along, and this room knows no bus; so its function is taken as it stands.
#[path = "../../../shared/testkit/src/skipped.rs"]
mod skipped;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use skipped::skipped;
use support::{Bench, wait_until};

/// A small disk of its own. `None` where this user may not mount one: then the test is skipped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(folder: &Path, megabytes: u32) -> Option<Self> {
        fs::create_dir_all(folder).expect("the bench has a folder");
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder.to_owned()));
        }
        skipped("only root may mount a small disk");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Detached at once: the instance may still have files open there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn journals(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).expect("the folder is there").flatten();
    let mut names: Vec<String> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_full_journal_file_is_switched_and_old_ones_are_purged() {
    // A day is less than two seconds here.
    let bench = Bench::new();
    let settings = bench.path("PROD/sim.toml");
    let text = fs::read_to_string(&settings).expect("create has made it");
    assert!(text.contains("speed = 100.0\n"));
    fs::write(&settings, text.replace("speed = 100.0\n", "speed = 50000.0\n")).expect("it is ours");
    bench.edit_cpf("FileSizeLimit=1024", "FileSizeLimit=2");
    bench.edit_cpf("DaysBeforePurge=2", "DaysBeforePurge=1");
    bench.start();
    let folder = bench.path("PROD/mgr/journal");
    let first = journals(&folder);
    bench.sim("load", &["--journal-mb", "1"]);
    wait_until("a switch", || bench.log().contains("Journaling switched to: "));
    wait_until("the first is purged", || !journals(&folder).contains(&first[0]));
    bench.sim("load", &["--journal-mb", "0"]);
    let switched =
        bench.entries().iter().filter(|entry| entry.message_text().contains("switched to")).count();
    assert!(switched >= 1);
    assert!(fs::metadata(folder.join(journals(&folder).last().expect("one is in use"))).is_ok());
    assert_eq!(bench.state().1, "ok");
}

#[test]
fn a_database_grows_until_its_disk_is_full_and_again_when_there_is_room() {
    let bench = Bench::new();
    let folder = bench.path("PROD/mgr/user");
    let Some(_disk) = SmallDisk::at(&folder, 25) else { return };
    fs::write(folder.join("IRIS.DAT"), b"").expect("the disk is empty");
    bench.start();
    bench.sim("load", &["--database-mb", "10"]);
    let full = format!("<FILEFULL>in database {}/", folder.display());
    wait_until("the disk is full", || bench.last_entry(&full).map(|entry| entry.0) == Some(2));
    let grown = format!("Expansion completed for database {}/. Expanded by 10 MB.", folder.display());
    assert_eq!(bench.log().matches(&grown).count(), 2, "twice ten are in twenty-five");
    assert_eq!(fs::metadata(folder.join("IRIS.DAT")).expect("it is there").len(), 20 * 1024 * 1024);
    assert_eq!(bench.metric("iris_db_size_mb{id=\"USER\""), Some(20.0));
    let remount = Command::new("mount").args(["-o", "remount,size=45m"]).arg(&folder).status();
    assert!(remount.expect("mount is there").success());
    wait_until("it grows again", || bench.log().matches(&grown).count() >= 3);
}

#[test]
fn an_instance_that_must_journal_freezes_on_a_full_disk_and_goes_on_when_there_is_room() {
    let bench = Bench::new();
    let folder = bench.path("PROD/mgr/journal");
    fs::remove_dir(&folder).expect("it is empty");
    let Some(_disk) = SmallDisk::at(&folder, 4) else { return };
    bench.edit_cpf("FreezeOnError=0", "FreezeOnError=1");
    bench.start();
    bench.sim("load", &["--journal-mb", "1"]);
    wait_until("it freezes", || bench.state() == ("running".to_owned(), "hung".to_owned()));
    assert_eq!(bench.last_entry("Write to journal file has failed").map(|entry| entry.0), Some(3));
    let remount = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&folder).status();
    assert!(remount.expect("mount is there").success());
    wait_until("it goes on", || bench.state().1 != "hung");
}

#[test]
fn an_instance_that_may_go_on_says_so_and_loses_its_journal() {
    let bench = Bench::new();
    let folder = bench.path("PROD/mgr/journal");
    fs::remove_dir(&folder).expect("it is empty");
    let Some(_disk) = SmallDisk::at(&folder, 4) else { return };
    bench.start();
    bench.sim("load", &["--journal-mb", "1"]);
    let lost = "SERIOUS JOURNALING ERROR: JRNSTOP cannot open ";
    wait_until("journaling has ended", || bench.last_entry(lost).map(|entry| entry.0) == Some(3));
    assert_eq!(bench.last_entry("Journaling will be disabled in ").map(|entry| entry.0), Some(3));
    assert_eq!(bench.state(), ("running".to_owned(), "alert".to_owned()));
}

#[test]
fn the_other_journal_directory_is_taken_when_the_first_is_full() {
    let bench = Bench::new();
    let (folder, other) = (bench.path("PROD/mgr/journal"), bench.path("journal2"));
    fs::remove_dir(&folder).expect("it is empty");
    let Some(_disk) = SmallDisk::at(&folder, 4) else { return };
    fs::create_dir(&other).expect("a new folder");
    let former = format!("AlternateDirectory={}/", folder.display());
    bench.edit_cpf(&former, &format!("AlternateDirectory={}/", other.display()));
    bench.start();
    bench.sim("load", &["--journal-mb", "1"]);
    wait_until("it is used", || !journals(&other).is_empty());
    bench.sim("load", &["--journal-mb", "0"]);
    assert!(bench.log().contains(&format!("Journaling switched to: {}/", other.display())));
    assert_ne!(bench.state().1, "hung");
}
