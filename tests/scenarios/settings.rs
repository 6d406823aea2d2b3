//! The settings files that are shipped are good, and bad ones are told with every fault before anything starts.

use std::{fs, path::Path, process::Command};

use crate::pipeline::{command, source_tree};

const SERVICES: [&str; 7] =
    ["analyst", "config-agent", "gateway", "generator", "os-agent", "restart-agent", "router"];

/// `--check-config` on a file, with no environment: exit code and what was said.
fn checked(service: &str, file: &Path, words: &[&str]) -> (i32, String) {
    let mut program: Command = command(&format!("instance-{service}"));
    let output = program.arg("--config").arg(file).args(words).arg("--check-config").output().unwrap();
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn every_shipped_file_is_good_in_every_profile() {
    let folder = source_tree().join("deploy/config");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, SERVICES.map(|service| format!("{service}.toml")), "one file a service");
    for service in SERVICES {
        let file = folder.join(format!("{service}.toml"));
        for profile in [None, Some("development"), Some("staging"), Some("production"), Some("testing")] {
            let words: Vec<&str> = profile.iter().flat_map(|name| ["--profile", name]).collect();
            assert_eq!(checked(service, &file, &words), (0, String::new()), "{service}, profile {profile:?}");
        }
    }
}

#[test]
fn a_broken_file_is_refused_with_every_fault() {
    let folder = tempfile::tempdir().unwrap();
    for service in SERVICES {
        let file = folder.path().join(format!("{service}.toml"));
        let text = format!(
            "host = \"\"\ngrace_seconds = 0\n[nats]\nurl = 7\n[telemetry]\nlog_format = \"loud\"\n[{service}]\n\
             colour = \"red\"\n[unknown]\nx = 1\n"
        );
        fs::write(&file, text).unwrap();
        let (code, said) = checked(service, &file, &[]);
        assert_eq!(code, 78, "{service}: {said}");
        for (key, value) in [
            ("host", "\"\""),
            ("grace_seconds", "0"),
            ("nats.url", "7"),
            ("telemetry.log_format", "loud"),
            ("colour", "red"),
            ("unknown", ""),
        ] {
            let told = said.lines().any(|line| line.contains(key) && line.contains(value));
            assert!(told, "{service}: nothing about {key} = {value} in\n{said}");
        }
        assert!(said.contains(file.to_str().unwrap()), "{service} does not name the file:\n{said}");
    }
}

#[test]
fn values_of_each_service_have_their_own_rules() {
    let folder = tempfile::tempdir().unwrap();
    let instance = "[[SERVICE.instances]]\nname = \"two words\"\n";
    for (service, text, told) in [
        (
            "router",
            "[router.policy]\nattempts = 0\nquiet_seconds = 900\n",
            &["attempts", "quiet_seconds"][..],
        ),
        ("generator", "[generator]\npoll_ms = 1\nspeed = -1.0\n", &["poll_ms", "speed"]),
        ("config-agent", instance, &["two words"]),
        ("os-agent", instance, &["two words"]),
        ("restart-agent", instance, &["two words"]),
    ] {
        let file = folder.path().join(format!("{service}.toml"));
        fs::write(&file, text.replace("SERVICE", service)).unwrap();
        let (code, said) = checked(service, &file, &[]);
        assert_eq!(code, 78, "{service}: {said}");
        for word in told {
            assert!(said.contains(word), "{service}: nothing about {word} in\n{said}");
        }
    }
}

