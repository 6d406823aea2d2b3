use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use instance_agent::Probe;
use instance_contract::{Digest, Failure};

use super::{CPF, Stage, code, set};
use crate::{
    apply::{self, Limits},
    wanted::Wanted,
};

fn with(from: &str, to: &str) -> Vec<u8> {
    String::from_utf8(CPF.to_vec()).unwrap().replace(from, to).into_bytes()
}

#[test]
fn one_value_changes_and_every_other_byte_stays() {
    for (name, value, from, to) in [
        ("globals", "0,0,512,0,0,0", "globals=0,0,256,0,0,0", "globals=0,0,512,0,0,0"),
        ("MaxServers", "7", "MaxServers = 2", "MaxServers = 7"),
        ("routines", "128", "routines=64", "routines=128"),
    ] {
        let stage = Stage::new(CPF);
        let (prepared, applied) = stage.change(name, value).unwrap();
        assert_eq!(stage.cpf(), with(from, to));
        assert_eq!(prepared.wanted, value);
        let (target, change) = &applied.changes[0];
        assert_eq!(*target, format!("cpf [config] {name}"));
        assert_eq!(change.new_value.as_deref(), Some(value));
        assert!(change.validated && applied.rollback_available);
        stage.undo(&prepared).unwrap();
        assert_eq!(stage.cpf(), CPF);
    }
}

#[test]
fn doing_it_twice_is_doing_it_once() {
    let stage = Stage::new(CPF);
    let (prepared, first) = stage.change("globals", "0,0,512,0,0,0").unwrap();
    let files = stage.others();
    let again =
        stage.apply("globals", "0,0,512,0,0,0", &prepared, &|| panic!("nothing is to be done")).unwrap();
    assert_eq!((again.changes, stage.others()), (first.changes, files));
    let next = stage.prepare("globals", "0,0,512,0,0,0").unwrap();
    assert!(next.already);

    stage.undo(&prepared).unwrap();
    let files = stage.others();
    stage.undo(&prepared).unwrap();
    assert_eq!((stage.cpf(), stage.others()), (CPF.to_vec(), files));
}

#[test]
fn a_probe_tells_before_after_and_neither_apart() {
    let stage = Stage::new(CPF);
    let prepared = stage.prepare("globals", "0,0,512,0,0,0").unwrap();
    let probe = || stage.probe(&prepared);
    let probe_undo = || stage.probe_undo(&prepared);
    assert_eq!(probe(), Probe::NotDone);
    assert!(matches!(probe_undo(), Probe::Done(_)));
    stage.apply("globals", "0,0,512,0,0,0", &prepared, &|| Ok(())).unwrap();
    assert!(matches!(probe(), Probe::Done(_)));
    assert_eq!(probe_undo(), Probe::NotDone);
    fs::write(stage.path("iris.cpf"), with("globals=0,0,256", "globals=0,0,777")).unwrap();
    assert_eq!(probe(), Probe::Other { found: "[config] globals is \"0,0,777,0,0,0\"".to_owned() });
    assert_eq!(probe_undo(), Probe::Other { found: "[config] globals is \"0,0,777,0,0,0\"".to_owned() });
}

/// Between plan and effect: both values of what differs are shown, and of a secret none.
#[test]
fn a_file_that_changed_since_it_was_planned_on_is_told_with_both_values() {
    let secret =
        b"[ConfigFile]\nVersion=2024.2\n[Startup]\nPasswordHash=\n[config]\nMaxServers=2\nroutines=64\n";
    let stage = Stage::new(secret);
    let failure = stage.with_site(|site| {
        let wanted = Wanted::from(&set("MaxServers", "3"));
        let prepared = apply::prepare(&site, &wanted).unwrap();
        let text = String::from_utf8(secret.to_vec()).unwrap();
        let rival = text.replace("routines=64", "routines=99").replace("Hash=", "Hash=5f4dcc3b,salt");
        fs::write(stage.path("iris.cpf"), rival).unwrap();
        let limits = Limits { last_look: &|| Ok(()), remaining: Duration::from_secs(20) };
        apply::apply(&site, &wanted, &prepared, limits).unwrap_err()
    });
    assert_eq!(code(&failure), "lost_update");
    let told = &failure.cause().message;
    assert!(told.contains("[config] routines (\"64\" then, \"99\" now)"), "{told}");
    assert!(told.contains("[Startup] PasswordHash (") && told.contains("(hidden)"), "{told}");
    assert!(!told.contains("5f4dcc3b"), "{told}");
}

