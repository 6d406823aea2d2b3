//! The generator as its own process, beside a real nats-server and a log that is written, rotated and cut.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod bursts; // Many entries on their way at once.
mod deliver;
mod model;
mod plain;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use instance_bus::{Bus, Deliveries, Durability, Headers, RequestError, StartAt};
use instance_contract::{IrisMessage, Origin, subject};
use instance_testkit::{NatsServer, bus, eventually};

use plain::Plain;

const PATIENCE: Duration = Duration::from_secs(30);

/// A host with one instance: a folder with its log, settings, and the generator's state.
struct Host {
    folder: tempfile::TempDir,
    number: u32,
    rotations: u32,
}

impl Host {
    fn new(server: &NatsServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let settings = format!(
            "host = \"db1.example\"\n[nats]\nurl = \"{}\"\n[generator]\nstate_dir = \"{at}/state\"\npoll_ms = 10\n\
             quiet_ms = 100\n[[generator.instances]]\nname = \"IRIS\"\nmessages_log = \"{at}/messages.log\"\n\
             time_zone = \"UTC\"\n",
            server.url()
        );
        fs::write(folder.path().join("generator.toml"), settings).unwrap();
        Self { folder, number: 0, rotations: 0 }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("messages.log")
    }

    fn write(&self, text: &str) {
        let mut log = OpenOptions::new().append(true).create(true).open(self.log()).unwrap();
        log.write_all(text.as_bytes()).unwrap();
    }

    /// Writes entries that are numbered on.
    fn write_entries(&mut self, count: u32) {
        for _ in 0..count {
            self.number += 1;
            let (number, milliseconds) = (self.number, self.number % 1000);
            self.write(&format!(
                "11/14/25-09:45:55:{milliseconds:03} (50745) 1 [Utility.Event] entry {number}\n"
            ));
        }
    }

    fn rotate(&mut self) {
        self.rotations += 1;
        let old = self.folder.path().join(format!("messages.old_20260926_{:04}", self.rotations));
        fs::rename(self.log(), old).unwrap();
    }

    fn lose_state(&self) {
        fs::remove_dir_all(self.folder.path().join("state")).unwrap();
    }

    fn generator(&self, flags: &[&str]) -> Generator {
        let mut command = Command::new(env!("CARGO_BIN_EXE_instance-generator"));
        command.arg("--config").arg(self.folder.path().join("generator.toml")).args(flags);
        command.env_remove("INSTANCE_PROFILE").stdin(Stdio::null()).stdout(Stdio::null());
        let said = fs::File::create(self.folder.path().join("said")).unwrap();
        Generator(command.stderr(said).spawn().unwrap())
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).unwrap_or_default()
    }
}

/// A running generator; dropping it kills it.
struct Generator(Child);

