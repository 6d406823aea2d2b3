//! What holds for every command.

use crate::run::{instance, instance_with};

#[test]
fn help_and_version_go_to_stdout_and_succeed() {
    for arguments in ["--help", "-h", "--version", "help"] {
        let run = instance(&[&arguments]).exits(0);
        assert!(run.stdout.contains("instance"), "{run:?}");
        assert_eq!(run.stderr, "");
    }
    let run = instance(&[&"cpf", &"set", &"--help"]).exits(0);
    assert!(run.stdout.contains("Examples:"), "{run:?}");
}

#[test]
fn what_makes_no_sense_is_usage_and_goes_to_stderr() {
    for arguments in
        [&["nonsense"][..], &["cpf", "get"], &["schema", "--all"], &["--timeout", "soon", "schema"], &[]]
    {
        let arguments: Vec<&dyn AsRef<std::ffi::OsStr>> =
            arguments.iter().map(|argument| argument as &dyn AsRef<std::ffi::OsStr>).collect();
        let run = instance(&arguments).exits(2);
        assert_eq!(run.stdout, "");
        assert!(!run.stderr.is_empty());
    }
}

#[test]
fn a_file_that_is_not_there_is_a_failure_that_names_it() {
    let run = instance(&[&"cpf", &"get", &"/no/such.cpf", &"config", &"globals"]).exits(1);
    assert!(run.stderr.contains("could not open \"/no/such.cpf\""), "{run:?}");
    assert_eq!(run.stdout, "");
}

#[test]
fn colour_is_used_when_forced_and_never_in_a_pipe() {
    let log = b"11/14/25-09:45:55:657 (50745) 2 [Utility.Event] bad\n";
    let arguments: &[&dyn AsRef<std::ffi::OsStr>] = &[&"log", &"parse", &"-"];
    let plain = instance_with(arguments, log, &[]).exits(0);
    assert!(!plain.stdout.contains('\u{1b}'), "{plain:?}");
    let forced = instance_with(arguments, log, &[("FORCE_COLOR", "1")]).exits(0);
    assert!(forced.stdout.contains("\u{1b}[1;31m"), "{forced:?}");
    let refused = instance_with(arguments, log, &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")]).exits(0);
    assert!(!refused.stdout.contains('\u{1b}'), "{refused:?}");
}

#[test]
fn every_shell_gets_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = instance(&[&"completions", &shell]).exits(0);
        assert!(run.stdout.contains("instance") && run.stdout.contains("validate"), "{shell}");
    }
}

#[test]
fn the_page_of_exit_codes_names_each_code_that_help_names() {
    let page = std::fs::read_to_string(crate::run::root().join("docs/exit-codes.md")).unwrap();
    let help = instance(&[&"--help"]).exits(0).stdout;
    let codes = help.split_once("Exit codes:").unwrap().1;
    for (code, word) in [
        (0, "done"),
        (1, "failure"),
        (2, "usage"),
        (3, "refused"),
        (4, "not verified"),
        (5, "undone"),
        (6, "timed out waiting"),
        (7, "bus unreachable"),
        (8, "not found"),
        (78, "bad configuration"),
    ] {
        assert!(codes.contains(&format!("{code} {word}")), "help lacks {code} {word}");
        assert!(page.contains(&format!("| {code} | {word} |")), "the page lacks {code} {word}");
    }
}
