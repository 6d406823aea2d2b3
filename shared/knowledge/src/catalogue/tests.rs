use expect_test::expect;

use super::{Catalogue, FILES, condition, conditions};
use crate::condition::{Answer, Restart};
use crate::error_type::ErrorType;

const ROW: &str = r#"
[[condition]]
id = "disk-on-fire"
texts = ["Disk", "is on fire"]
example = "Disk 3 is on fire"
class = "resource"
severities = [3]
categories = ["Site.Watch"]
cause = "Heat."
gather = ["smoke detector"]
remedy = "Leave the room."
answer = "person"
restart = "no"
source = "our own watch"
"#;

fn refusal(text: &str) -> String {
    Catalogue::with_extra([("site.toml", text)]).expect_err(text).to_string()
}

#[test]
fn every_built_in_row_is_good() {
    let mut catalogue = Catalogue { conditions: Vec::new() };
    let origins = catalogue.read(FILES).unwrap();
    assert_eq!((catalogue.conditions(), origins.len()), (conditions(), conditions().len()));
    assert!(conditions().len() >= 120, "{}", conditions().len());
    for class in ErrorType::ALL {
        assert!(conditions().iter().any(|row| row.class == class), "no condition of class {class}");
    }
}

#[test]
fn rows_that_nobody_answers_need_no_restart_before_anybody_looked() {
    for row in conditions().iter().filter(|row| row.answer == Answer::Remedy) {
        assert!(!row.must_not_restart, "{}", row.id);
    }
    for id in
        ["database-degradation", "mismatch-wij-present", "cpf-parse-failed", "encryption-key-not-activated"]
    {
        assert!(condition(id).unwrap().must_not_restart, "{id}");
    }
    assert_eq!(condition("force-failed").unwrap().restart, Restart::Host);
    assert_eq!(condition("nobody-knows-it"), None);
}

#[test]
fn a_condition_whose_wording_nobody_knows_is_a_row_that_nothing_is_taken_for() {
    let silent = conditions().iter().filter(|row| row.wordings.is_empty());
    let ids: Vec<&str> = silent.map(|row| row.id.as_str()).collect();
    assert_eq!(ids.len(), 5, "{ids:?}");
    assert!(!condition("mirror-arbiter-lost").unwrap().wording_known);
    let row = ROW.replace("texts = [\"Disk\", \"is on fire\"]\nexample = \"Disk 3 is on fire\"\n", "");
    assert!(refusal(&row).contains("texts must hold at least one part"), "{}", refusal(&row));
    let silent = row.replace("class =", "wording_known = false\nclass =");
    let matcher = Catalogue::with_extra([("site.toml", silent.as_str())]).unwrap().into_matcher();
    assert!(matcher.catalogue().condition("disk-on-fire").is_some());
    assert_eq!(matcher.classify("Disk 3 is on fire"), None);
}

#[test]
fn a_user_adds_rows_without_a_build() {
    let matcher = Catalogue::with_extra([("site.toml", ROW)]).unwrap().into_matcher();
    let found = matcher.classify("watch says: DISK  12\tis on fire").unwrap();
    assert_eq!((found.id.as_str(), found.class), ("disk-on-fire", ErrorType::Resource));
    // The rows compiled in go on answering.
    assert_eq!(matcher.classify("Journaling NOT  started.").unwrap().id, "journal-not-started");
    assert_eq!(matcher.catalogue().conditions().len(), conditions().len() + 1);
}

