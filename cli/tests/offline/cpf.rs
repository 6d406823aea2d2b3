//! `instance cpf`.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::run::{extra_samples, instance, instance_with, root};

/// Mixed line ends, blanks, what looks like a comment, and no last line end: nothing of it may change.
const CPF: &str = "[ConfigFile]\r\nVersion=2024.2\n\n[config]\nglobals = 0,0,256,0,0,0\nroutines=0\nZZZ=a;b#c\n[Startup]\nPasswordHash=abc";

fn cpf(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("iris.cpf");
    fs::write(&file, text).unwrap();
    (folder, file)
}

#[test]
fn a_value_is_read() {
    let (_folder, file) = cpf(CPF);
    let run = instance(&[&"cpf", &"get", &file, &"config", &"globals"]).exits(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("0,0,256,0,0,0\n", ""));
    let run = instance(&[&"cpf", &"get", &file, &"[config]", &"ZZZ", &"--json"]).exits(0);
    let document = run.document("instance.cli.v1.cpf_value");
    assert_eq!((&document["value"], &document["line"]), (&json!("a;b#c"), &json!(7)));
    let run = instance(&[&"cpf", &"get", &file, &"config", &"Globals"]).exits(8);
    assert!(run.stderr.contains("did you mean [config] globals?"), "{run:?}");
    instance(&[&"cpf", &"get", &file, &"nonsense", &"globals"]).exits(8);
}

#[test]
fn a_secret_is_printed_only_when_asked_for() {
    let (_folder, file) = cpf(CPF);
    let run = instance(&[&"cpf", &"get", &file, &"Startup", &"PasswordHash"]).exits(3);
    assert!(!run.stdout.contains("abc") && !run.stderr.contains("abc"), "{run:?}");
    let run = instance(&[&"cpf", &"get", &file, &"Startup", &"PasswordHash", &"--show-secret"]).exits(0);
    assert_eq!(run.stdout, "abc\n");
    let (_other, changed) = cpf(&CPF.replace("=abc", "=xyz"));
    let run = instance(&[&"cpf", &"diff", &file, &changed]).exits(0);
    assert_eq!(run.stdout, "-9: [Startup] PasswordHash=(hidden)\n+9: [Startup] PasswordHash=(hidden)\n");
}

#[test]
fn exactly_one_line_changes_and_the_mode_stays() {
    let (folder, file) = cpf(CPF);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let run = instance(&[&"cpf", &"set", &file, &"config", &"globals", &"0,0,512,0,0,0"]).exits(0);
    assert!(run.stdout.contains(":5: [config] globals: 0,0,256,0,0,0 -> 0,0,512,0,0,0"), "{run:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), CPF.replace("256", "512"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o640);
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let [changed, kept] = &names[..] else { panic!("a temporary file was left behind: {names:?}") };
    assert!(
        file.ends_with(changed.as_str()) && kept.starts_with(&format!("{changed}_instance_set_")),
        "{names:?}"
    );
    assert_eq!(fs::read_to_string(folder.path().join(kept)).unwrap(), CPF);
}

#[test]
fn one_can_look_first() {
    let (_folder, file) = cpf(CPF);
    let run =
        instance(&[&"cpf", &"set", &file, &"config", &"globals", &"0,0,512,0,0,0", &"--stdout"]).exits(0);
    assert_eq!(run.stdout, CPF.replace("256", "512"));
    let run = instance(&[&"cpf", &"set", &file, &"config", &"globals", &"0,0,512,0,0,0", &"-n", &"--json"])
        .exits(0);
    let document = run.document("instance.cli.v1.cpf_change");
    assert_eq!((&document["changed"], &document["needs_restart"]), (&json!(false), &json!(true)));
    assert_eq!(fs::read_to_string(&file).unwrap(), CPF);
    let run = instance_with(
        &[&"cpf", &"set", &"-", &"config", &"globals", &"0,0,512,0,0,0", &"--stdout"],
        CPF.as_bytes(),
        &[],
    );
    assert_eq!(run.exits(0).stdout, CPF.replace("256", "512"));
}

#[test]
fn what_could_break_the_file_or_the_start_never_reaches_it() {
    let (_folder, file) = cpf(CPF);
    for (section, name, value, code) in [
        ("config", "globals", "0,0,512,0,0,0\nroutines=1", 3),
        ("config", "globals", "0,0,512,0,0,0\r", 3),
        ("config", "ZZZ", "bell\u{7}", 3),
        ("config", "ZZZ", "\u{2028}", 3),
        ("config", "ZZZ", " blank", 3),
        ("config", "globals", "lots", 3),
        ("config", "routines", "-5", 3),
        ("config", "nonsense", "1", 8),
        ("Nonsense", "globals", "1", 8),
        ("Config", "globals", "0,0,512,0,0,0", 8),
    ] {
        let run = instance(&[&"cpf", &"set", &file, &section, &name, &value]).exits(code);
        assert_eq!(run.stdout, "", "{value:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), CPF, "{value:?}");
    }
}

#[test]
fn another_value_than_expected_refuses_the_change() {
    let (_folder, file) = cpf(CPF);
    let set = |current: &str| {
        instance(&[&"cpf", &"set", &file, &"config", &"routines", &"128", &"--current", &current])
    };
    set("64").exits(3);
    assert_eq!(fs::read_to_string(&file).unwrap(), CPF);
    set("0").exits(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), CPF.replace("routines=0", "routines=128"));
}

#[test]
fn setting_what_is_there_changes_nothing() {
    let (_folder, file) = cpf(CPF);
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    let run = instance(&[&"cpf", &"set", &file, &"config", &"routines", &"0", &"--json"]).exits(0);
    assert_eq!(run.document("instance.cli.v1.cpf_change")["changed"], false);
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);
}

