//! Systems that do not speak NATS: commands come in through a folder, messages go out into one.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use instance_bus::{Durability, StartAt};
use instance_contract::{ErrorType, IrisMessage, Severity};
use instance_testkit::{NatsServer, eventually};
use serde_json::{Value, json};

use crate::pipeline::{self, Ran, source_tree};

/// Nothing waits for it but a test that hangs.
const PATIENCE: Duration = Duration::from_mins(2);

fn instance(server: &NatsServer, words: &[&str]) -> Ran {
    let url = server.url();
    let output = pipeline::command("instance").args(["--nats", &url]).args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_in_a_folder_are_taken_once_and_bad_ones_told_why() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().to_str().unwrap();
    let good = fs::read(source_tree().join("examples/os.json")).unwrap();
    fs::write(folder.path().join("1-good.json"), &good).unwrap();
    fs::copy(source_tree().join("examples/refused/cycle.json"), folder.path().join("2-bad.json")).unwrap();

    let words = ["consume", "--source", inbox, "--once", "--json"];
    let ran = instance(&server, &words);
    let told: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((ran.code, told.len()), (3, 2), "{ran:?}");
    assert_eq!((&told[0]["outcome"], &told[1]["outcome"]), (&json!("taken"), &json!("refused")));
    assert!(told[1]["faults"].as_str().unwrap().starts_with("steps"), "{told:?}");
    let letters = bus.dead_letters().await.unwrap();
    assert!(letters.len() == 1 && letters[0].reason.starts_with("refused: steps"), "{letters:?}");
    assert!(folder.path().join("taken/1-good.json").exists());
    assert!(folder.path().join("refused/2-bad.json.reason").exists());

    // Nothing is found twice; and the same bytes under another name are stored once.
    assert_eq!(instance(&server, &words).stdout, "");
    fs::write(folder.path().join("3-again.json"), &good).unwrap();
    assert_eq!(instance(&server, &words).code, 0);
    assert_eq!(stored_commands(&bus).await, [good]);
}

/// Every command that the bus holds; there is one.
async fn stored_commands(bus: &instance_bus::Bus) -> Vec<Vec<u8>> {
    let newest = bus.last_in("INSTANCE_COMMANDS", "instance.v1.command.*.*").await.unwrap().unwrap();
    assert_eq!(newest.sequence, 1, "so many commands were stored");
    vec![newest.payload.to_vec()]
}

/// Answers every GET with the same body, for as long as the process of the test lives; the first so many with 500.
fn serving_after(failures: usize, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/commands", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (asked_before, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let asked: Vec<String> = BufReader::new(&stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let is_get = asked.first().is_some_and(|line| line.starts_with("GET /commands "));
            let fails = asked_before < failures;
            let (status, body) = match is_get {
                true if fails => (500, ""),
                true => (200, body.as_str()),
                false => (405, ""),
            };
            let length = body.len();
            let mut stream = stream;
            // Who hangs up asks again.
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    url
}

fn serving(body: String) -> String {
    serving_after(0, body)
}

/// `instance consume` without `--once`; ended when it is dropped.
struct Consuming {
    child: Child,
    said: PathBuf,
}

impl Consuming {
    fn start(server: &NatsServer, folder: &Path, words: &[&str]) -> Self {
        let said = folder.join("said");
        let file = fs::File::create(&said).unwrap();
        let mut command = pipeline::command("instance");
        command.args(["--nats", &server.url(), "consume"]).args(words);
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Self { child, said }
    }

    async fn says(&self, text: &str) {
        let said =
            || std::future::ready(fs::read_to_string(&self.said).unwrap().contains(text).then_some(()));
        eventually(PATIENCE, said).await;
    }

    /// As a person ends it.
    async fn interrupt(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
        eventually(PATIENCE, || std::future::ready(self.child.try_wait().unwrap())).await.code()
    }
}