impl Generator {
    fn kill9(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn terminate(mut self) -> ExitStatus {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
        self.0.wait().unwrap()
    }

    async fn ended(&mut self) -> ExitStatus {
        eventually(PATIENCE, || {
            let status = self.0.try_wait().unwrap();
            async move { status }
        })
        .await
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Everything that the stream holds, in its order.
struct Stored(Deliveries);

impl Stored {
    async fn of(bus: &Bus) -> Self {
        Self(bus.errors(Durability::Ephemeral, StartAt::First).await.unwrap())
    }

    async fn next(&mut self) -> (IrisMessage, Headers, String) {
        let next = async {
            loop {
                // A reading that was cut off by a killed server goes on by itself.
                if let Ok(delivery) = self.0.next().await.unwrap() {
                    return delivery;
                }
            }
        };
        let delivery = tokio::time::timeout(PATIENCE, next).await.expect("a message within the deadline");
        let message = IrisMessage::decode(delivery.payload()).unwrap();
        let (headers, subject) = (delivery.headers().clone(), delivery.subject().to_owned());
        delivery.done().await.unwrap();
        (message, headers, subject)
    }

    /// The texts up to one that ends with `last`.
    async fn texts_until(&mut self, last: &str) -> Vec<String> {
        let mut texts = Vec::new();
        loop {
            let text = self.next().await.0.message_text.as_str().to_owned();
            let ends = text.ends_with(last);
            texts.push(text);
            if ends {
                return texts;
            }
        }
    }
}

fn numbered(numbers: impl Iterator<Item = u32>) -> Vec<String> {
    numbers.map(|number| format!("entry {number}")).collect()
}

#[tokio::test]
async fn an_entry_arrives_with_all_that_it_says() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let host = Host::new(&server);
    let generator = host.generator(&[]);
    host.write(
        "11/14/25-09:45:55:657 (4114424) 2 [Utility.Event] LMF Error: No valid license key. Local key file not found and \
         LicenseID not defined.\n",
    );
    let (message, headers, subject) = Stored::of(&bus).await.next().await;
    assert_eq!(subject, "instance.v1.error.db1=2Eexample.IRIS.severe");
    assert_eq!((message.origin, message.process_id), (Origin::Observed, Some(4_114_424)));
    assert_eq!(message.timestamp.as_deref(), Some("11/14/25-09:45:55:657"));
    assert_eq!(message.occurred_at.unwrap().to_string(), "2025-11-14T09:45:55.657Z");
    assert_eq!(message.category.as_deref(), Some("Utility.Event"));
    assert_eq!(message.error_type.as_str(), "license");
    assert_eq!(
        message.condition.as_ref().map(instance_contract::ConditionId::as_str),
        Some("license-key-missing")
    );
    assert!(headers.get("traceparent").unwrap().contains(message.trace_id.as_str()));
    assert_eq!(headers.get("Nats-Msg-Id"), Some(message.message_id.to_string().as_str()));
    assert_eq!(headers.get(instance_generator::OFFSET), Some("0"));
    let length = fs::metadata(host.log()).unwrap().len().to_string();
    assert_eq!(headers.get(instance_generator::END), Some(length.as_str()));
    assert_eq!(generator.terminate().code(), Some(0), "{}", host.said());
}

#[tokio::test]
async fn each_entry_is_stored_once_over_kills_rotations_and_lost_cursors() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let mut host = Host::new(&server);
    let mut stored = Stored::of(&bus).await;
    for round in 0..8 {
        let generator = host.generator(&[]);
        let before = host.number;
        host.write_entries(20);
        if round % 3 == 1 {
            host.rotate();
            host.write_entries(5);
        }
        // It dies somewhere in the middle of its work: after some of these messages, before the last.
        let reached = format!("entry {}", before + 2 + round * 2);
        stored.texts_until(&reached).await;
        host.write_entries(40);
        generator.kill9();
        if round % 2 == 1 {
            host.lose_state();
        }
    }
    let _generator = host.generator(&[]);
    host.write_entries(1);
    let last = format!("entry {}", host.number);
    Stored::of(&bus).await.texts_until(&last).await;
    let all = Stored::of(&bus).await.texts_until(&last).await;
    assert_eq!(all, numbered(1..=host.number));
}

#[tokio::test]
async fn a_lost_cursor_sends_nothing_again() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let mut host = Host::new(&server);
    // Sees every attempt, also those that the stream drops as repeated.
    let mut plain = Plain::connect(&server.url());
    plain.subscribe(subject::errors().as_str());
    host.write_entries(30);
    let generator = host.generator(&[]);
    Stored::of(&bus).await.texts_until("entry 30").await;
    assert_eq!(generator.terminate().code(), Some(0), "{}", host.said());

    // Somebody invents for this instance meanwhile, so that the newest message is none of ours.
    let mut inventing =
        host.generator(&["--set", "generator.emulated_instance=IRIS", "--set", "generator.invent.count=3"]);
    assert_eq!(inventing.ended().await.code(), Some(0), "{}", host.said());
    host.lose_state();
    let _generator = host.generator(&[]);
    host.write_entries(1);
    let mut attempts = Vec::new();
    while attempts.last().is_none_or(|text: &String| text != "entry 31") {
        let message = IrisMessage::decode(&plain.next()).unwrap();
        if message.origin == Origin::Observed {
            attempts.push(message.message_text.as_str().to_owned());
        }
    }
    assert_eq!(attempts, numbered(1..=31));
}

#[tokio::test]
async fn a_killed_bus_loses_nothing() {
    let mut server = NatsServer::start();
    let bus = bus(&server).await;
    let mut host = Host::new(&server);
    let _generator = host.generator(&[]);
    host.write_entries(10);
    Stored::of(&bus).await.texts_until("entry 10").await;
    server.kill9();
    host.write_entries(50);
    host.rotate();
    host.write_entries(10);
    server.restart();
    host.write_entries(10);
    eventually(PATIENCE, || async { bus.flush().await.ok() }).await;
    let all = Stored::of(&bus).await.texts_until("entry 80").await;
    assert_eq!(all, numbered(1..=80));
}

#[tokio::test]
async fn the_rest_of_an_entry_names_what_it_continues() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let host = Host::new(&server);
    let _generator = host.generator(&[]);
    let mut stored = Stored::of(&bus).await;
    host.write(
        "11/14/25-09:45:55:657 (7) 2 [Generic.Event] License limit exceeded 3 times since instance start.\n",
    );
    let (first, _, _) = stored.next().await;
    host.write("\tmore of it\n");
    let (rest, headers, _) = stored.next().await;
    assert_eq!(headers.get(instance_generator::CONTINUES), Some(first.message_id.to_string().as_str()));
    assert_eq!(
        (rest.severity, rest.process_id, &rest.timestamp),
        (first.severity, Some(7), &first.timestamp)
    );
    assert_eq!((rest.message_text.as_str(), rest.error_type), ("\tmore of it", first.error_type));
    assert_eq!((first.condition.is_some(), rest.condition), (true, None), "one event counts once");
    assert_ne!(rest.message_id, first.message_id);
}

