use std::fmt::Write as _;

use expect_test::{Expect, expect};

use instance_contract::{Failure, SetCpf};
use instance_iris::cpf::Document;

use crate::{edit::edit, wanted::Wanted};

const CPF: &[u8] = b"[ConfigFile]\r\nProduct=IRIS\r\nVersion=2024.2\r\n\r\n[Databases]\r\n\
    USER=/usr/irissys/mgr/user/\r\n\r\n[Startup]\r\nPasswordHash=\r\n\r\n[config]\r\nMaxServers=2\r\nglobals=0,0,256,0,0,0\r\n\
    locksiz=0\r\nmystery=1";

fn check(section: &str, name: &str, value: &str, expected: Option<&str>, outcome: &Expect) {
    let wanted = SetCpf {
        cpf_section: section.to_owned(),
        parameter: name.to_owned(),
        new_value: value.to_owned(),
        current_value: expected.map(str::to_owned),
    };
    tell(CPF, &Wanted::from(&wanted), outcome);
}

/// The file holds it, and the catalogue does not: whatever the value, nobody can check it.
fn nobody_knows_mystery(value: &str) {
    check(
        "config",
        "mystery",
        value,
        None,
        &expect![[r"
            [config] mystery is in the file but not in the catalogue, so its value cannot be checked; allow_unknown in the command and allow_unknown_parameters in the policy of the router allow it (unknown_parameter); refused
        "]],
    );
}

fn tell(cpf: &[u8], wanted: &Wanted, outcome: &Expect) {
    let text = match edit(&Document::parse(cpf), wanted) {
        Ok(edit) => {
            let mut text = String::new();
            for one in &edit.touched {
                let side = |value: &Option<String>| value.clone().unwrap_or("(none)".to_owned());
                writeln!(text, "{}: {} -> {}", one.label(), side(&one.before), side(&one.after)).unwrap();
            }
            writeln!(text, "restart {}: {}", edit.felt.needs_restart, edit.felt.restart_reason).unwrap();
            text.extend(edit.felt.warnings.iter().map(|warning| format!("warning: {warning}\n")));
            text
        }
        Err(conflict) => format!("{}\n", Failure::from(conflict)),
    };
    outcome.assert_eq(&text);
}

#[test]
fn the_globals_are_grown() {
    check(
        "config",
        "globals",
        "0,0,512,0,0,0",
        Some("0,0,256,0,0,0"),
        &expect![[r"
            [config] globals: 0,0,256,0,0,0 -> 0,0,512,0,0,0
            restart true: takes effect only after a restart of the instance
        "]],
    );
    check(
        "config",
        "globals",
        "0,0,256,0,0,0",
        None,
        &expect![[r"
            [config] globals: 0,0,256,0,0,0 -> 0,0,256,0,0,0
            restart true: takes effect only after a restart of the instance
        "]],
    );
}

#[test]
fn what_is_only_written_to_the_file_says_so() {
    check(
        "config",
        "locksiz",
        "1048576",
        None,
        &expect![[r"
            [config] locksiz: 0 -> 1048576
            restart false: needs no restart, but a running instance is not told of what is written to its file
            warning: [config] locksiz is written to the file only: a running instance takes it up at its next start or by a CPF merge
        "]],
    );
    nobody_knows_mystery("2");
    check(
        "Databases",
        "USER",
        "/data/user/",
        None,
        &expect![[r"
            [Databases] USER: /usr/irissys/mgr/user/ -> /data/user/
            restart true: is an entry of a list: no source says that a running instance takes it up, so it counts from the next start
        "]],
    );
}

/// IRIS 2025.2 does not start on it (`Invalid parameter name 'DBMSSecurity'`).
#[test]
fn what_belongs_to_another_release_is_refused_even_where_the_file_holds_it() {
    let tell_of = |version: &str, section: &str, name: &str, value: &str, new: &str, outcome: &Expect| {
        let text = format!("[ConfigFile]\nVersion={version}\n[{section}]\n{name}={value}\n");
        let (cpf_section, parameter) = (section.to_owned(), name.to_owned());
        let set = SetCpf { cpf_section, parameter, new_value: new.to_owned(), current_value: None };
        tell(text.as_bytes(), &Wanted::from(&set), outcome);
    };
    tell_of(
        "2025.2",
        "SQL",
        "DBMSSecurity",
        "1",
        "0",
        &expect![[r"
            [SQL] DBMSSecurity is not a parameter of this CPF; it was removed after 2025.1, as far as files show, and this file is of version 2025.2; allow_unknown in the command and allow_unknown_parameters in the policy of the router allow it (unknown_parameter); refused
        "]],
    );
    tell_of(
        "2025.1",
        "SQL",
        "DBMSSecurity",
        "1",
        "0",
        &expect![[r"
            [SQL] DBMSSecurity: 1 -> 0
            restart true: is not documented to take effect without a restart, so one is assumed
        "]],
    );
    tell_of(
        "2024.2",
        "config",
        "history",
        "500",
        "32,1024",
        &expect![[r#"
            value "32,1024" of [config] history must be one number: a second one belongs to releases up to 2020.1, and this file is of version 2024.2 (invalid_value); refused
        "#]],
    );
}

#[test]
fn what_is_not_in_the_file_is_refused_with_what_was_meant() {
    check(
        "Startup",
        "globals",
        "20000",
        None,
        &expect![[r"
        [Startup] globals is not a parameter of this CPF; did you mean [config] globals? (unknown_parameter); refused
    "]],
    );
    check(
        "config",
        "Globals",
        "20000",
        None,
        &expect![[r"
        [config] Globals is not a parameter of this CPF; did you mean [config] globals? (unknown_parameter); refused
    "]],
    );
    check(
        "config",
        "frobnication",
        "1",
        None,
        &expect![[r"
        [config] frobnication is not a parameter of this CPF; names are matched as they are written, upper and lower case included (unknown_parameter); refused
    "]],
    );
    check(
        "Config",
        "frobnication",
        "1",
        None,
        &expect![[r"
        [Config] frobnication is not a parameter of this CPF; did you mean section [config]? (unknown_parameter); refused
    "]],
    );
    check(
        "config",
        "gmheap",
        "0",
        None,
        &expect![[r"
        [config] gmheap is not a parameter of this CPF; other versions of IRIS have it, this file is of version 2024.2 (unknown_parameter); refused
    "]],
    );
}

#[test]
fn what_is_not_ours_is_refused() {
    check(
        "ConfigFile",
        "Version",
        "2025.1",
        None,
        &expect![[r"
        [ConfigFile] Version must not be changed: it drives the conversion of the file at the start of IRIS (forbidden_parameter); refused
    "]],
    );
    check(
        "ConfigFile",
        "Product",
        "Cache",
        None,
        &expect![[r"
        [ConfigFile] Product must not be changed: it drives the conversion of the file at the start of IRIS (forbidden_parameter); refused
    "]],
    );
    check(
        "Startup",
        "PasswordHash",
        "x,y",
        None,
        &expect![[r"
        [Startup] PasswordHash must not be changed: it holds a secret, and a secret must not travel in a command (forbidden_parameter); refused
    "]],
    );
    check(
        "Actions",
        "CreateUser:Name",
        "x",
        None,
        &expect![[r"
        [Actions] CreateUser:Name must not be changed: the section belongs into merge files only (forbidden_parameter); refused
    "]],
    );
}

#[test]
fn a_value_that_iris_would_not_take_is_refused() {
    check(
        "config",
        "globals",
        "20000",
        None,
        &expect![[r#"
        value "20000" of [config] globals must be 6 whole numbers separated by commas, from 0 to 0, 0 to 0, 0 to 16777216, 0 to 16777216, 0 to 16777216, 0 to 16777216 (MB) (invalid_value); refused
    "#]],
    );
    check(
        "config",
        "MaxServers",
        "255",
        None,
        &expect![[r#"
        value "255" of [config] MaxServers must be a whole number from 0 to 254 (invalid_value); refused
    "#]],
    );
    check(
        "config",
        "MaxServers",
        "",
        None,
        &expect![[r#"
        value "" of [config] MaxServers must be a whole number from 0 to 254 (invalid_value); refused
    "#]],
    );
    nobody_knows_mystery("1\n[Actions]");
    nobody_knows_mystery("1\0");
    check(
        "config",
        "globals",
        "0,0,1,0,0,0\r\nx=1",
        None,
        &expect![[r#"
        value "0,0,1,0,0,0\r\nx=1" of [config] globals must not hold the control character \u{d} (invalid_value); refused
    "#]],
    );
}

#[test]
fn a_drifted_value_is_refused_with_both() {
    check(
        "config",
        "globals",
        "0,0,512,0,0,0",
        Some("0,0,128,0,0,0"),
        &expect![[r#"
        [config] globals is "0,0,256,0,0,0", the command expects "0,0,128,0,0,0" (current_value_differs); refused
    "#]],
    );
}
