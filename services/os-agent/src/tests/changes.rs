use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use instance_agent::{HostPart, Probe, Work};
use instance_contract::Failure;

use super::{Stage, code, free, set};
use crate::{apply, error::HostError, undo};

const HUGE: &str = "proc/sys/vm/nr_hugepages";
const DROP_IN: &str = "90-instance-vm.nr_hugepages.conf";

fn text(value: &str) -> String {
    format!(
        "# Written by Instance (os-agent), which takes it back when the change is undone.\nvm.nr_hugepages = {value}\n"
    )
}

#[test]
fn a_value_is_set_now_and_for_the_next_boot_and_both_are_taken_back() {
    let stage = Stage::new();
    let (prepared, applied) = stage.change("vm/nr_hugepages", "900").unwrap();
    assert_eq!(stage.value(HUGE), "900\n");
    assert_eq!(stage.drop_ins(), [(DROP_IN.to_owned(), text("900"))]);
    let mode = fs::metadata(stage.path("sysctl.d").join(DROP_IN)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    let (target, change) = &applied.changes[0];
    assert_eq!((target.as_str(), change.old_value.as_deref()), ("kernel vm.nr_hugepages", Some("0")));
    assert!(change.validated && applied.rollback_available);

    stage.undo(&prepared).unwrap();
    assert_eq!((stage.value(HUGE), stage.drop_ins()), ("0\n".to_owned(), Vec::new()));
    stage.undo(&prepared).unwrap();
    assert_eq!((stage.value(HUGE), stage.drop_ins()), ("0\n".to_owned(), Vec::new()));
}

#[test]
fn a_drop_in_that_was_there_gets_its_text_back() {
    let stage = Stage::new();
    let (first, _) = stage.change("vm.nr_hugepages", "900").unwrap();
    let (second, _) = stage.change("vm.nr_hugepages", "1000").unwrap();
    assert_eq!(stage.drop_ins(), [(DROP_IN.to_owned(), text("1000"))]);
    stage.undo(&second).unwrap();
    assert_eq!(
        (stage.value(HUGE), stage.drop_ins()),
        ("900\n".to_owned(), vec![(DROP_IN.to_owned(), text("900"))])
    );
    stage.undo(&first).unwrap();
    assert!(stage.drop_ins().is_empty());
}

#[test]
fn a_drop_in_that_was_there_gets_its_mode_and_owner_back() {
    let stage = Stage::new();
    let path = stage.path("sysctl.d").join(DROP_IN);
    let theirs = "# by hand\nvm.nr_hugepages = 850\n";
    fs::write(&path, theirs).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let own = fs::metadata(&path).unwrap().uid();
    // A foreign one where we are root (as in CI).
    let owner = if own == 0 { 51773 } else { own };
    chown(&path, Some(owner), None).unwrap();
    let attributes = || (fs::metadata(&path).unwrap().uid(), fs::metadata(&path).unwrap().mode() & 0o7777);

    let (prepared, _) = stage.change("vm.nr_hugepages", "900").unwrap();
    assert_eq!((stage.drop_ins()[0].1.clone(), attributes()), (text("900"), (owner, 0o600)));
    stage.undo(&prepared).unwrap();
    assert_eq!((stage.drop_ins()[0].1.as_str(), attributes()), (theirs, (owner, 0o600)));
}

#[test]
fn vectors_and_words_are_set_as_the_kernel_shows_them() {
    let stage = Stage::new();
    let (prepared, _) = stage.change("kernel.sem", "250 32000 100 128").unwrap();
    assert_eq!(
        (prepared.before.as_str(), stage.value("proc/sys/kernel/sem").as_str()),
        ("32000 1024000000 500 32000", "250 32000 100 128\n")
    );
    stage.undo(&prepared).unwrap();
    assert_eq!(stage.value("proc/sys/kernel/sem"), "32000 1024000000 500 32000\n");
}

#[test]
fn nothing_is_kept_for_the_next_boot_when_the_settings_say_so() {
    let mut stage = Stage::new();
    stage.config.persist = false;
    let (prepared, applied) = stage.change("vm.swappiness", "5").unwrap();
    assert!(stage.drop_ins().is_empty());
    assert!(
        applied.warnings.iter().any(|warning| warning.contains("does not outlive a reboot")),
        "{applied:?}"
    );
    stage.undo(&prepared).unwrap();
    assert_eq!(stage.value("proc/sys/vm/swappiness"), "60\n");
}

#[test]
fn doing_it_twice_is_doing_it_once_and_a_half_done_change_is_finished() {
    let stage = Stage::new();
    let prepared = stage.prepare("vm.nr_hugepages", "900").unwrap();
    let probe = || apply::probe(&stage.host(), &prepared).unwrap();
    let apply =
        || apply::apply(&stage.config, &stage.host(), &set("vm.nr_hugepages", "900"), &prepared, &free());
    assert_eq!(probe(), Probe::NotDone);
    // A crash after the drop-in, before the value.
    fs::write(stage.path("sysctl.d").join(DROP_IN), text("900")).unwrap();
    assert_eq!(probe(), Probe::NotDone);
    apply().unwrap();
    assert!(matches!(probe(), Probe::Done(_)));
    apply().unwrap();
    assert_eq!(
        (stage.value(HUGE), stage.drop_ins()),
        ("900\n".to_owned(), vec![(DROP_IN.to_owned(), text("900"))])
    );
    assert!(stage.prepare("vm.nr_hugepages", "900").unwrap().already);

    let probe_undo = || undo::probe(&stage.host(), &prepared).unwrap();
    assert_eq!(probe_undo(), Probe::NotDone);
    // A crash after the value, before the drop-in.
    fs::write(stage.path(HUGE), "0\n").unwrap();
    assert_eq!(probe_undo(), Probe::NotDone);
    stage.undo(&prepared).unwrap();
    assert!(matches!(probe_undo(), Probe::Done(_)));
}

#[test]
fn what_somebody_else_has_set_is_left_as_it_is() {
    let stage = Stage::new();
    let (prepared, _) = stage.change("vm.nr_hugepages", "900").unwrap();
    fs::write(stage.path(HUGE), "777\n").unwrap();
    let failure = stage.undo(&prepared).unwrap_err();
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure}");
    assert_eq!((code(&failure), stage.value(HUGE)), ("foreign_change", "777\n".to_owned()));
    assert_eq!(stage.drop_ins(), [(DROP_IN.to_owned(), text("900"))]);
    let probe = apply::probe(&stage.host(), &prepared).unwrap();
    assert_eq!(probe, Probe::Other { found: "777".to_owned() });

    // Their drop-in stays, and the value, still ours, goes.
    fs::write(stage.path(HUGE), "900\n").unwrap();
    fs::write(stage.path("sysctl.d").join(DROP_IN), "vm.nr_hugepages = 950\n").unwrap();
    let undone = stage.undo(&prepared).unwrap();
    assert!(undone.warnings[0].contains("somebody else"), "{undone:?}");
    assert_eq!(
        (stage.value(HUGE), stage.drop_ins()[0].1.as_str()),
        ("0\n".to_owned(), "vm.nr_hugepages = 950\n")
    );
}