#[test]
fn differences_are_told_by_parameter() {
    let (_a, before) = cpf(CPF);
    let (_b, after) = cpf(&CPF.replace("256", "512").replace("ZZZ=a;b#c\n", ""));
    let run = instance(&[&"cpf", &"diff", &before, &after, &"--json"]).exits(0);
    let document = run.document("instance.cli.v1.cpf_diff");
    let differences = document["differences"].as_array().unwrap();
    let names: Vec<_> = differences.iter().map(|row| (&row["name"], &row["before"], &row["after"])).collect();
    assert_eq!(
        names,
        [
            (&json!("globals"), &json!("0,0,256,0,0,0"), &json!("0,0,512,0,0,0")),
            (&json!("ZZZ"), &json!("a;b#c"), &json!(null)),
        ]
    );
    instance(&[&"cpf", &"diff", &before, &after, &"--exit-code"]).exits(1);
    let run = instance(&[&"cpf", &"diff", &before, &before, &"--exit-code"]).exits(0);
    assert_eq!(run.stdout, "");
}

#[test]
fn faults_of_shape_and_of_value_are_told_with_their_lines() {
    let (_folder, file) = cpf(
        "stray=1\n[ConfigFile]\nVersion=2024.2\n[config]\nroutines=lots\nroutines=1\nGlobals=1\ngarbage\n[Odd]\n",
    );
    let run = instance(&[&"cpf", &"check", &file, &"--json"]).exits(1);
    let document = run.document("instance.cli.v1.cpf_check");
    let faults = document["faults"].as_array().unwrap();
    let at =
        |line: u64, rule: &str| faults.iter().any(|fault| fault["line"] == line && fault["rule"] == rule);
    assert!(at(1, "outside_section"), "{document:#}");
    assert!(at(5, "invalid_value"), "{document:#}");
    assert!(at(6, "duplicate_line"), "{document:#}");
    assert!(at(7, "unknown_parameter"), "{document:#}");
    assert!(at(8, "unreadable_line"), "{document:#}");
    let missing =
        |name: &str| faults.iter().any(|fault| fault["rule"] == "missing_parameter" && fault["name"] == name);
    assert!(missing("globals"), "{document:#}");
}

#[test]
fn a_parameter_is_explained() {
    let run = instance(&[&"cpf", &"explain", &"globals"]).exits(0);
    assert!(run.stdout.starts_with("[config] globals\n"), "{run:?}");
    let run = instance(&[&"cpf", &"explain", &"config", &"globals", &"--json"]).exits(0);
    let document = run.document("instance.cli.v1.cpf_parameters");
    assert_eq!(document["parameters"][0]["needs_restart"], true);
    let run = instance(&[&"cpf", &"explain", &"Startup", &"globals"]).exits(8);
    assert!(run.stderr.contains("did you mean [config] globals?"), "{run:?}");
}

