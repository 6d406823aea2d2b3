//! What a CPF as IRIS writes it says, how edits look in it, and what is refused.

use expect_test::{Expect, expect};
use instance_iris::cpf::{Document, EditError, InvalidText, check, diff, merge};

const CPF: &[u8] = include_bytes!("fixtures/iris.cpf");
const MERGE: &[u8] = include_bytes!("fixtures/merge.cpf");

#[test]
fn values_are_read_as_they_stand() {
    let document = Document::parse(CPF);
    assert_eq!(document.to_bytes(), CPF);
    assert_eq!(document.version(), Some("2025.2"));
    let sections: Vec<&str> = document.sections().collect();
    assert_eq!(sections[..5], ["ConfigFile", "Databases", "Namespaces", "Map.%ALL", "Journal"]);
    assert_eq!(document.get("Map.%ALL", "Global_IRIS.Msg(\"Arial,Tahoma\")"), Some("ENSLIB"));
    assert_eq!(document.get("SQL", "IdTrxFrom"), Some("~ `!@#$%^&*()_+-=[]\\{}|;':\",./<>?"));
    assert_eq!(document.get("SqlSysDatatypes", "BINARY"), Some("%Library.Binary(MAXLEN=1)"));
    assert_eq!(document.get("config", "LibPath"), Some(""));
    assert_eq!(document.get_all("config", "routines"), ["64"], "the commented one is none");
    assert_eq!(document.line_of("config", "globals"), Some(31));
    assert_eq!(document.get("config", "Globals"), None, "case counts");
    assert!(check(&document).is_empty());
}

#[test]
fn an_edit_keeps_what_is_around_the_value() {
    let mut document = Document::parse(CPF);
    let edited = document.set("config", "routines", "128").unwrap();
    assert_eq!((edited.line, edited.before.as_str(), edited.after.as_str()), (33, "64", "128"));
    let text = String::from_utf8(document.to_bytes()).unwrap();
    assert_eq!(text.lines().nth(32), Some("routines = 128  "));
    document.set("config", "routines", "64").unwrap();
    assert_eq!(document.to_bytes(), CPF);
}

#[test]
fn refusals_name_section_parameter_and_rule() {
    let mut document = Document::parse(b"[config]\nglobals=0,0,256,0,0,0\nx=1\nx=2\n");
    let mut check = |section: &str, name: &str, value: &str, expected: &str| {
        assert_eq!(document.set(section, name, value).unwrap_err().to_string(), expected);
    };
    check("Startup", "globals", "1", "could not edit CPF: no section \"Startup\"");
    check("Config", "globals", "1", "could not edit CPF: no section \"Config\"; did you mean \"config\"?");
    check(
        "config",
        "Globals",
        "1",
        "could not edit CPF: no parameter \"Globals\" in section \"config\"; did you mean \"globals\"?",
    );
    check("config", "gmheap", "1", "could not edit CPF: no parameter \"gmheap\" in section \"config\"");
    check("config", "x", "1", "could not edit CPF: parameter \"x\" of section \"config\" is on lines [3, 4]");
    check(
        "config",
        "globals",
        "1 ",
        "could not edit CPF: value of parameter \"globals\" of section \"config\" begins or ends with a blank",
    );
}

#[test]
fn nothing_that_ends_a_line_reaches_a_file() {
    for character in ['\n', '\r', '\0', '\t', '\u{1b}', '\u{7f}', '\u{85}', '\u{2028}', '\u{2029}'] {
        let mut document = Document::parse(CPF);
        let value = format!("1{character}2");
        let refused = document.set("config", "gmheap", &value).unwrap_err();
        let reason = InvalidText::Control(character);
        let (section, name) = ("config".to_owned(), "gmheap".to_owned());
        assert_eq!(refused, EditError::Value { section, name, reason });
        assert!(document.insert("Databases", "APP", &value).is_err());
        assert!(document.insert("Databases", &value, "/srv/app/").is_err());
        assert_eq!(document.to_bytes(), CPF);
    }
}

#[test]
fn a_list_grows_below_its_last_line_and_shrinks_again() {
    let mut document = Document::parse(CPF);
    assert_eq!(document.insert("Databases", "APP", "/srv/data/app/").unwrap().line, 9);
    assert_eq!(document.line_of("Databases", "APP"), Some(9));
    assert!(matches!(document.insert("Databases", "APP", "/other/"), Err(EditError::Exists { line: 9, .. })));
    assert!(matches!(document.insert("Databases", "# APP", "/other/"), Err(EditError::Name { .. })));
    assert!(matches!(document.insert("Databases", "A=B", "/other/"), Err(EditError::Name { .. })));
    assert!(matches!(document.remove("Databases", "APP", "/other/"), Err(EditError::OtherValue { .. })));
    assert!(matches!(document.remove("Databases", "X", "/x/"), Err(EditError::UnknownParameter { .. })));
    document.remove("Databases", "APP", "/srv/data/app/").unwrap();
    assert_eq!(document.to_bytes(), CPF);
}

