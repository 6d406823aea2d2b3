//! Systems that do not speak NATS: commands come in through a folder, messages go out into one.

use std::fs;

use instance_contract::IrisMessage;
use instance_testkit::NatsServer;
use serde_json::{Value, json};

use crate::pipeline::{self, Ran, source_tree};

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
    let shards = bus.topology().await.unwrap().shards();
    let mut commands = 0;
    for shard in shards {
        let mut stored = bus.commands(shard).await.unwrap();
        while let Ok(Some(delivery)) =
            tokio::time::timeout(std::time::Duration::from_millis(500), stored.next()).await
        {
            assert_eq!(delivery.unwrap().payload().as_ref(), good.as_slice());
            commands += 1;
        }
    }
    assert_eq!(commands, 1);
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
