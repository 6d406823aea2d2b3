use std::{fs, time::Instant};

use super::*;

const CPF: &str = "[config]\nglobals=0,0,256,0,0,0\nroutines=0\n[Startup]\nDefaultPort=1972\n";
const START: &str =
    "\n*** Recovery started at x\nAllocated 742MB shared memory\nStartup of InterSystems IRIS\n";

fn qlist(state: &str, health: &str) -> String {
    format!("DEMO^/i/DEMO/^2025.2^{state}^iris.cpf^1972^80^0^{health}^IRIS^^^/i/DEMO/^1972\n")
}

/// An instance after its first start.
fn world() -> Snapshot {
    let host = [
        ("sys/vm/nr_hugepages", "100\n"),
        ("meminfo", "Hugepagesize:    2048 kB\n"),
        ("sys/vm/swappiness", "60\n"),
    ];
    Snapshot {
        cpf: CPF.into(),
        last_good: CPF.into(),
        log: "Allocated 742MB shared memory\nStartup of InterSystems IRIS\n".to_owned(),
        host: host.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into(),
        qlist: qlist("running, since x", "ok"),
        processes: vec![("WRTDMN".to_owned(), 11)],
        backups: Vec::new(),
    }
}

fn panicking() -> Snapshot {
    let mut broken = world();
    broken.log.push_str(PANIC);
    broken.qlist = qlist("running, since x", "alert");
    broken
}

fn cured_globals() -> Snapshot {
    let mut cured = panicking();
    cured.cpf = CPF.replace("256", "512").into();
    cured.last_good = cured.cpf.clone();
    cured.log.push_str(START);
    cured.qlist = qlist("running, since y", "ok");
    cured.processes = vec![("WRTDMN".to_owned(), 22)];
    cured.backups = vec!["iris.cpf_instance_000001_ab".to_owned()];
    cured
}

fn failed(fault: Fault, broken: &Snapshot, now: &Snapshot) -> Vec<String> {
    let verdict = judge(fault, broken, now, now);
    let failed: Vec<String> =
        verdict.findings.iter().filter(|finding| !finding.held).map(|finding| finding.text.clone()).collect();
    assert_eq!(verdict.healed(), failed.is_empty());
    failed
}

#[test]
fn grown_globals_in_force_and_no_panic_since_are_a_cure() {
    assert_eq!(failed(Fault::Globals, &panicking(), &cured_globals()), Vec::<String>::new());
    let told = differences(&panicking(), &cured_globals());
    assert_eq!(told[..3], ["iris.cpf", "  -globals=0,0,256,0,0,0", "  +globals=0,0,512,0,0,0"]);
    assert_eq!(
        told[3..],
        [
            "new backup iris.cpf_instance_000001_ab",
            "process WRTDMN: 11 -> 22",
            "iris qlist: running alert -> running ok"
        ]
    );
}

#[test]
fn each_way_not_to_be_cured_of_small_globals_is_found() {
    let spoilt = |spoil: fn(&mut Snapshot)| {
        let mut now = cured_globals();
        spoil(&mut now);
        failed(Fault::Globals, &panicking(), &now).join("; ")
    };
    assert!(
        spoilt(|now| now.cpf = CPF.into()).starts_with("iris.cpf is as it was; the instance has not started")
    );
    assert!(spoilt(|now| now.last_good = CPF.into()).contains("_LastGood_.cpf is another one"));
    assert!(spoilt(|now| now.log.push_str(PANIC)).starts_with("1 panic message(s)"));
    assert!(spoilt(|now| now.log.push_str(START)).contains("started 2 time(s)"));
    assert!(spoilt(|now| now.qlist = qlist("down, last used x", "")).contains("qlist says down"));
    assert!(spoilt(|now| now.qlist = qlist("running, since y", "alert")).contains("health alert"));
    let other = |now: &mut Snapshot| {
        now.cpf = CPF.replace("routines=0", "routines=9").replace("256", "512").into();
        now.last_good = now.cpf.clone();
    };
    assert!(spoilt(other).contains("2 lines differ"));
    let smaller = |now: &mut Snapshot| {
        now.cpf = CPF.replace("256", "128").into();
        now.last_good = now.cpf.clone();
    };
    assert!(spoilt(smaller).contains("became \"globals=0,0,128,0,0,0\""));
    let swappiness =
        |now: &mut Snapshot| drop(now.host.insert("sys/vm/swappiness".to_owned(), b"1".to_vec()));
    assert!(spoilt(swappiness).contains("of the host, sys/vm/swappiness was changed"));
}

