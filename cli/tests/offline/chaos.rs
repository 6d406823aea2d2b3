//! `instance chaos` where nothing is started: list, new, and what is refused.

use std::fs;

use crate::run::{Run, instance_with};

fn chaos(words: &[&str]) -> Run {
    let words: Vec<&dyn AsRef<std::ffi::OsStr>> = std::iter::once(&"chaos" as &dyn AsRef<std::ffi::OsStr>)
        .chain(words.iter().map(|word| word as _))
        .collect();
    instance_with(&words, b"", &[])
}

#[test]
fn the_list_shows_the_catalogue_row_and_the_right_answer_of_each() {
    let told = chaos(&["list"]);
    assert_eq!(told.code, 0);
    assert!(told.stdout.lines().count() > 30, "{}", told.stdout);
    let row = told.stdout.lines().find(|line| line.starts_with("globals-and-huge-pages ")).unwrap();
    assert!(
        row.contains("global-buffers-insufficient + huge-pages-too-few") && row.contains("remedy + remedy")
    );
    assert_eq!(chaos(&["list", "--json"]).stdout.lines().count(), told.stdout.lines().count() - 1);
}

#[test]
fn rows_of_the_catalogue_without_a_scenario_are_shown_with_their_reason() {
    let told = chaos(&["list", "--without"]);
    assert_eq!(told.code, 0);
    let row = told.stdout.lines().find(|line| line.starts_with("mirror-became-primary ")).unwrap();
    assert!(row.contains("it has no mirror"), "{row}");
    let seen = told.stdout.lines().find(|line| line.starts_with("frozen-instance-forced-down ")).unwrap();
    assert!(seen.contains("write-daemon-killed"), "{seen}");
    let lines = chaos(&["list", "--without", "--json"]).stdout;
    assert!(lines.lines().all(|line| line.contains("\"why\":")) && lines.lines().count() > 50, "{lines}");
}

#[test]
fn a_new_scenario_is_written_once_and_a_bad_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    assert_eq!(chaos(&["new", "mine", "--dir", dir]).code, 0);
    assert!(fs::read_to_string(folder.path().join("mine.toml")).unwrap().contains("[[truth]]"));
    let again = chaos(&["new", "mine", "--dir", dir]);
    assert!(again.code == 3 && again.stderr.contains("is there already"), "{again:?}");
    let bad = chaos(&["new", "../mine", "--dir", dir]);
    assert!(bad.code == 2 && bad.stderr.contains("lower-case letters"), "{bad:?}");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    chaos(&["new", "mine", "--dir", dir]);
    let file = folder.path().join("mine.toml");
    let good = fs::read_to_string(&file).unwrap();
    let path = file.to_str().unwrap();
    for (from, to, told) in [
        ("category = ", "colour = \"red\"\ncategory = ", "unknown field `colour`"),
        ("restart = true", "restart = false", "no accepted remedy can reach it"),
        ("cpf [config] globals", "cpf [config] golbals", "IRIS 2025.2 knows no cpf [config] golbals"),
    ] {
        fs::write(&file, good.replacen(from, to, 1)).unwrap();
        let ran = chaos(&["run", path, "--dir", dir]);
        assert!(ran.code == 78 && ran.stderr.contains(told), "{to}: {ran:?}");
    }
    for (words, code, told) in [
        (vec!["run", "nobody-knows-it"], 8, "no scenario \"nobody-knows-it\" is built in"),
        (vec!["run", "./nowhere.toml"], 8, "there is no file"),
        (vec!["run"], 2, "--all"),
        (vec!["run", "--all", "--label", "a/b"], 2, "a label is"),
        (vec!["assert", "--verdict", "verified", "--dir", dir], 8, "no finished run"),
        (vec!["replay", "./nowhere.recording.toml"], 8, "could not read"),
    ] {
        let ran = chaos(&words);
        assert!(ran.code == code && ran.stderr.contains(told), "{words:?}: {ran:?}");
    }
}
