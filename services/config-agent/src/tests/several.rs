use std::fs;

use expect_test::{Expect, expect};
use instance_agent::Probe;
use instance_contract::Failure;
use serde_json::{Value, json};

use super::{Stage, code, several};

/// A whole file of the size and shape of a real one.
pub const FULL: &[u8] = include_bytes!("../../../../shared/iris/tests/fixtures/full.cpf");

fn full() -> String {
    String::from_utf8(FULL.to_vec()).unwrap()
}

/// What a shop needs: its database, its namespace, a larger cache.
fn shop() -> Value {
    json!({"changes": [
        {"cpf_section": "Databases", "parameter": "SHOP", "change": "add", "new_value": "/data/shop/"},
        {"cpf_section": "Namespaces", "parameter": "SHOP", "change": "add", "new_value": "SHOP"},
        {"cpf_section": "config", "parameter": "globals", "block_size_kb": 8, "new_value": "512",
            "current_value": "256"},
    ]})
}

fn refuses(cpf: &str, changes: &Value, expected: &Expect) {
    let stage = Stage::new(cpf.as_bytes());
    let failure = stage.prepare_all(&several(&json!({"changes": changes}))).unwrap_err();
    assert!(matches!(failure, Failure::Refused { .. }), "{failure}");
    assert_eq!((stage.cpf(), stage.others()), (cpf.as_bytes().to_vec(), Vec::<String>::new()));
    expected.assert_eq(&failure.to_string());
}

#[test]
fn several_changes_come_together_and_go_together() {
    let stage = Stage::new(FULL);
    let wanted = several(&shop());
    let forecast = stage.forecast_all(&wanted).unwrap();
    assert_eq!(forecast.target, "cpf [Databases] SHOP, [Namespaces] SHOP, [config] globals");
    assert_eq!(forecast.before, "[Databases] SHOP\n[Namespaces] SHOP\n[config] globals=0,0,256,0,0,0");
    assert!(forecast.needs_restart && forecast.restart_reason.contains("[config] globals takes effect only"));

    let (prepared, applied) = stage.change_all(&wanted).unwrap();
    let expected = full()
        .replace("USER=/usr/irissys/mgr/user/\n", "USER=/usr/irissys/mgr/user/\nSHOP=/data/shop/\n")
        .replace("USER=USER\n", "USER=USER\nSHOP=SHOP\n")
        .replace("globals=0,0,256,0,0,0", "globals=0,0,512,0,0,0");
    assert_eq!(String::from_utf8(stage.cpf()).unwrap(), expected);
    assert_eq!((prepared.before, prepared.wanted), (forecast.before, forecast.after));
    assert_eq!(applied.changes.len(), 3);
    assert_eq!(applied.changes[0].1.old_value, None);

    // Twice is once.
    let again = stage.prepare_all(&several(&json!({"changes": [
        {"cpf_section": "Databases", "parameter": "SHOP", "change": "add", "new_value": "/data/shop/"}]})));
    assert!(again.unwrap().already);
}

#[test]
fn an_undo_of_several_changes_restores_every_byte() {
    let stage = Stage::new(FULL);
    let wanted = several(&shop());
    let (prepared, _) = stage.change_all(&wanted).unwrap();
    assert!(matches!(stage.probe(&prepared), Probe::Done(_)));
    stage.undo(&prepared).unwrap();
    assert_eq!(stage.cpf(), FULL);
    stage.undo(&prepared).unwrap();
    assert!(matches!(stage.probe_undo(&prepared), Probe::Done(_)));

    // Beside what somebody else has changed since, and without the backup.
    let (prepared, _) = stage.change_all(&wanted).unwrap();
    let other = String::from_utf8(stage.cpf()).unwrap().replace("errlog=500", "errlog=600");
    fs::write(stage.path("iris.cpf"), &other).unwrap();
    stage.undo(&prepared).unwrap();
    assert_eq!(String::from_utf8(stage.cpf()).unwrap(), full().replace("errlog=500", "errlog=600"));
}

#[test]
fn half_of_the_changes_is_somebody_elses_work() {
    let stage = Stage::new(FULL);
    let wanted = several(&shop());
    let prepared = stage.prepare_all(&wanted).unwrap();
    let half = full().replace("USER=USER\n", "USER=USER\nSHOP=SHOP\n");
    fs::write(stage.path("iris.cpf"), &half).unwrap();
    assert!(matches!(stage.probe(&prepared), Probe::Other { .. }));
    let failure = stage.apply_all(&wanted, &prepared, &|| Ok(())).unwrap_err();
    assert_eq!((code(&failure), stage.cpf()), ("foreign_change", half.into_bytes()));
}