#[test]
fn a_drop_in_written_by_somebody_else_in_between_is_left_to_them() {
    let stage = Stage::new();
    let prepared = stage.prepare("vm.nr_hugepages", "900").unwrap();
    fs::write(stage.path("sysctl.d").join(DROP_IN), "vm.nr_hugepages = 950\n").unwrap();
    let wanted = set("vm.nr_hugepages", "900");
    let failure = apply::apply(&stage.config, &stage.host(), &wanted, &prepared, &free()).unwrap_err();
    assert_eq!((code(&failure), stage.value(HUGE)), ("lost_update", "0\n".to_owned()));
    assert_eq!(stage.drop_ins()[0].1, "vm.nr_hugepages = 950\n");
}

#[test]
fn a_forecast_tells_value_restart_danger_and_what_to_know() {
    let stage = Stage::new();
    fs::write(stage.path("sysctl.d/99-local.conf"), "vm.nr_hugepages=3\n").unwrap();
    let huge = apply::forecast(&stage.config, &stage.host(), &set("vm.nr_hugepages", "800")).unwrap();
    assert_eq!((huge.before.as_str(), huge.after.as_str(), huge.dangerous), ("0", "800", true));
    assert!(huge.needs_restart && huge.restart_reason.contains("only at its start"));
    let warnings = huge.warnings.join("\n");
    for part in
        ["99-local.conf sets vm.nr_hugepages too", "ask for about 839 huge pages", "a reboot of the host"]
    {
        assert!(warnings.contains(part), "no \"{part}\" in:\n{warnings}");
    }
    let swap = apply::forecast(&stage.config, &stage.host(), &set("vm.swappiness", "5")).unwrap();
    assert!(!swap.needs_restart && !swap.dangerous && swap.warnings.is_empty(), "{swap:?}");
    let word = set("kernel.mm.transparent_hugepage.enabled", "never");
    let word = apply::forecast(&stage.config, &stage.host(), &word).unwrap();
    assert_eq!((word.before.as_str(), word.warnings.len()), ("madvise", 1));
    assert_eq!(stage.drop_ins().len(), 1);
}

#[test]
fn who_may_no_longer_act_changes_nothing() {
    let stage = Stage::new();
    let wanted = set("vm.nr_hugepages", "900");
    let prepared = stage.prepare("vm.nr_hugepages", "900").unwrap();
    // Halted before the first effect, and between the two.
    for allowed in [0, 1] {
        let left = AtomicUsize::new(allowed);
        let last_look = || {
            let some = left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
            some.map(drop).map_err(|_| Failure::refused("halted", "stopped by a person"))
        };
        let a_minute = || Duration::from_mins(1);
        let failure =
            apply::apply(&stage.config, &stage.host(), &wanted, &prepared, &Work::new(&last_look, &a_minute))
                .unwrap_err();
        assert_eq!(code(&failure), "halted");
        assert_eq!((stage.value(HUGE), stage.drop_ins()), ("0\n".to_owned(), Vec::new()));
    }
}