#[test]
fn a_world_that_was_never_broken_cannot_be_healed() {
    assert_eq!(failed(Fault::Globals, &world(), &cured_globals()), ["the fault was really there before"]);
}

#[test]
fn enough_huge_pages_that_are_used_are_a_cure() {
    let mut broken = world();
    broken.log = format!("Failed to allocate 742{NO_PAGES}\n{}", broken.log);
    broken.qlist = qlist("running, since x", "warn");
    let mut now = broken.clone();
    now.host.insert("sys/vm/nr_hugepages".to_owned(), b"379\n".to_vec());
    now.log.push_str(&START.replace("shared memory", "shared memory using Huge Pages"));
    assert_eq!(failed(Fault::HugePages, &broken, &now), Vec::<String>::new());
    now.host.insert("sys/vm/nr_hugepages".to_owned(), b"370\n".to_vec());
    assert_eq!(failed(Fault::HugePages, &broken, &now), ["vm.nr_hugepages 100 -> 370, needed 371"]);
    let mut unused = broken.clone();
    unused.host.insert("sys/vm/nr_hugepages".to_owned(), b"379\n".to_vec());
    unused.log.push_str(START);
    assert_eq!(
        failed(Fault::HugePages, &broken, &unused),
        ["the last start does not say \"using Huge Pages\""]
    );
}

#[test]
fn another_write_daemon_in_an_instance_that_runs_is_a_cure() {
    let mut broken = world();
    broken.qlist = qlist("running, since x", "hung");
    broken.processes.clear();
    let mut now = broken.clone();
    now.log.push_str(START);
    now.processes = vec![("WRTDMN".to_owned(), 33)];
    now.qlist = qlist("running, since y", "warn");
    assert_eq!(failed(Fault::WriteDaemon, &broken, &now), Vec::<String>::new());
    let told = failed(Fault::WriteDaemon, &broken, &broken).join("; ");
    assert!(told.contains("no write daemon is alive") && told.contains("health hung"), "{told}");
}

#[test]
fn lines_that_came_or_went_are_one_difference() {
    let pairs = difference::changed_lines(b"a\nb\nc\n", b"a\nx\ny\nc\n");
    assert_eq!(pairs, [("b".to_owned(), "x\ny".to_owned())]);
    assert_eq!(difference::changed_lines(b"a\n", b"a\n"), []);
    assert_eq!(difference::changed_lines(b"a\n", b"a\na\n"), [(String::new(), "a".to_owned())]);
}

#[test]
fn effects_are_counted_at_the_thing_itself() {
    let effects = Effects::between(&panicking(), &cured_globals(), 0);
    assert_eq!(effects, Effects { backups: 1, cpf_lines: 1, starts: 1, kernel_writes: 0 });
    let folder = std::env::temp_dir().join(format!("instance-checker-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("nr_hugepages");
    fs::write(&file, "1\n").unwrap();
    let writes = Writes::of(&file);
    let mut expected = 0;
    for value in ["2\n", "2\n", "3\n"] {
        // The kernel's clock for files has to move on, or two writes are one.
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        while fs::metadata(&file).unwrap().modified().unwrap() == before {
            fs::write(&file, value).unwrap();
        }
        expected += 1;
        let deadline = Instant::now() + std::time::Duration::from_secs(20);
        while writes.count() < expected {
            assert!(Instant::now() < deadline, "write {expected} was not seen");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
    drop(writes);
    fs::remove_dir_all(&folder).unwrap();
}