#[test]
fn a_rival_who_writes_in_the_last_moment_wins() {
    let stage = Stage::new(CPF);
    let rival = with("routines=64", "routines=99");
    let prepared = stage.prepare("globals", "0,0,512,0,0,0").unwrap();
    let write = || {
        fs::write(stage.path("iris.cpf"), &rival).unwrap();
        Ok(())
    };
    let failure = stage.apply("globals", "0,0,512,0,0,0", &prepared, &write).unwrap_err();
    assert!(matches!(failure, Failure::Transient { .. }), "{failure}");
    assert_eq!(code(&failure), "lost_update");
    // Both are shown, and where they differ.
    let (then, now) = (Digest::of(CPF), Digest::of(&rival));
    let expected = format!(
        "SHA-256 {} when it was read, {} now; it differs in [config] routines (\"64\" then, \"99\" now)",
        then.short(),
        now.short()
    );
    assert!(failure.cause().message.contains(&expected), "{failure}");
    assert_eq!(stage.cpf(), rival);
    assert!(!stage.others().iter().any(|name| name.starts_with('.')));
    // The next attempt looks afresh and keeps what the rival wrote.
    stage.change("globals", "0,0,512,0,0,0").unwrap();
    let both = String::from_utf8(rival).unwrap().replace("globals=0,0,256", "globals=0,0,512");
    assert_eq!(stage.cpf(), both.into_bytes());
}

#[test]
fn a_rival_who_changes_the_mode_in_the_last_moment_is_told_by_it() {
    let stage = Stage::new(CPF);
    let path = stage.path("iris.cpf");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let prepared = stage.prepare("globals", "0,0,512,0,0,0").unwrap();
    let close = || {
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        Ok(())
    };
    let failure = stage.apply("globals", "0,0,512,0,0,0", &prepared, &close).unwrap_err();
    assert_eq!(code(&failure), "lost_update");
    let message = &failure.cause().message;
    assert!(message.contains(" 640 when it was read") && message.contains(" 600 now"), "{message}");
    assert_eq!(stage.cpf(), CPF);
}

#[test]
fn who_may_no_longer_act_changes_nothing() {
    let stage = Stage::new(CPF);
    let prepared = stage.prepare("globals", "0,0,512,0,0,0").unwrap();
    let halted = || Err(Failure::refused("halted", "stopped by a person"));
    let failure = stage.apply("globals", "0,0,512,0,0,0", &prepared, &halted).unwrap_err();
    assert_eq!((code(&failure), stage.cpf()), ("halted", CPF.to_vec()));
    assert!(!stage.others().iter().any(|name| name.starts_with('.')));
}

#[test]
fn an_undo_keeps_what_others_have_changed_since() {
    let stage = Stage::new(CPF);
    let (prepared, _) = stage.change("globals", "0,0,512,0,0,0").unwrap();
    let other_line = String::from_utf8(stage.cpf()).unwrap().replace("routines=64", "routines=99");
    fs::write(stage.path("iris.cpf"), other_line).unwrap();
    stage.undo(&prepared).unwrap();
    assert_eq!(stage.cpf(), with("routines=64", "routines=99"));

    let (prepared, _) = stage.change("globals", "0,0,512,0,0,0").unwrap();
    let theirs = String::from_utf8(stage.cpf()).unwrap().replace("0,0,512", "0,0,777").into_bytes();
    fs::write(stage.path("iris.cpf"), &theirs).unwrap();
    let failure = stage.undo(&prepared).unwrap_err();
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure}");
    assert_eq!((code(&failure), stage.cpf()), ("foreign_change", theirs));
}

#[test]
fn an_undo_without_its_backup_still_restores_every_byte() {
    let stage = Stage::new(CPF);
    let (prepared, _) = stage.change("globals", "0,0,512,0,0,0").unwrap();
    for name in stage.others() {
        fs::remove_file(stage.path(&name)).unwrap();
    }
    stage.undo(&prepared).unwrap();
    assert_eq!(stage.cpf(), CPF);
}

#[test]
fn links_are_refused_and_left_as_they_are() {
    let stage = Stage::new(CPF);
    let prepared = stage.prepare("globals", "0,0,512,0,0,0").unwrap();

    fs::hard_link(stage.path("iris.cpf"), stage.path("second")).unwrap();
    let failure = stage.apply("globals", "0,0,512,0,0,0", &prepared, &|| Ok(())).unwrap_err();
    assert_eq!((code(&failure), stage.cpf()), ("hard_link", CPF.to_vec()));
    fs::remove_file(stage.path("second")).unwrap();

    // Swapped in after the plan was made.
    fs::rename(stage.path("iris.cpf"), stage.path("real")).unwrap();
    symlink(stage.path("real"), stage.path("iris.cpf")).unwrap();
    let failure = stage.apply("globals", "0,0,512,0,0,0", &prepared, &|| Ok(())).unwrap_err();
    assert_eq!(code(&failure), "symbolic_link");
    assert!(fs::symlink_metadata(stage.path("iris.cpf")).unwrap().is_symlink());
    assert_eq!(fs::read(stage.path("real")).unwrap(), CPF);

    fs::remove_file(stage.path("iris.cpf")).unwrap();
    assert_eq!(code(&stage.prepare("globals", "0").unwrap_err()), "file_missing");
    fs::create_dir(stage.path("iris.cpf")).unwrap();
    assert_eq!(code(&stage.prepare("globals", "0").unwrap_err()), "not_a_cpf");
}