#[test]
fn a_bad_row_is_refused_with_file_row_and_rule() {
    let mut refusals = String::new();
    for (from, to) in [
        ("id = \"disk-on-fire\"", "id = \"Disk on fire\""),
        ("id = \"disk-on-fire\"", "id = \"journal-not-started\""),
        ("texts = [\"Disk\", \"is on fire\"]", "texts = []"),
        ("texts = [\"Disk\", \"is on fire\"]", "texts = [\"Disk\", \" \"]"),
        ("texts = [\"Disk\", \"is on fire\"]", "texts = [\"a\"]"),
        ("texts = [\"Disk\", \"is on fire\"]", "texts = [\"is on fire\", \"disk\"]"),
        (
            "texts = [\"Disk\", \"is on fire\"]\nexample = \"Disk 3 is on fire\"",
            "texts = [\"journaling  NOT started.\"]\nexample = \"Journaling not started.\"",
        ),
        ("class = \"resource\"", "class = \"fire\""),
        ("severities = [3]", "severities = [4]"),
        ("categories = [\"Site.Watch\"]", "categories = [\"[Site.Watch]\"]"),
        ("cause = \"Heat.\"", "cause = \"\""),
        ("source = \"our own watch\"", ""),
        ("source = \"our own watch\"", "source = \"x\"\nsauce = \"y\""),
        ("answer = \"person\"", "answer = \"remedy\"\nmust_not_restart = true"),
        ("[[condition]]", "[[conditions]]"),
        ("[[condition]]", "[condition]"),
    ] {
        assert!(ROW.contains(from), "{from}");
        refusals.push_str(&refusal(&ROW.replacen(from, to, 1)));
        refusals.push('\n');
    }
    refusals.push_str(&refusal(&format!("{ROW}{ROW}")));
    refusals.push('\n');
    let shadowed =
        ROW.replace("Disk 3 is on fire", "Disk 3 is on fire: JRNCREATE in jrnstart() Permission denied");
    refusals.push_str(&refusal(&shadowed));
    refusals.push('\n');
    refusals.push_str(&refusal("[[condition]\n"));
    expect![[r#"
        knowledge file "site.toml", row "Disk on fire": id must be lower-case words joined by hyphens, at most 64 bytes
        knowledge file "site.toml", row "journal-not-started": the id is already taken by another row
        knowledge file "site.toml", row "disk-on-fire": texts must hold at least one part, and no part may be blank
        knowledge file "site.toml", row "disk-on-fire": texts must hold at least one part, and no part may be blank
        knowledge file "site.toml", row "disk-on-fire": texts must hold a part of at least four characters
        knowledge file "site.toml", row "disk-on-fire": the texts ["is on fire", "disk"] do not occur in this order in the example
        knowledge file "site.toml", row "disk-on-fire": the texts ["journaling  NOT started."] are already those of another row
        knowledge file "site.toml", row "disk-on-fire": unknown variant `fire`, expected one of `config`, `license`, `resource`, `journal`, `database`, `security`, `mirror`, `other`
        knowledge file "site.toml", row "disk-on-fire": severities must be 0..=3, found 4
        knowledge file "site.toml", row "disk-on-fire": categories are letters, digits, dots and underscores, found "[Site.Watch]"
        knowledge file "site.toml", row "disk-on-fire": cause must not be empty; write "unknown" where nobody knows
        knowledge file "site.toml", row "disk-on-fire": missing field `source`
        knowledge file "site.toml", row "disk-on-fire": unknown field `sauce`, expected one of `id`, `texts`, `example`, `other_wordings`, `class`, `severities`, `categories`, `place`, `wording_known`, `cause`, `gather`, `remedy`, `answer`, `restart`, `must_not_restart`, `source`
        knowledge file "site.toml", row "disk-on-fire": a condition that must not be restarted is answered by a person
        knowledge file "site.toml", row "conditions": unknown table; known are condition
        knowledge file "site.toml", row "condition": must be written [[condition]]
        knowledge file "site.toml", row "disk-on-fire": the id is already taken by another row
        knowledge file "site.toml", row "disk-on-fire": the example "Disk 3 is on fire: JRNCREATE in jrnstart() Permission denied" is taken for "journal-create-denied"
        knowledge file "site.toml" is not valid TOML"#]].assert_eq(&refusals);
}