#[test]
fn differences_do_not_count_blank_lines_or_order() {
    let a = Document::parse(b"[config]\nglobals=1\ngmheap=0\nroutines=64\n\n[Startup]\nDefaultPort=1972\n");
    let b = Document::parse(
        b"\n[Startup]\nDefaultPort=1972\n\n\n[config]\nroutines = 128\nglobals=1\nnlstab=50\n",
    );
    let shown: Vec<String> = diff(&a, &b)
        .iter()
        .map(|it| {
            format!(
                "{}/{} {:?}@{:?} -> {:?}@{:?}",
                it.section, it.name, it.before, it.line_before, it.after, it.line_after
            )
        })
        .collect();
    let expected = [
        "config/gmheap Some(\"0\")@Some(3) -> None@None",
        "config/routines Some(\"64\")@Some(4) -> Some(\"128\")@Some(7)",
        "config/nlstab None@None -> Some(\"50\")@Some(9)",
    ];
    assert_eq!(shown, expected);
    let repeated = Document::parse(b"[a]\nx=1\nx=2\nx=3\n");
    let fewer = Document::parse(b"[a]\nx=3\nx=1\n");
    assert_eq!(diff(&repeated, &fewer).len(), 1, "equal values are matched first");
}

fn check_faults(cpf: &[u8], expected: &Expect) {
    let faults = check(&Document::parse(cpf));
    let shown: Vec<String> =
        faults.iter().map(|fault| format!("{} {}: {}", fault.line, fault.rule, fault.text)).collect();
    expected.assert_eq(&shown.join("\n"));
}

#[test]
fn every_fault_of_shape_is_found() {
    check_faults(
        b"lost=1\n[config]\nglobals=1\r\nglobals=2\nwords\nbell=\x07\n[Actions]\nCreateX:Name=1\n[config]\n\xff=1\n/* open\n",
        &expect![[r#"
            0 missing_version: no Version in section "ConfigFile"
            1 outside_section: a parameter above the first section
            3 mixed_line_ends: this line ends in another way than the lines above
            4 duplicate_line: "globals" of section "config" is on line 3 already
            5 unreadable_line: neither a section, a comment nor "name=value"
            6 control_character: the line holds control character '\u{7}'
            7 actions_section: section "Actions" is for merge files only
            9 repeated_section: section "config" begins on line 2 already
            10 unreadable_line: neither a section, a comment nor "name=value"
            11 unclosed_comment: "/*" without "*/""#]],
    );
    check_faults(b"", &expect![[r#"0 missing_version: no Version in section "ConfigFile""#]]);
    check_faults(b"[ConfigFile]\nVersion=2025.2", &expect![""]);
}

#[test]
fn a_merge_file_changes_what_it_names() {
    let target = Document::parse(CPF);
    let wanted = Document::parse(MERGE);
    let (merged, differences) = merge(&target, &wanted).unwrap();
    let shown: Vec<String> = differences
        .iter()
        .map(|it| format!("{}/{}: {:?} -> {:?}", it.section, it.name, it.before, it.after))
        .collect();
    let expected = [
        "config/routines: Some(\"64\") -> Some(\"128\")",
        "Databases/APP: None -> Some(\"/srv/data/app/\")",
        "config/jrnbufs: None -> Some(\"64\")",
        "ECPServers/DATA1: None -> Some(\"10.0.0.6,1972\")",
    ];
    assert_eq!(shown, expected);
    assert!(merged.to_bytes().ends_with(b"\n\n[ECPServers]\nDATA1=10.0.0.6,1972\n"));
    let operations: Vec<_> = wanted.operations().map(|it| (it.line, it.name, it.arguments)).collect();
    assert_eq!(operations[0], (11, "CreateResource", "Name=%DB_APP,Description=\"App data\""));
    assert_eq!(operations.len(), 2);
}

#[test]
fn a_merge_that_is_not_clear_is_refused() {
    let target = Document::parse(CPF);
    for bad in ["routines=1\n", "[config]\nRoutines=1\n", "[SQL]\nidtrxto=x\n"] {
        assert!(merge(&target, &Document::parse(bad.as_bytes())).is_err(), "{bad}");
    }
}
