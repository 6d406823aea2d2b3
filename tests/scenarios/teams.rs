//! Two teams on one server, apart by account: the same names and ids on both sides meet nowhere. Who may watch both gets each
//! under a prefix of its own.

use std::{fs, time::Duration};

use futures::StreamExt as _;
use instance_testkit::NatsServer;
use serde_json::Value;

use crate::pipeline::{Process, Ran, command, wish};

const TEAMS: [&str; 2] = ["EAST", "WEST"];
const PATIENCE: Duration = Duration::from_mins(1);

/// One server, and for each team keys, a laid out bus and a router of the same name.
struct Teams {
    server: NatsServer,
    folder: tempfile::TempDir,
    routers: Vec<Process>,
}

impl Teams {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = TEAMS.map(|team| {
            let mut keys = command("instance");
            keys.args(["bus", "keys", "--account", team, "--watched-by", "CENTRE", "--dir"]);
            let made = keys.arg(folder.path().join(team)).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            // The server looks for it from the folder of its own settings, which is beside ours.
            let ours = folder.path().file_name().unwrap().to_string_lossy();
            format!("include \"../{ours}/{team}/account.conf\"\n")
        });
        // As docs/deployment.md shows it.
        let imports = TEAMS.map(|team| {
            let prefix = team.to_lowercase();
            ["instance.v1.error.>", "instance.v1.remediation.*.*.ended"]
                .map(|subject| {
                    format!("{{ stream: {{ account: {team}, subject: \"{subject}\" }}, prefix: {prefix} }}\n")
                })
                .concat()
        });
        let centre = format!(
            "CENTRE {{\n users: [{{ user: centre, password: only-here }}]\n imports: [\n{}]\n}}\n",
            imports.concat()
        );
        let server = NatsServer::start_with(&format!("accounts {{\n{}{centre}}}\n", accounts.concat()));
        let mut teams = Self { server, folder, routers: Vec::new() };
        for team in TEAMS {
            let ran = teams.instance(team, "installer", &["bus", "init"]);
            assert_eq!(ran.code, 0, "{ran:?}");
            let router = teams.router(team);
            teams.routers.push(router);
        }
        teams
    }

    fn router(&self, team: &str) -> Process {
        let file = self.folder.path().join(format!("{team}-router.toml"));
        fs::write(&file, "host = \"db1\"\n[router]\nname = \"a\"\n").unwrap();
        let mut router = command("instance-router");
        router.arg("--config").arg(&file);
        self.known_as(team, "router", &mut router);
        Process::start(&format!("{team}-router"), self.folder.path(), &mut router)
    }

    fn known_as(&self, team: &str, role: &str, command: &mut std::process::Command) {
        command.env("HOME", self.folder.path()).env("INSTANCE_NATS__URL", self.server.url());
        command.env("INSTANCE_NATS__NKEY", self.folder.path().join(team).join(format!("{role}.nk")));
        command.env("INSTANCE_NATS__INBOX_PREFIX", format!("_INBOX_{role}"));
    }

    fn instance(&self, team: &str, role: &str, words: &[&str]) -> Ran {
        let mut instance = command("instance");
        self.known_as(team, role, &mut instance);
        let output = instance.args(words).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The operator of a team asks for it, and waits for the end.
    fn asks(&self, team: &str, wish: &Value) -> Ran {
        let file = self.folder.path().join(format!("{team}-wish.json"));
        fs::write(&file, wish.to_string()).unwrap();
        self.instance(
            team,
            "operator",
            &["orchestrate", "--command-file", file.to_str().unwrap(), "--wait", "--json"],
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_teams_on_one_server_meet_nowhere_and_are_watched_by_prefix() {
    let teams = Teams::new();
    let options = async_nats::ConnectOptions::with_user_and_password("centre".into(), "only-here".into());
    let centre = options.connect(teams.server.url()).await.unwrap();
    let mut seen = centre.subscribe(">").await.unwrap();
    centre.flush().await.unwrap();

    // Nobody serves this instance, so its router ends it refused.
    let east = wish::set_cpf("globals", "0,0,512,0,0,0", false);
    let id = wish::id_of(&east);
    let ran = teams.asks("EAST", &east);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_eq!(teams.instance("EAST", "operator", &["status", &id]).code, 0);
    let other = teams.instance("WEST", "operator", &["status", &id]);
    assert_eq!(other.code, 8, "WEST knows what EAST has asked for: {other:?}");

    // On one bus the same id with other bytes is refused as a lie about it.
    let mut west = wish::set_cpf("routines", "128", false);
    west["command_id"] = id.clone().into();
    let ran = teams.asks("WEST", &west);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(!ran.stdout.contains("equivocation"), "{ran:?}");

    let mut ends = Vec::new();
    while ends.len() < 2 {
        let message = tokio::time::timeout(PATIENCE, seen.next()).await.expect("both ends are told").unwrap();
        let subject = message.subject.to_string();
        assert_eq!(subject.rsplit('.').next(), Some("ended"), "only what is exported comes over: {subject}");
        ends.push(subject.split_once(".instance.v1.remediation.").expect("a prefix").0.to_owned());
    }
    assert_eq!(ends, ["east", "west"]);
}