#[test]
fn a_whole_file_has_no_fault_and_what_is_dangerous_is_a_warning() {
    let file = root().join("shared/iris/tests/fixtures/full.cpf");
    let run = instance(&[&"cpf", &"check", &file]).exits(0);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("no fault found") && run.stderr.contains("not weighed"), "{run:?}");
    instance(&[&"cpf", &"check", &file, &"--memory-mb", &"16384"]).exits(0);

    let large = fs::read_to_string(&file).unwrap().replace("globals=0,0,256,", "globals=0,0,20000,");
    let (_folder, file) = cpf(&large);
    let run = instance(&[&"cpf", &"check", &file, &"--memory-mb", &"16384"]).exits(0);
    assert!(run.stdout.contains(": warning: memory_beyond_host: "), "{run:?}");
    let host = "--memory-mb=65536";
    let run = instance(&[&"cpf", &"check", &file, &host, &"--huge-pages=5000", &"--json"]).exits(0);
    let document = run.document("instance.cli.v1.cpf_check");
    assert_eq!((&document["valid"], &document["faults"]), (&json!(true), &json!([])));
    let warning = &document["warnings"][0];
    assert_eq!((&warning["rule"], &warning["name"]), (&json!("huge_pages_too_few"), &json!("globals")));
}

#[test]
fn a_version_that_nobody_has_described_is_a_warning() {
    let file = root().join("shared/iris/tests/fixtures/full.cpf");
    let text = fs::read_to_string(&file).unwrap().replace("Version=2024.2", "Version=2031.1");
    let (_folder, file) = cpf(&text.replace("[config]\n", "[config]\nNewest=1\n"));
    let run = instance(&[&"cpf", &"check", &file]).exits(0);
    let warned = |part: &str| run.stdout.contains(&format!("warning: {part}"));
    assert!(warned("unknown_version") && warned("unknown_parameter"), "{run:?}");
}

/// Real files, where they are at hand (`../shared`): IRIS started with them.
#[test]
fn the_extra_samples_have_no_fault() {
    for file in extra_samples("cpf", "cpf") {
        let run = instance(&[&"cpf", &"check", &file]).exits(0);
        assert_eq!(run.stdout, "", "{}", file.display());
        let run = instance(&[&"cpf", &"check", &file, &"--memory-mb", &"32768"]).exits(0);
        assert_eq!(run.stdout, "", "{}", file.display());
    }
}

/// Merge files of real deployments; one of them is no CPF at all, but a made-up one.
#[test]
fn the_extra_merge_files_have_no_fault() {
    for file in extra_samples("merge", "cpf") {
        let made_up = file.to_string_lossy().contains("kokonut121");
        instance(&[&"cpf", &"check", &"--merge", &file]).exits(i32::from(made_up));
    }
}

const ROWS: &str = "[[cpf_parameter]]\nsection = \"config\"\nname = \"ZZZ\"\ntype = \"integer\"\nmin = 1\nmax = 9\n\
    since = \"2024.1\"\nrestart = \"no\"\nmeaning = \"Ours.\"\nsource = \"our own runbook\"\n";

#[test]
fn rows_of_a_users_own_explain_check_and_set() {
    let (folder, file) = cpf(CPF);
    fs::write(folder.path().join("site.toml"), ROWS).unwrap();
    let rows = folder.path().to_owned();
    let run = instance(&[&"cpf", &"explain", &"ZZZ", &"--rows", &rows]).exits(0);
    assert!(run.stdout.contains("from 1 to 9") && run.stdout.contains("our own runbook"), "{run:?}");
    instance(&[&"cpf", &"explain", &"ZZZ"]).exits(8);

    let told = |run: &crate::run::Run| {
        run.stdout.lines().filter(|line| line.contains("ZZZ")).collect::<Vec<_>>().join("\n")
    };
    let run = instance(&[&"cpf", &"check", &file]).exits(1);
    assert!(told(&run).contains("unknown_parameter"), "{run:?}");
    let run = instance(&[&"cpf", &"check", &file, &"--rows", &rows]).exits(1);
    assert!(told(&run).contains("invalid_value") && !told(&run).contains("unknown_parameter"), "{run:?}");

    instance(&[&"cpf", &"set", &file, &"config", &"ZZZ", &"10", &"--rows", &rows]).exits(3);
    instance(&[&"cpf", &"set", &file, &"config", &"ZZZ", &"9", &"--rows", &rows]).exits(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), CPF.replace("a;b#c", "9"));

    let run = instance(&[&"knowledge", &"explain", &"[config] ZZZ", &"--rows", &rows]).exits(0);
    assert!(run.stdout.contains("our own runbook"), "{run:?}");
    let run = instance(&[&"knowledge", &"check", &rows]).exits(0);
    assert!(run.stderr.contains("1 CPF parameters"), "{run:?}");
    fs::write(folder.path().join("site.toml"), ROWS.replace("max = 9", "max = 0")).unwrap();
    let run = instance(&[&"cpf", &"check", &file, &"--rows", &rows]).exits(78);
    assert!(run.stderr.contains("site.toml") && run.stderr.contains("[config] ZZZ"), "{run:?}");
}
