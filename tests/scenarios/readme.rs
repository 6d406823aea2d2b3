//! The commands that the README shows are run, as they stand there.

use std::{env, fs, path::PathBuf, process::Command};

use crate::pipeline::{program, source_tree};

/// What stands in the line before a block whose commands are to be run.
const MARK: &str = "<!-- tested -->";

#[test]
fn the_commands_of_the_readme_work() {
    let path = source_tree().join("README.md");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let commands: Vec<String> = tested_blocks(&text).flat_map(commands_of).collect();
    assert!(!commands.is_empty(), "no block of README.md is marked {MARK}");
    let folder = tempfile::tempdir().unwrap();
    // What the README names lies beside it.
    for name in ["examples", "deploy"] {
        std::os::unix::fs::symlink(source_tree().join(name), folder.path().join(name)).unwrap();
    }
    let programs: PathBuf = program("instance").parent().unwrap().to_owned();
    let search = format!("{}:{}", programs.display(), env::var("PATH").unwrap());
    for line in commands {
        // These build the tree and run it whole; `cargo xtask ci` runs them themselves.
        if line.starts_with("cargo xtask") {
            continue;
        }
        let ran =
            Command::new("sh").args(["-ec", &line]).env("PATH", &search).current_dir(folder.path()).output();
        let ran = ran.unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{line}\n{}{said}", String::from_utf8_lossy(&ran.stdout));
    }
}

/// The insides of fenced `sh` blocks that follow the mark.
fn tested_blocks(text: &str) -> impl Iterator<Item = &str> {
    text.split(MARK).skip(1).map(|after| {
        let block = after.trim_start().strip_prefix("```sh\n").expect("a block of sh follows the mark");
        block.split_once("\n```").expect("the block ends").0
    })
}

/// One command a line; a backslash at the end goes on in the next, a comment is none.
fn commands_of(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.trim().trim_start_matches("$ ").to_owned());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}
