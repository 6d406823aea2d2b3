//! A file system that is really full. Mounting one needs root, as CI has; a file system in memory of its own.

use instance_contract::Failure;
use instance_testkit::SmallDisk;

use super::{CPF, Stage, code};

#[test]
fn wherever_the_space_ends_the_old_file_stays_and_nothing_is_left_behind() {
    // Seven pages of CPF, so that the space ends in the middle of a file too.
    let mut cpf = CPF.to_vec();
    cpf.extend(b"\r\n[Miscellaneous]\r\n");
    for line in 0..1000 {
        cpf.extend(format!("; line {line:012}\r\n").bytes());
    }
    let mut outcomes = Vec::new();
    for pages in 7..30 {
        let folder = tempfile::tempdir().unwrap();
        let _disk = SmallDisk::mount(folder.path(), &format!("size={},mode=700", pages * 4096));
        let stage = Stage::at(folder.path(), &cpf);
        match stage.change("globals", "0,0,512,0,0,0") {
            Ok(_) => {
                assert_ne!(stage.cpf(), cpf);
                outcomes.push("done");
            }
            Err(failure) => {
                assert!(matches!(failure, Failure::Transient { .. }), "{failure}");
                assert_eq!(
                    (code(&failure), stage.cpf() == cpf),
                    ("no_space", true),
                    "{pages} pages: {failure}"
                );
                assert!(stage.others().is_empty(), "{:?}", stage.others());
                outcomes.push("no draft");
            }
        }
    }
    outcomes.dedup();
    assert_eq!(outcomes, ["no draft", "done"]);
}

#[test]
fn a_file_system_that_is_read_only_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), "size=256k,mode=700");
    let stage = Stage::at(folder.path(), CPF);
    let prepared = stage.prepare("globals", "0,0,512,0,0,0").unwrap();
    disk.becomes("ro");
    let failure = stage.apply("globals", "0,0,512,0,0,0", &prepared, &|| Ok(())).unwrap_err();
    assert_eq!((code(&failure), stage.cpf()), ("read_only_file_system", CPF.to_vec()));
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure}");
}
