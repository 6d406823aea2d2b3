//! The page of the commonest mistakes says what is printed, word for word.

use std::{env, fs, process::Command};

use instance_testkit::NatsServer;

use crate::pipeline::{clean, program, source_tree};

#[test]
fn each_mistake_gets_the_message_that_the_page_shows() {
    // Nothing is set up on it.
    let server = NatsServer::start();
    let page = fs::read_to_string(source_tree().join("docs/ten-mistakes.md")).unwrap();
    let blocks: Vec<&str> =
        page.split("```console\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    assert_eq!(blocks.len(), 10, "the page promises ten");
    for block in blocks {
        let (line, shown) = block.split_once('\n').unwrap();
        let printed = printed(line.strip_prefix("$ ").unwrap(), &server.url());
        assert_eq!(printed, shown, "docs/ten-mistakes.md, at: {line}");
    }
}

/// What a shell shows: what was printed and what was said, then the exit code.
fn printed(line: &str, nats: &str) -> String {
    let programs = program("instance").parent().unwrap().to_owned();
    let mut shell = Command::new("sh");
    clean(&mut shell);
    shell
        .args(["-c", line])
        .current_dir(source_tree())
        .env("NATS_URL", nats)
        .env("XDG_CONFIG_HOME", "/nonexistent");
    shell.env("PATH", format!("{}:{}", programs.display(), env::var("PATH").unwrap()));
    let ran = shell.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    format!("{}{}exit {}\n", text(ran.stdout), text(ran.stderr), ran.status.code().unwrap())
}