impl Drop for Consuming {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_looked_at_again_after_an_error_until_somebody_ends_it() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let good = fs::read_to_string(source_tree().join("examples/os.json")).unwrap().trim().to_owned();
    let url = serving_after(2, good.clone());
    let words = ["--source", &url, "--interval", "100ms", "--state-dir", state.to_str().unwrap()];
    let consuming = Consuming::start(&server, folder.path(), &words);
    consuming.says("500").await;
    consuming.says("looking again").await;
    consuming.says("taken ").await;
    // Handed out at every look from now on, and taken once.
    assert_eq!(consuming.interrupt().await, Some(0));
    let said = fs::read_to_string(folder.path().join("said")).unwrap();
    assert_eq!((said.matches("looking again").count(), said.matches("taken ").count()), (2, 1), "{said}");
    assert_eq!(stored_commands(&bus).await, [good.into_bytes()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_into_a_folder_later_is_taken_by_a_later_look() {
    let server = NatsServer::start();
    let _bus = instance_testkit::bus(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    fs::create_dir(&inbox).unwrap();
    let good = fs::read(source_tree().join("examples/os.json")).unwrap();
    fs::write(inbox.join("1.json"), &good).unwrap();
    // By the default, every five seconds.
    let consuming = Consuming::start(&server, folder.path(), &["--source", inbox.to_str().unwrap()]);
    consuming.says("taken 1.json").await;
    fs::write(inbox.join("2.json"), &good).unwrap();
    consuming.says("taken 2.json").await;
    assert_eq!(consuming.interrupt().await, Some(0));
    assert!(inbox.join("taken/2.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_over_http_are_taken_once_though_they_are_handed_out_again() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let example = |path: &str| fs::read_to_string(source_tree().join("examples").join(path)).unwrap();
    let good = example("os.json").trim().to_owned();
    let url = serving(format!("[{good}, {}]", example("refused/cycle.json")));

    let words = ["consume", "--source", &url, "--once", "--json", "--state-dir", state];
    let ran = instance(&server, &words);
    let told: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((ran.code, told.len()), (3, 2), "{ran:?}");
    assert_eq!((&told[0]["outcome"], &told[1]["outcome"]), (&json!("taken"), &json!("refused")));
    let letters = bus.dead_letters().await.unwrap();
    assert!(letters.len() == 1 && letters[0].reason.starts_with("refused: steps"), "{letters:?}");

    // The source hands both out again; another process remembers them. One that has forgotten is told by the bus.
    let again = instance(&server, &words);
    assert_eq!((again.code, again.stdout.as_str()), (0, ""), "{again:?}");
    let forgetful = folder.path().join("other");
    let words = ["consume", "--source", &url, "--once", "--state-dir", forgetful.to_str().unwrap()];
    assert_eq!(instance(&server, &words).code, 3);
    assert_eq!(stored_commands(&bus).await, [good.into_bytes()]);

    // Nobody listens at port 9: it is said, and nothing is taken.
    let away = ["consume", "--source", "http://127.0.0.1:9/", "--once", "--state-dir", state];
    let away = instance(&server, &away);
    assert!(away.code != 0 && away.stderr.contains("127.0.0.1:9"), "{away:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invented_messages_are_published_once_however_often_a_seed_is_sent() {
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let words = [
        "generate",
        "--publish",
        "--category",
        "config",
        "--severity",
        "2-3",
        "--count",
        "10",
        "--seed",
        "9",
        "--instance",
        "MADE-UP",
        "--json",
    ];
    for _ in 0..2 {
        let ran = instance(&server, &words);
        let told: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((ran.code, &told["delivered"], &told["failed"]), (0, &json!(10), &json!(0)), "{ran:?}");
    }
    let printed = instance(&server, &words.map(|word| if word == "--publish" { "--quiet" } else { word }));
    let printed: Value = serde_json::from_str(&printed.stdout).unwrap();
    let mut stored = bus.errors(Durability::Ephemeral, StartAt::First).await.unwrap();
    let mut found = Vec::new();
    for _ in 0..10 {
        let delivery = tokio::time::timeout(Duration::from_mins(1), stored.next()).await.unwrap();
        let delivery = delivery.unwrap().unwrap();
        let message = IrisMessage::decode(delivery.payload()).unwrap();
        assert_eq!((message.error_type, message.instance.as_str()), (ErrorType::Config, "MADE-UP"));
        assert!(message.severity >= Severity::Severe, "{message:?}");
        found.push(serde_json::to_value(&message).unwrap());
        delivery.done().await.unwrap();
    }
    // Ten requests at a time overtake each other.
    let by_id = |messages: &mut Vec<Value>| messages.sort_by_key(|message| message["message_id"].to_string());
    let mut expected = printed["messages"].as_array().unwrap().clone();
    by_id(&mut found);
    by_id(&mut expected);
    assert_eq!(found, expected);
    let more = tokio::time::timeout(Duration::from_millis(500), stored.next()).await;
    assert!(more.is_err(), "the second sending was stored");
}

#[test]
fn invented_messages_go_into_a_folder_and_bad_wishes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let words =
        ["generate", "--category", "license", "--count", "7", "--seed", "5", "--to", out.to_str().unwrap()];
    let alone = |words: &[&str]| pipeline::command("instance").args(words).output().unwrap();
    assert!(alone(&words).status.success());
    // Sent again they are the same files.
    assert!(alone(&words).status.success());
    let files: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 7);
    for file in files {
        let message = IrisMessage::decode(&fs::read(file).unwrap()).unwrap();
        assert_eq!(message.error_type.as_str(), "license");
    }
    for (flag, value) in
        [("--count", "0"), ("--count", "101"), ("--severity", "3-2"), ("--category", "weather")]
    {
        let ran = alone(&["generate", flag, value]);
        let told = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2), "{told}");
        assert!(told.contains(flag) && told.contains(value) && ran.stdout.is_empty(), "{told}");
    }
}
