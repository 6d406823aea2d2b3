//! `instance chaos`: the truth about a fault is in nothing that the pipeline can read, and what is wrong with a
//! scenario is said before anything is started.

use std::{
    fs,
    path::{Path, PathBuf},
};

use instance_testkit::NatsServer;
use serde_json::Value;

use crate::pipeline::{self, Ran};

/// A word that is in no file of ours but a scenario's truth.
const CANARY: &str = "canary-7d1fb2c9";

fn chaos(folder: &Path, words: &[&str]) -> Ran {
    let mut command = pipeline::command("instance");
    command.arg("chaos").args(words).current_dir(folder);
    // Where `cargo xtask test` has found it; without it the program looks in target/tools and on PATH.
    command.envs(std::env::var_os("INSTANCE_NATS_SERVER").map(|server| ("INSTANCE_NATS_SERVER", server)));
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

fn hold(folder: &Path, word: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    files(folder, &mut all);
    assert!(all.len() > 20, "a world, a bus and six services leave files: {all:?}");
    let holds = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(word.len()).any(|window| window == word.as_bytes())
    };
    all.into_iter().filter(holds).collect()
}

#[test]
fn a_dead_write_daemon_is_healed_and_the_truth_about_it_is_in_no_file_of_the_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let made = chaos(folder.path(), &["new", CANARY]);
    assert_eq!((made.code, made.stdout.trim()), (0, format!("./{CANARY}.toml").as_str()), "{made:?}");
    let file = folder.path().join(format!("{CANARY}.toml"));
    // The name, the title, the cause and the script all say it.
    let text = fs::read_to_string(&file).unwrap();
    let fault = text.find("[[fault]]").unwrap();
    let truth = format!(
        "[[fault]]\ndo = \"kill\"\nprocess = \"WRTDMN\"\n\n[[symptom]]\nhealth = \"hung\"\n\n[[truth]]\ncondition = \
         \"write-daemon-died\"\ncause = \"{CANARY}\"\nanswer = \"remedy\"\n\n[[truth.remedies]]\nrestart = true\n"
    );
    let text = text[..fault].replace("More updates between", CANARY) + &truth;
    fs::write(&file, text.replace("by_hand = \"\"\"", &format!("by_hand = \"\"\"\n# {CANARY}"))).unwrap();

    let path = format!("./{CANARY}.toml");
    let ran = chaos(folder.path(), &["run", &path, "--keep", "--json", "--junit", "chaos.xml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let scenario = &report["scenarios"][0];
    assert_eq!(scenario["verdict"], "verified", "{scenario:#}");
    assert_eq!((&scenario["points"], &scenario["of"]), (&5.into(), &5.into()));
    assert_eq!(scenario["commands"].as_array().unwrap().len(), 1);

    let junit = fs::read_to_string(folder.path().join("chaos.xml")).unwrap();
    assert!(
        junit.starts_with("<?xml") && junit.contains("tests=\"1\" failures=\"0\" errors=\"0\""),
        "{junit}"
    );
    assert!(junit.contains(&format!("name=\"{CANARY}\"")) && !junit.contains("<failure"), "{junit}");

    // World, bus and services lie in a folder that is named by a number.
    let own = folder.path().join("run/chaos/last/01");
    assert!(own.join("pipeline/nats/store").is_dir() && own.join("iris/CHAOS/mgr/messages.log").is_file());
    assert_eq!(hold(&own, CANARY), Vec::<PathBuf>::new());
    assert!(!hold(&own, "WRTDMN").is_empty(), "the search itself finds what is there");

    for (verdict, code) in [("verified", 0), ("wrong", 1)] {
        assert_eq!(chaos(folder.path(), &["assert", "--verdict", verdict]).code, code, "{verdict}");
    }
    assert_eq!(chaos(folder.path(), &["assert", "--verdict", "wrong", "--none"]).code, 0);
    assert_eq!(chaos(folder.path(), &["assert", "--verdict", "verified", "--label", "other"]).code, 8);
    record_and_replay(folder.path(), &own);
}

/// What the kept bus holds, played again, gives the same command; and the scenario that was made of it is healed.
fn record_and_replay(folder: &Path, own: &Path) {
    let mut server = NatsServer::start();
    server.kill9();
    copy(&own.join("pipeline/nats/store"), &server.store());
    server.restart();
    let (url, cpf, host) = (server.url(), own.join("iris/CHAOS/iris.cpf"), own.join("host"));
    let (cpf, host) = (cpf.to_str().unwrap(), host.to_str().unwrap());
    let words = ["record", "again", "--nats", &url, "--instance", "CHAOS", "--cpf", cpf, "--host-root", host];
    let ran = chaos(folder, &words);
    assert_eq!((ran.code, ran.stdout.trim()), (0, "./again.recording.toml\n./again.toml"), "{ran:?}");
    let scenario = fs::read_to_string(folder.join("again.toml")).unwrap();
    for told in ["REVIEW IT", "condition = \"write-daemon-died\"", "found on CHAOS: ", "process = \"WRTDMN\""]
    {
        assert!(scenario.contains(told), "no {told:?} in\n{scenario}");
    }
    let nobody = chaos(folder, &["record", "x", "--nats", &url, "--instance", "OTHER", "--cpf", cpf]);
    assert_eq!(nobody.code, 8, "{nobody:?}");

    let ran = chaos(folder, &["replay", "./again.recording.toml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{ran:?}");
    assert!(ran.stderr.contains("1 command(s), identical"), "{ran:?}");

    let ran = chaos(folder, &["run", "./again.toml", "--json", "--label", "again"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["scenarios"][0]["verdict"], "verified", "{report:#}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

#[test]
fn the_controls_tell_a_fault_that_goes_by_itself_from_a_real_one() {
    let folder = tempfile::tempdir().unwrap();
    chaos(folder.path(), &["new", "mine"]);
    let file = folder.path().join("mine.toml");
    let real = fs::read_to_string(&file).unwrap().replace("show = 30", "show = 12");
    let ran = chaos(folder.path(), &["control", "./mine.toml", "--world-only"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    // A script that does nothing takes no cause away.
    let begin = real.find("sed -i").unwrap();
    let end = real[begin..].find("\"\"\"").unwrap() + begin;
    fs::write(&file, format!("{}true\n{}", &real[..begin], &real[end..])).unwrap();
    let ran = chaos(folder.path(), &["control", "./mine.toml", "--world-only"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("taken away by hand, and the trouble is still there"), "{ran:?}");
}

#[test]
fn a_port_that_somebody_else_has_taken_is_told_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    chaos(folder.path(), &["new", "mine"]);
    let file = folder.path().join("mine.toml");
    let text = fs::read_to_string(&file).unwrap();
    let steps = format!(
        "[[fault]]\ndo = \"cpf\"\nsection = \"Startup\"\nparameter = \"WebServerPort\"\nvalue = \"{port}\"\n\n\
         [[fault]]\ndo = \"hold_port\"\nport = \"web_server\"\n\n[[fault]]\ndo = \"load\""
    );
    fs::write(&file, text.replacen("[[fault]]\ndo = \"load\"", &steps, 1)).unwrap();
    let ran = chaos(folder.path(), &["control", "./mine.toml", "--world-only"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains(&format!("port {port} of this machine is not free")), "{ran:?}");
}