#[test]
fn an_entry_that_goes_comes_back_with_the_undo() {
    let stage = Stage::new(FULL);
    let (prepared, applied) = stage
        .change_all(&several(&json!({"changes": [
            {"cpf_section": "Namespaces", "parameter": "REPORTS", "change": "remove", "current_value": "REPORTS"}]})))
        .unwrap();
    assert_eq!(String::from_utf8(stage.cpf()).unwrap(), full().replace("REPORTS=REPORTS\n", ""));
    assert_eq!(applied.changes[0].1.new_value, None);
    assert!(applied.warnings.iter().any(|text| text.contains("stays on disk")), "{applied:?}");
    stage.undo(&prepared).unwrap();
    assert_eq!(stage.cpf(), FULL);
}

#[test]
fn each_size_of_globals_is_a_value_of_its_own() {
    let stage = Stage::new(FULL);
    let wanted = several(&json!({"changes": [
        {"cpf_section": "config", "parameter": "globals", "block_size_kb": 8, "new_value": "1024"},
        {"cpf_section": "config", "parameter": "globals", "block_size_kb": 16, "new_value": "64"}]}));
    let forecast = stage.forecast_all(&wanted).unwrap();
    assert_eq!(forecast.after, "[config] globals=0,0,1024,64,0,0");
    let useless = forecast.warnings.iter().any(|text| text.contains("64 MB of 16 KB buffers"));
    assert!(useless, "{:?}", forecast.warnings);
    let refused = |change: Value, expected: &Expect| refuses(&full(), &json!([change]), expected);
    refused(
        json!({"cpf_section": "config", "parameter": "globals", "block_size_kb": 8, "new_value": "1024",
            "current_value": "128"}),
        &expect![[
            r#"[config] globals is "256", the command expects "128" (current_value_differs); refused"#
        ]],
    );
    refused(
        json!({"cpf_section": "config", "parameter": "globals", "block_size_kb": 8, "new_value": "16777217"}),
        &expect![[
            r#"value "0,0,16777217,0,0,0" of [config] globals must be 6 whole numbers separated by commas, from 0 to 0, 0 to 0, 0 to 16777216, 0 to 16777216, 0 to 16777216, 0 to 16777216 (MB) (invalid_value); refused"#
        ]],
    );
    refused(
        json!({"cpf_section": "config", "parameter": "globals", "block_size_kb": 8, "new_value": "lots"}),
        &expect![[r#"[config] globals: "lots" is no size in MB of 8 KB buffers (invalid_value); refused"#]],
    );
}

#[test]
fn entries_must_fit_the_rest_of_the_file() {
    let add = |section: &str, name: &str, value: &str| {
        json!([{"cpf_section": section, "parameter": name,
        "change": "add", "new_value": value}])
    };
    let remove = |section: &str, name: &str| {
        json!([{"cpf_section": section, "parameter": name,
        "change": "remove"}])
    };
    refuses(
        &full(),
        &add("Namespaces", "SHOP", "SHOP"),
        &expect![[r#"[Namespaces] SHOP: "SHOP" is no entry of [Databases] (invalid_value); refused"#]],
    );
    refuses(
        &full(),
        &add("Namespaces", "USER", "STOCK"),
        &expect![[
            r#"[Namespaces] USER: is there already, as "USER"; use set to change it (invalid_value); refused"#
        ]],
    );
    refuses(
        &full(),
        &add("Databases", "SHOP", "shop/"),
        &expect![[r#"[Databases] SHOP: "shop/" is no absolute directory (invalid_value); refused"#]],
    );
    refuses(
        &full(),
        &add("Databases", "SHOP", "/data/../etc/"),
        &expect![[r#"[Databases] SHOP: "/data/../etc/" is no absolute directory (invalid_value); refused"#]],
    );
    refuses(
        &full(),
        &add("Map.ORDERS", "Global_X", "NONE"),
        &expect![[r#"[Map.ORDERS] Global_X: "NONE" is no entry of [Databases] (invalid_value); refused"#]],
    );
    refuses(
        &full(),
        &remove("Databases", "IRISSYS"),
        &expect!["[Databases] IRISSYS: IRIS does not start without this database (invalid_value); refused"],
    );
    refuses(
        &full(),
        &remove("Databases", "STOCK"),
        &expect!["[Databases] STOCK: [Namespaces] STOCK still uses it (line 29) (invalid_value); refused"],
    );
    refuses(
        &full(),
        &remove("Namespaces", "ORDERS"),
        &expect![
            "[Namespaces] ORDERS: section [Map.ORDERS] still maps for it (line 33) (invalid_value); refused"
        ],
    );
    refuses(
        &full(),
        &remove("Namespaces", "%SYS"),
        &expect!["[Namespaces] %SYS: IRIS does not work without this namespace (invalid_value); refused"],
    );
    refuses(
        &full(),
        &remove("config", "errlog"),
        &expect![
            "[config] errlog must not be changed: a CPF must hold every parameter of its version; set the default instead (forbidden_parameter); refused"
        ],
    );
    refuses(
        &full(),
        &add("config", "frobs", "1"),
        &expect![
            "[config] frobs is not a parameter of this CPF; allow_unknown in the command and allow_unknown_parameters in the policy of the router allow it (unknown_parameter); refused"
        ],
    );
}

#[test]
fn what_nobody_knows_is_changed_only_when_the_command_says_so() {
    let strange = full().replace("[config]\n", "[config]\nFrobs=1\n");
    let set = json!([{"cpf_section": "config", "parameter": "Frobs", "new_value": "2"}]);
    refuses(
        &strange,
        &set,
        &expect![
            "[config] Frobs is in the file but not in the catalogue, so its value cannot be checked; allow_unknown in the command and allow_unknown_parameters in the policy of the router allow it (unknown_parameter); refused"
        ],
    );
    let stage = Stage::new(strange.as_bytes());
    // Whether it may say so has been decided by policy (shared/planner/tests/plans).
    let wanted = several(&json!({"changes": set, "allow_unknown": true}));
    stage.change_all(&wanted).unwrap();
    assert_eq!(String::from_utf8(stage.cpf()).unwrap(), strange.replace("Frobs=1", "Frobs=2"));
    // The command alone does not say so.
    let silent =
        several(&json!({"changes": [{"cpf_section": "config", "parameter": "Frobs", "new_value": "3"}]}));
    assert_eq!(code(&stage.prepare_all(&silent).unwrap_err()), "unknown_parameter");
}

#[test]
fn of_a_version_that_nobody_has_described_only_what_is_there_changes() {
    let newer =
        full().replace("Version=2024.2", "Version=2031.1").replace("[config]\n", "[config]\nFrobs=1\n");
    let stage = Stage::new(newer.as_bytes());
    let set =
        several(&json!({"changes": [{"cpf_section": "config", "parameter": "Frobs", "new_value": "2"}]}));
    let forecast = stage.forecast_all(&set).unwrap();
    assert!(forecast.warnings[0].contains("version \"2031.1\""), "{:?}", forecast.warnings);
    assert_eq!(forecast.unknown_version.as_deref(), Some("2031.1"), "for policy");
    stage.change_all(&set).unwrap();
    let described = Stage::new(full().as_bytes()).forecast_all(&several(&json!({"changes": [
        {"cpf_section": "config", "parameter": "errlog", "new_value": "600"}]})));
    assert_eq!(described.unwrap().unknown_version, None);
    refuses(
        &newer,
        &json!([{"cpf_section": "Namespaces", "parameter": "X", "change": "add", "new_value": "USER"}]),
        &expect![[
            r#"the CPF has version "2031.1", of which not every parameter is known; only the value of what it already holds can be changed (unknown_version); refused"#
        ]],
    );
}

/// The instances of a host share its memory: what the others ask for counts, and is told when it is not known.
#[test]
fn what_the_other_instances_of_the_host_ask_for_is_reckoned_with() {
    let mut stage = Stage::new(FULL);
    fs::create_dir(stage.path("proc")).unwrap();
    fs::write(stage.path("proc/meminfo"), "MemTotal: 16777216 kB\n").unwrap();
    let larger = several(&json!({"changes": [
        {"cpf_section": "config", "parameter": "globals", "block_size_kb": 8, "new_value": "8192"}]}));
    let alone = stage.forecast_all(&larger).unwrap();
    assert!(!alone.dangerous, "{alone:?}");

    fs::create_dir(stage.path("second")).unwrap();
    let mut second = stage.instance().clone();
    (second.name, second.cpf) = ("SECOND".parse().unwrap(), stage.path("second/iris.cpf"));
    stage.config.instances.push(second);
    let unread = stage.forecast_all(&larger).unwrap();
    assert!(
        unread.warnings.iter().any(|warning| warning.contains("could not be read: SECOND")),
        "{unread:?}"
    );
    fs::write(stage.path("second/iris.cpf"), "[config]\nglobals=0,0,8192,0,0,0\ngmheap=307200\n").unwrap();
    let both = stage.forecast_all(&larger).unwrap();
    assert!(both.dangerous, "{both:?}");
    assert!(
        both.warnings.iter().any(|warning| warning.contains("the other instances of the host")),
        "{both:?}"
    );
}