#[test]
fn a_policy_file_is_checked_with_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let (file, policy) = (folder.path().join("router.toml"), folder.path().join("policy.toml"));
    fs::write(&file, format!("[router]\npolicy_file = \"{}\"\n", policy.display())).unwrap();
    let window = "[[windows]]\nactions = [\"restart\"]\nfrom = \"20:00\"\nto = \"02:00\"\n";
    let overlapping = format!("{window}{window}");
    for (text, told) in [
        ("restarts = true\n", &["restarts", "unknown field"][..]),
        ("attempts = -1\n", &["attempts", "-1", "must be a whole number from 0 on"]),
        ("attempts = 0\n", &["attempts = 0", "must be from 1 to 10"]),
        (&overlapping, &["windows[1] = restart", "must not overlap windows[0]"]),
        ("approvers = [\"*\"]\n", &["approvers[0] = *", "must name somebody"]),
        ("carriers = [\"OPS\"]\n", &["carriers = OPS", "before the first table"]),
    ] {
        fs::write(&policy, text).unwrap();
        let (code, said) = checked("router", &file, &[]);
        assert_eq!(code, 78, "{text}: {said}");
        for word in told.iter().chain(&["router.policy_file"]) {
            assert!(said.contains(word), "{text}: nothing about {word} in\n{said}");
        }
    }
    fs::remove_file(&policy).unwrap();
    let (code, said) = checked("router", &file, &[]);
    assert!(code == 78 && said.contains("could not read policy file"), "{said}");
    fs::write(&policy, "attempts = 2\n").unwrap();
    assert_eq!(checked("router", &file, &[]), (0, String::new()));
}

#[test]
fn a_file_that_is_not_there_is_a_fault_and_not_a_default() {
    let (code, said) = checked("router", Path::new("/no/such/router.toml"), &[]);
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("/no/such/router.toml"), "{said}");
}

/// `instance config` on a folder of settings files: exit code, stdout and stderr.
fn config(words: &[&str], folder: &Path) -> (i32, String, String) {
    let mut program = command("instance");
    let output = program.arg("config").args(words).arg("--dir").arg(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn five_mistakes_in_one_file_give_five_messages() {
    let folder = tempfile::tempdir().unwrap();
    let text = "grace_secnds = 30\n[nats]\nurl = 7\n[telemetry]\nlog_format = \"loud\"\n[router]\nnane = \"a\"\n\
                [router.policy]\nattempts = 3\n[production.router.policy]\nattempts = 99\n";
    fs::write(folder.path().join("router.toml"), text).unwrap();
    let (code, told, said) = config(&["check", "router"], folder.path());
    assert_eq!(code, 78, "{told}{said}");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 5, "{told}");
    for parts in [
        &["grace_secnds", "did you mean \"grace_seconds\"?"][..],
        &["nats.url = 7", "must be"],
        &["telemetry.log_format = \"loud\"", "must be one of"],
        &["router.nane", "did you mean \"name\"?"],
        &["attempts", "99", "(profile production)"],
    ] {
        let found = lines.iter().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "nothing about {parts:?} in\n{told}");
    }
}

#[test]
fn every_shipped_file_is_checked_shown_and_fits_its_schema() {
    let folder = source_tree().join("deploy/config");
    let (code, told, said) = config(&["check"], &folder);
    assert_eq!((code, told.as_str()), (0, ""), "{said}");
    let (code, told, said) = config(&["show", "--origin", "--profile", "testing", "restart-agent"], &folder);
    assert_eq!(code, 0, "{said}");
    let line = told.lines().find(|line| line.starts_with("restarts_per_hour = 60")).unwrap();
    assert!(line.ends_with("restart-agent.toml\" [testing]"), "each value says where it came from: {line}");
    for service in SERVICES {
        let output = command("instance").args(["config", "schema", service]).output().unwrap();
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = fs::read_to_string(folder.join(format!("{service}.toml"))).unwrap();
        let file: serde_json::Value = toml::from_str(&text).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let faults: Vec<String> =
            validator.iter_errors(&file).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
        assert!(faults.is_empty(), "{service}: {faults:?}");
        let wrong: serde_json::Value = toml::from_str(&format!("[{service}]\nno_such_key = 1\n")).unwrap();
        assert!(!validator.is_valid(&wrong), "{service}: the schema is closed");
    }
}
