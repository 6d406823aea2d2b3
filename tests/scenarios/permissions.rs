//! Each role of the bus can do what it must and nothing else, on a real server with the keys of `instance bus keys`; and who
//! asks for more is told so.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use instance_testkit::NatsServer;
use nkeys::KeyPair;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::pipeline::{Roles, command, source_tree};

/// `deploy/nats/permissions.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    publish: BTreeMap<String, Vec<String>>,
    subscribe: BTreeMap<String, Vec<String>>,
    nobody: Nobody,
    only: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nobody {
    publish: Vec<String>,
    subscribe: Vec<String>,
}

/// A server with a key for each role, and the bus laid out by the installer.
struct Guarded {
    server: NatsServer,
    roles: Roles,
    folder: tempfile::TempDir,
}

impl Guarded {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let roles = Roles::drawn(folder.path());
        Self { server: roles.server(), roles, folder }
    }

    /// The command `instance` as a role: exit code, and all that it said.
    fn instance(&self, role: &str, words: &[&str]) -> (i32, String) {
        let mut instance = command("instance");
        instance.env("HOME", self.folder.path()).env("INSTANCE_NATS__URL", self.server.url());
        self.roles.hand_to(&mut instance, role);
        let output = instance.args(words).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code().unwrap_or(-1), said)
    }

    fn client(&self, role: &str) -> Client {
        Client::connect(&self.server.url(), &self.roles.key(role))
    }
}

#[test]
fn each_role_can_do_what_it_must_and_nothing_else() {
    let table = fs::read_to_string(source_tree().join("deploy/nats/permissions.toml")).unwrap();
    let table: Table = toml::from_str(&table).unwrap();
    let guarded = Guarded::new();
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for role in &guarded.roles.names {
        let mut client = guarded.client(role);
        let must = table.publish.get(role);
        let must = must.unwrap_or_else(|| {
            panic!("deploy/nats/permissions.toml does not say what {role} must be able to do")
        });
        let before = tried;
        let mut judge = |what: &str, subject: &str, may: bool, refused: bool| {
            tried += 1;
            if may == refused {
                let told = if may { "may not" } else { "may" };
                wrong.push(format!("{role} {told} {what} {subject}"));
            }
        };
        for subject in must.iter().chain([&format!("_INBOX_{role}.a")]) {
            judge("publish", subject, true, client.refuses_publish(subject));
        }
        for subject in table.subscribe.get(role).into_iter().flatten().chain([&format!("_INBOX_{role}.>")]) {
            judge("subscribe to", subject, true, client.refuses_subscribe(subject));
        }
        for subject in &table.nobody.publish {
            judge("publish", subject, false, client.refuses_publish(subject));
        }
        let others = guarded
            .roles
            .names
            .iter()
            .filter(|other| *other != role)
            .map(|other| format!("_INBOX_{other}.>"));
        for subject in table.nobody.subscribe.iter().cloned().chain(others) {
            judge("subscribe to", &subject, false, client.refuses_subscribe(&subject));
        }
        for (subject, roles) in &table.only {
            judge("publish", subject, roles.contains(role), client.refuses_publish(subject));
        }
        println!("{role}: {} tried", tried - before);
    }
    println!("{tried} tried in all");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn who_asks_for_more_is_told_so_and_not_only_that_time_is_over() {
    let guarded = Guarded::new();
    let (code, said) = guarded.instance("asker", &["hosts"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("NATS refuses this") && said.contains("KV_INSTANCE_HOSTS"), "{said}");
    let (code, said) = guarded.instance("asker", &["doctor", "--json"]);
    assert_eq!(code, 1, "{said}");
    let told: Value = serde_json::from_str(&said).unwrap();
    let found =
        told["checks"].as_array().unwrap().iter().find(|check| check["name"] == "permissions").unwrap();
    assert!(
        found["outcome"] == "fail" && found["detail"].as_str().unwrap().contains("Permissions Violation"),
        "{found}"
    );
    let (code, said) = guarded.instance("operator", &["hosts"]);
    assert_eq!(code, 0, "{said}");
}

/// As much of the protocol as is needed to hear a refusal.
struct Client {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Client {
    fn connect(url: &str, key: &Path) -> Self {
        let stream = TcpStream::connect(url.strip_prefix("nats://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut client = Self { lines: BufReader::new(stream.try_clone().unwrap()), stream };
        let info: Value = serde_json::from_str(client.line().strip_prefix("INFO ").unwrap()).unwrap();
        let key = KeyPair::from_seed(fs::read_to_string(key).unwrap().trim()).unwrap();
        let signature = key.sign(info["nonce"].as_str().unwrap().as_bytes()).unwrap();
        let options = json!({
            "nkey": key.public_key(), "sig": BASE64_URL_SAFE_NO_PAD.encode(signature), "verbose": false,
            "pedantic": false, "headers": true,
        });
        client.send(&format!("CONNECT {options}\r\n"));
        let refused = client.errors();
        assert!(refused.is_empty(), "{refused:?}");
        client
    }

    fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).unwrap() > 0, "the server has closed the connection");
        line
    }

    /// Everything that the server has refused so far: it answers in order.
    fn errors(&mut self) -> Vec<String> {
        self.send("PING\r\n");
        let mut found = Vec::new();
        loop {
            let line = self.line();
            if line.starts_with("PONG") {
                return found;
            } else if line.starts_with("-ERR") {
                found.push(line.trim().to_owned());
            } else if line.starts_with("MSG") || line.starts_with("HMSG") {
                let length: usize = line.split_whitespace().last().unwrap().parse().unwrap();
                self.lines.read_exact(&mut vec![0; length + 2]).unwrap();
            }
        }
    }

    /// With a body that no API call understands: nothing is changed by what is allowed.
    fn refuses_publish(&mut self, subject: &str) -> bool {
        self.send(&format!("PUB {subject} 1\r\n?\r\n"));
        self.errors().iter().any(|error| error.contains("Permissions Violation for Publish"))
    }

    fn refuses_subscribe(&mut self, subject: &str) -> bool {
        self.send(&format!("SUB {subject} 1\r\n"));
        let refused =
            self.errors().iter().any(|error| error.contains("Permissions Violation for Subscription"));
        self.send("UNSUB 1\r\n");
        refused
    }
}
