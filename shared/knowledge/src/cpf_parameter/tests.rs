use std::fmt::Write as _;

use expect_test::expect;

use super::{Activation, ParameterKind, load, parameter, parameters, parameters_of};

#[test]
fn every_built_in_row_is_good() {
    let rows = load::read("cpf_parameters.toml", include_str!("../../data/cpf_parameters.toml")).unwrap();
    assert!(rows.len() >= 200, "{}", rows.len());
    assert_eq!(rows.as_slice(), parameters());
}

#[test]
fn a_bad_row_is_refused_with_file_row_and_rule() {
    let mut refusals = String::new();
    for row in [
        "x = { type = \"integer\", min = 2, max = 1, restart = \"yes\", meaning = \"m\", source = \"s\" }",
        "x = { type = \"integer\", min = 1, restart = \"yes\", meaning = \"m\", source = \"s\" }",
        "x = { type = \"integer\", min = 0.5, max = 1, restart = \"yes\", meaning = \"m\", source = \"s\" }",
        "x = { type = \"boolean\", default = \"2\", restart = \"yes\", meaning = \"m\", source = \"s\" }",
        "x = { type = \"boolean\", restart = \"perhaps\", meaning = \"m\", source = \"s\" }",
        "x = { type = \"boolean\", restart = \"yes\", meaning = \"m\", source = \"\" }",
        "x = { type = \"colour\", restart = \"yes\", meaning = \"m\", source = \"s\" }",
        "x = { type = \"choice\", restart = \"yes\", meaning = \"m\", source = \"s\" }",
        "x = { type = \"boolean\", restart = \"yes\", meaning = \"m\", source = \"s\", note = \"n\" }",
    ] {
        let error = load::read("mine.toml", &format!("[config]\n{row}\n")).expect_err(row);
        writeln!(refusals, "{error}").unwrap();
    }
    expect![[r#"
        knowledge file "mine.toml", row "[config] x": the lowest legal value 2 is above the highest, 1
        knowledge file "mine.toml", row "[config] x": max is missing: type "integer" needs it
        knowledge file "mine.toml", row "[config] x": min 0.5 is not a whole number
        knowledge file "mine.toml", row "[config] x": the default: value "2" of [config] x must be 0 or 1
        knowledge file "mine.toml", row "[config] x": unknown variant `perhaps`, expected one of `yes`, `no`, `new`, `next`, `unknown` in `restart`
        knowledge file "mine.toml", row "[config] x": meaning and source must not be empty
        knowledge file "mine.toml", row "[config] x": type "colour" is unknown; known are integer, decimal, boolean, bits, integers, choice, choice-list, string, directory, file, alphanumeric, address, log-place
        knowledge file "mine.toml", row "[config] x": choices is missing: type "choice" needs it
        knowledge file "mine.toml", row "[config] x": unknown field `note`, expected one of `type`, `unit`, `min`, `max`, `ranges`, `counts`, `alone`, `choices`, `bits`, `max_length`, `default`, `special`, `required_non_empty`, `read_only`, `secret`, `since`, `until`, `restart`, `meaning`, `source`
    "#]].assert_eq(&refusals);
}

#[test]
fn values_are_held_against_type_and_range() {
    for (section, name, good, bad) in [
        (
            "config",
            "globals",
            &["0,0,0,0,0,0", "0,0,512,0,0,0", "0,0,16777216,1,2,3"][..],
            &[
                "512",
                "0,0,512,0,0",
                "0,0,512,0,0,0,0",
                "1,0,512,0,0,0",
                "0,0,-1,0,0,0",
                "0,0, 512,0,0,0",
                "0,0,0512,0,0,0",
                "0,0,16777217,0,0,0",
                "20000",
                "",
                "0,0,512MB,0,0,0",
            ][..],
        ),
        ("config", "routines", &["0", "64", "512", "0,0,64,0,64,64"], &["0,0", "-1", "1", "63", "a", ""]),
        (
            "config",
            "gmheap",
            &["0", "16384", "1073741760"],
            &["1", "16383", "1073741761", "-1", "016384", "16384.0"],
        ),
        ("config", "bbsiz", &["-1", "256", "2147483647"], &["0", "255", "-2", "2147483648"]),
        ("config", "locksiz", &["0", "65536"], &["1", "65535"]),
        ("config", "memlock", &["0", "1", "64", "73", "233"], &["2", "234", "-1", "4", "01"]),
        ("config", "history", &["500", "500,1024"], &["1001", "500,", "1,2,3"]),
        (
            "config",
            "wijdir",
            &["", "/wij/", "C:\\wij\\"],
            &["wij", "../wij", "/a/../b", "C:wij", "C:\\a\\..\\b"],
        ),
        (
            "config",
            "console",
            &[",", ",/var/log/messages.log", ",C:\\log\\messages.log"],
            &[
                "[x]",
                "#",
                ";x",
                "//x",
                "/*x",
                "/var/log/messages.log",
                ",/var/log/iris.log",
                ",messages.log",
                ",/a/../messages.log",
            ],
        ),
        (
            "Startup",
            "DefaultPortBindAddress",
            &["", "127.0.0.1", "::1"],
            &["localhost", "127.0.0", "1.2.3.4:1972", "0"],
        ),
        (
            "Journal",
            "JournalFilePrefix",
            &["", "PROD2", &"a".repeat(64)],
            &["a.b", "../x", "a/b", "a b", &"a".repeat(65)],
        ),
        ("config", "zfheap", &["0,0", "32767,270336"], &["0", "32768,0", "0,0,0"]),
        ("Startup", "WebServer", &["0", "1"], &["", "2", "true", "yes", " 1", "1 "]),
        ("Startup", "DBSizesAllowed", &["8192", "8192,65536"], &["", "4096", "8192,8192", "8192,"]),
        ("Startup", "DefaultPort", &["1", "1972", "65535"], &["0", "65536", "", "01972"]),
        ("Startup", "WebServerProtocol", &["http", "https"], &["HTTP", "ftp", ""]),
        (
            "Startup",
            "SystemMode",
            &["", "LIVE"],
            &["x".repeat(33).leak() as &str, "a\u{85}b", "a\u{2028}b", "a\tb"],
        ),
        (
            "Logging",
            "Interval",
            &["0.01", "10", "3600", "0.5"],
            &["0", "3601", "1e1", ".5", "5.", "-1", "nan", "inf"],
        ),
        ("Telnet", "DNSLookup", &["ON", "OFF"], &["on", "1"]),
        ("SQL", "IdTrxFrom", &["~ `!@#$%^&*()_+-=[]\\{}|;':\",./<>?"], &["a\nb", "a\0b", "a\rb"]),
    ] {
        let row = parameter(section, name).unwrap_or_else(|| panic!("[{section}] {name}"));
        for value in good {
            assert_eq!(row.check(value), Ok(()), "[{section}] {name}={value}");
        }
        for value in bad {
            assert!(row.check(value).is_err(), "[{section}] {name}={value:?} was taken");
        }
    }
}

#[test]
fn a_refusal_names_parameter_value_rule_and_range() {
    let mut refusals = String::new();
    for (section, name, value) in [
        ("config", "globals", "20000"),
        ("config", "gmheap", "1"),
        ("config", "memlock", "2"),
        ("Startup", "WebServer", ""),
        ("Startup", "DBSizesAllowed", "4096"),
        ("Startup", "SystemMode", "a\nb"),
        ("Startup", "PasswordHash", "a\nb"),
        ("Journal", "CurrentDirectory", "journal"),
        ("Logging", "Interval", "0"),
        ("config", "routines", " 5"),
    ] {
        let fault = parameter(section, name).unwrap().check(value).unwrap_err();
        writeln!(refusals, "{fault}").unwrap();
    }
    let version = parameter("ConfigFile", "Version").unwrap();
    assert_eq!(version.check("2024.2"), Ok(()));
    refusals.push_str(&version.check_change("2025.2").unwrap_err().to_string());
    expect![[r#"
        value "20000" of [config] globals must be 6 whole numbers separated by commas, from 0 to 0, 0 to 0, 0 to 16777216, 0 to 16777216, 0 to 16777216, 0 to 16777216 (MB)
        value "1" of [config] gmheap must be a whole number from 16384 to 1073741760 (KB), or 0
        value "2" of [config] memlock must be a sum of 1, 8, 32, 64, 128
        value "" of [Startup] WebServer must not be empty: IRIS refuses to start then
        value "4096" of [Startup] DBSizesAllowed must be one or more of 8192, 16384, 32768, 65536, separated by commas, none twice
        value "a\nb" of [Startup] SystemMode must not hold the control character \u{a}
        value "(hidden)" of [Startup] PasswordHash must not hold the control character \u{a}
        value "journal" of [Journal] CurrentDirectory must be empty or an absolute directory without "..", of at most 1024 characters
        value "0" of [Logging] Interval must be a number from 0.01 to 3600 (s)
        value " 5" of [config] routines must not begin or end with a blank
        value "2025.2" of [ConfigFile] Version must not be changed: only IRIS writes this parameter"#]].assert_eq(&refusals);
}

#[test]
fn no_line_end_passes_any_parameter() {
    for row in parameters() {
        let start = row.default.as_deref().unwrap_or("0");
        for mark in ['\n', '\r', '\0', '\u{85}', '\u{2028}', '\u{2029}', '\u{1b}'] {
            assert!(row.check(&format!("{start}{mark}")).is_err(), "{} {mark:?}", row.label());
            assert!(row.check(&format!("{start}{mark}[Actions]")).is_err(), "{} {mark:?}", row.label());
        }
    }
}

#[test]
fn names_are_exact_and_the_wrong_section_is_no_answer() {
    assert!(parameter("config", "globals").is_some());
    for (section, name) in
        [("Config", "globals"), ("config", "Globals"), ("Startup", "globals"), ("config", "")]
    {
        assert!(parameter(section, name).is_none(), "[{section}] {name}");
    }
    let names: Vec<_> = parameters_of("ECP").map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["ClientReconnectDuration", "ClientReconnectInterval", "ServerTroubleDuration"]);
}

#[test]
fn what_nobody_knows_counts_as_a_restart() {
    let needs = |section, name| parameter(section, name).unwrap().needs_restart();
    assert!(needs("config", "globals"));
    assert!(needs("Journal", "CompressFiles"));
    assert!(!needs("config", "locksiz"));
    assert!(!needs("config", "bbsiz"));
    assert!(!needs("Startup", "EnsembleAutoStart"));
    for row in parameters() {
        let unknown = row.activation == Activation::Unknown;
        assert!(!unknown || row.needs_restart(), "{}", row.label());
        assert!(!row.restart_reason().is_empty());
    }
}

#[test]
fn releases_decide_which_parameters_a_file_holds() {
    let held = |section, name, version| parameter(section, name).unwrap().is_held_by(version);
    assert!(held("SQL", "DBMSSecurity", "2024.2") && !held("SQL", "DBMSSecurity", "2025.2"));
    assert!(!held("Logging", "EventFilter", "2024.2") && held("Logging", "EventFilter", "2025.1"));
    assert!(held("config", "globals", "2020.15") && held("config", "globals", "2026.1"));
    assert!(held("Logging", "EventFilter", "unreadable"));
}

#[test]
fn secrets_and_what_iris_alone_writes_are_marked() {
    let marked = |of: fn(&super::Parameter) -> bool| -> Vec<String> {
        parameters().iter().filter(|row| of(row)).map(super::Parameter::label).collect()
    };
    assert_eq!(marked(|row| row.secret), ["[Startup] PasswordHash"]);
    assert_eq!(
        marked(|row| row.read_only),
        [
            "[ConfigFile] Product",
            "[ConfigFile] Version",
            "[Conversions] LastConvertTime",
            "[config] overview"
        ]
    );
    assert!(matches!(parameter("config", "globals").unwrap().kind, ParameterKind::Integers { .. }));
}