#[tokio::test]
async fn a_plain_client_asks_for_messages() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let host = Host::new(&server);
    let _generator = host.generator(&[]);
    let endpoint = generate();
    let ask = |payload: &'static str| bus.request(&endpoint, payload.into(), PATIENCE);
    eventually(PATIENCE, || async { ask("").await.ok() }).await;

    let wanted = r#"{"error_category":"license","count":10,"severity_range":[1,2],"seed":7}"#;
    let first = ask(wanted).await.unwrap().payload;
    assert_eq!(first, ask(wanted).await.unwrap().payload, "same seed, same bytes");
    let answer: serde_json::Value = serde_json::from_slice(&first).unwrap();
    assert_eq!((&answer["schema"], &answer["seed"]), (&"instance.v1.generated".into(), &7.into()));
    for message in answer["messages"].as_array().unwrap() {
        let message = IrisMessage::decode(message.to_string().as_bytes()).unwrap();
        assert_eq!((message.error_type.as_str(), message.origin), ("license", Origin::Emulated));
    }
    let raw = ask(r#"{"count":100,"output_format":"raw"}"#).await.unwrap().payload;
    let raw: serde_json::Value = serde_json::from_slice(&raw).unwrap();
    assert_eq!(instance_iris::messages_log::parse(raw["raw"].as_str().unwrap().as_bytes()).len(), 100);

    let refused = ask(r#"{"count":101,"colour":"red"}"#).await.unwrap_err();
    let RequestError::Answered { error, .. } = refused else { panic!("{refused}") };
    assert_eq!(error.code, 400);
    for told in ["count = 101", "an integer from 1 to 100", "colour"] {
        assert!(error.text.contains(told), "{told} is missing in: {}", error.text);
    }
    let found = eventually(PATIENCE, || async {
        let found = bus.find_services(Some("generator"), Duration::from_millis(500)).await.unwrap();
        (!found.is_empty()).then_some(found)
    })
    .await;
    let endpoint = &found[0].endpoints[0];
    assert_eq!((endpoint.name.as_str(), endpoint.subject.as_str()), ("generate", generate().as_str()));
    assert!(endpoint.metadata["templates"].split(',').any(|name| name == "license-key-missing"));
}

#[tokio::test]
async fn what_is_asked_for_is_published_only_on_demand() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let host = Host::new(&server);
    let _generator = host.generator(&[]);
    eventually(PATIENCE, || async { bus.request(&generate(), "".into(), PATIENCE).await.ok() }).await;
    let mut plain = Plain::connect(&server.url());
    let answer = plain.ask(&generate(), "Instance-Publish: true", r#"{"count":2,"seed":9}"#);
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    let mut stored = Stored::of(&bus).await;
    for message in answer["messages"].as_array().unwrap() {
        let (found, _, subject) = stored.next().await;
        assert_eq!(&serde_json::to_value(&found).unwrap(), message);
        assert!(subject.contains(".EMULATED."), "{subject}");
    }
}

#[tokio::test]
async fn a_file_is_replayed_once_under_a_name() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let mut host = Host::new(&server);
    host.write_entries(25);
    let file = host.log();
    for _ in 0..2 {
        let file = format!("generator.replay={}", Path::new(&file).display());
        let flags = ["--set", &file, "--set", "generator.speed=0", "--set", "generator.run=monday"];
        let mut replaying = host.generator(&flags);
        assert_eq!(replaying.ended().await.code(), Some(0), "{}", host.said());
    }
    let flags =
        ["--set", "generator.invent.count=1", "--set", "generator.invent.template=license-domain-left"];
    assert_eq!(host.generator(&flags).ended().await.code(), Some(0), "{}", host.said());
    let mut texts = Stored::of(&bus).await.texts_until("License Domain").await;
    texts.pop();
    assert_eq!(texts, numbered(1..=25));
}

#[tokio::test]
async fn bad_settings_are_refused_before_anything_is_done() {
    let server = NatsServer::start();
    let host = Host::new(&server);
    for flag in ["generator.poll_ms=1", "generator.colour=red", "generator.speed=-1"] {
        let ended = host.generator(&["--set", flag]).ended().await;
        assert_eq!(ended.code(), Some(78), "{flag}: {}", host.said());
    }
}

fn generate() -> subject::Subject {
    subject::generate()
}