#[test]
fn a_kernel_or_a_folder_that_says_no_is_named_with_the_cure() {
    let stage = Stage::new();
    assert_eq!(code(&stage.prepare("vm.dirty_ratio", "10").unwrap_err()), "unknown_to_kernel");

    fs::write(stage.path("proc/sys/vm/swappiness"), "sixty\nand more\n").unwrap();
    assert_eq!(code(&stage.prepare("vm.swappiness", "5").unwrap_err()), "kernel_answer");

    symlink("/dev/null", stage.path("sysctl.d").join(DROP_IN)).unwrap();
    assert_eq!(code(&stage.prepare("vm.nr_hugepages", "900").unwrap_err()), "not_a_file");
    fs::remove_file(stage.path("sysctl.d").join(DROP_IN)).unwrap();

    fs::remove_dir(stage.path("sysctl.d")).unwrap();
    let failure = stage.change("vm.nr_hugepages", "900").unwrap_err();
    assert_eq!((code(&failure), stage.value(HUGE)), ("file_missing", "0\n".to_owned()));

    for errno in [nix::libc::EACCES, nix::libc::EPERM, nix::libc::EROFS] {
        let error = HostError::io(
            "write",
            "/proc/sys/vm/nr_hugepages".into(),
            std::io::Error::from_raw_os_error(errno),
        );
        let failure = error.into_failure();
        assert_eq!(code(&failure), "missing_right");
        assert!(failure.cause().message.contains("run os-agent as root"), "{failure}");
    }
}

#[test]
fn a_parameter_is_one_part_of_an_instance_however_its_name_is_written() {
    let stage = Stage::new();
    let agent = crate::agent::OsAgent::new(stage.config.clone());
    let part = |name: &str| {
        instance_agent::Agent::part(&agent, &instance_contract::Action::SetKernel(set(name, "1")))
    };
    assert_eq!(part("vm/swappiness"), part("vm.swappiness"));
    assert!(part("vm.swappiness").is_some());
    assert_ne!(part("vm.dirty_ratio"), part("vm.swappiness"));
    assert_eq!(part("no.such_parameter"), None, "all of the instance, and then it is refused");
    let of_host = |name| {
        instance_agent::Agent::host_part(&agent, &instance_contract::Action::SetKernel(set(name, "1")))
    };
    assert_eq!(of_host("vm/swappiness"), HostPart::Property("vm.swappiness".to_owned()));
    assert_eq!(of_host("process.cpu_affinity"), HostPart::Nothing, "its processes are the instance's own");
    let undo =
        instance_contract::Undo { step: "os".parse().unwrap(), tool: instance_contract::Tool::OsConfig };
    let undo = instance_contract::Action::Undo(undo);
    assert_eq!(instance_agent::Agent::host_part(&agent, &undo), HostPart::Any);
}

/// The kernel keeps one of the two: writing the share sets the bytes to 0, and the other way round.
#[test]
fn a_share_is_left_alone_while_its_limit_in_bytes_is_in_use() {
    let stage = Stage::new();
    stage.write("proc/sys/vm/dirty_ratio", "0\n");
    stage.write("proc/sys/vm/dirty_bytes", "1073741824\n");
    stage.write("proc/sys/vm/dirty_background_bytes", "0\n");
    let refused = stage.prepare("vm.dirty_ratio", "10").unwrap_err();
    assert_eq!(code(&refused), "twin_in_use");
    assert!(matches!(refused, Failure::Refused { .. }));
    let told = &refused.cause().message;
    assert!(told.contains("vm.dirty_bytes is 1073741824") && told.contains("vm.dirty_ratio"), "{told}");
    assert_eq!(stage.value("proc/sys/vm/dirty_bytes"), "1073741824\n");
    // Its neighbour may be set; that the two cannot be compared is for a person.
    let told = apply::forecast(&stage.config, &stage.host(), &set("vm.dirty_background_ratio", "5")).unwrap();
    assert!(told.dangerous, "{told:?}");
    assert!(told.warnings.iter().any(|warning| warning.contains("vm.dirty_bytes is 1073741824")), "{told:?}");
    // Somebody takes to bytes between the look and the effect.
    stage.write("proc/sys/vm/dirty_bytes", "0\n");
    stage.write("proc/sys/vm/dirty_ratio", "20\n");
    let prepared = stage.prepare("vm.dirty_ratio", "30").unwrap();
    stage.write("proc/sys/vm/dirty_bytes", "4096000\n");
    let wanted = set("vm.dirty_ratio", "30");
    let refused = apply::apply(&stage.config, &stage.host(), &wanted, &prepared, &free()).unwrap_err();
    assert_eq!(code(&refused), "twin_in_use");
}