#[test]
fn a_link_swapped_in_at_the_last_moment_is_not_followed() {
    let stage = Stage::new(CPF);
    let prepared = stage.prepare("globals", "0,0,512,0,0,0").unwrap();
    let swap = || {
        fs::rename(stage.path("iris.cpf"), stage.path("real")).unwrap();
        symlink(stage.path("real"), stage.path("iris.cpf")).unwrap();
        Ok(())
    };
    let failure = stage.apply("globals", "0,0,512,0,0,0", &prepared, &swap).unwrap_err();
    assert_eq!((code(&failure), fs::read(stage.path("real")).unwrap()), ("symbolic_link", CPF.to_vec()));
}

#[test]
fn what_could_end_the_line_never_reaches_the_file() {
    let stage = Stage::new(CPF);
    for value in ["0\n[Actions]", "0\r", "0\0", "0\u{85}x", "0\u{2028}x", "\u{1b}[2J", "0\t1"] {
        for name in ["globals", "console", "routines"] {
            let failure = stage.prepare(name, value).unwrap_err();
            assert_eq!(code(&failure), "invalid_value", "{value:?}");
        }
    }
    assert_eq!((stage.cpf(), stage.others()), (CPF.to_vec(), Vec::<String>::new()));
}

#[test]
fn a_reader_sees_the_old_or_the_new_file_and_nothing_else() {
    let stage = Stage::new(CPF);
    let new = with("globals=0,0,256", "globals=0,0,512");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) || seen == 0 {
                let bytes = stage.cpf();
                assert!(bytes == CPF || bytes == new, "{}", String::from_utf8_lossy(&bytes));
                seen += 1;
            }
        });
        for _ in 0..20 {
            let (prepared, _) = stage.change("globals", "0,0,512,0,0,0").unwrap();
            stage.undo(&prepared).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
}

#[test]
fn a_draft_that_a_crash_left_behind_is_replaced_and_one_in_use_is_respected() {
    let stage = Stage::new(CPF);
    let draft = stage.path(".iris.cpf_instance_new");
    fs::write(&draft, "half a fi").unwrap();
    stage.change("globals", "0,0,512,0,0,0").unwrap();
    assert!(!draft.exists());

    let in_use = fs::File::create(&draft).unwrap();
    in_use.lock().unwrap();
    let failure = stage.change("globals", "0,0,256,0,0,0").unwrap_err();
    assert!(matches!(failure, Failure::Transient { .. }), "{failure}");
    assert_eq!((code(&failure), draft.exists()), ("busy", true));
}

/// Extra proof on real files, where they are at hand: `../shared` beside the repository is no part of the product.
#[test]
fn every_real_cpf_that_is_at_hand_changes_by_one_line() {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference/iris/samples/cpf");
    for entry in fs::read_dir(samples).into_iter().flatten() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let stage = Stage::new(&bytes);
        let (prepared, _) = stage.change("globals", "0,0,4096,0,0,0").unwrap();
        assert_eq!(super::differing_lines(&bytes, &stage.cpf()), Some(1));
        stage.undo(&prepared).unwrap();
        assert_eq!(stage.cpf(), bytes);
    }
}

/// In a container, or with `ISC_CPF_MERGE_FILE`, an edit of `iris.cpf` lasts until the next merge.
#[test]
fn what_a_merge_file_names_is_changed_there_and_not_in_the_cpf() {
    let mut stage = Stage::new(CPF);
    let merge = stage.path("merge.cpf");
    stage.config.merge_file.insert("PROD".parse().unwrap(), merge.clone());
    let wanted = Wanted::from(&set("globals", "0,0,512,0,0,0"));
    let missing = stage.forecast_all(&wanted).unwrap();
    assert!(missing.warnings.iter().any(|told| told.contains("merge.cpf\" of the settings is not there")));

    fs::write(&merge, "[Startup]\nPasswordHash=5f4dcc3b,salt\n\n[config]\nglobals=0,0,800,0,0,0\n").unwrap();
    let refused = stage.forecast_all(&wanted).unwrap_err();
    assert_eq!(code(&refused), "merge_file_stands");
    assert!(matches!(refused, Failure::Refused { .. }));
    let told = &refused.cause().message;
    assert!(told.contains("merge.cpf\" (line 5)") && told.contains("change it in the merge file"), "{told}");
    assert!(!told.contains("5f4dcc3b"), "{told}");
    assert_eq!(code(&stage.prepare("globals", "0,0,512,0,0,0").unwrap_err()), "merge_file_stands");
    assert_eq!(stage.cpf(), CPF);

    let other = stage.forecast_all(&Wanted::from(&set("routines", "128"))).unwrap();
    assert!(
        other.warnings.iter().any(|told| told.contains("does not name what is changed here")),
        "{other:?}"
    );
    stage.change("routines", "128").unwrap();
    stage.change("globals", "0,0,800,0,0,0").unwrap();
}

#[test]
fn a_merge_file_that_cannot_be_read_refuses_changes() {
    let mut stage = Stage::new(CPF);
    // A folder: no right helps.
    stage.config.merge_file.insert("PROD".parse().unwrap(), stage.path(""));
    assert_eq!(code(&stage.prepare("routines", "128").unwrap_err()), "merge_file_stands");
}
