use expect_test::expect;

use super::{Catalogue, FILES, condition, conditions};
use crate::condition::{Answer, Restart};
use crate::error_type::ErrorType;
use crate::facts::{FactValue, Facts};

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
    let mut catalogue = Catalogue { conditions: Vec::new(), ..Catalogue::builtin().clone() };
    let origins = catalogue.read(FILES, &["condition"]).unwrap();
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
fn each_wording_has_the_severities_and_categories_it_was_seen_with() {
    let matcher = Catalogue::with_extra([]).unwrap().into_matcher();
    let seen = |text: &str| {
        let (_, wording) = matcher.recognise(text).expect(text);
        (wording.severities.clone(), wording.categories.clone())
    };
    let (utility, generic) = (vec!["Utility.Event".to_owned()], vec!["Generic.Event".to_owned()]);
    for (text, severities, categories) in [
        ("WDSTOP set, system being forced", vec![3], &utility),
        ("Shutdown detected WDSTOP set", vec![1], &utility),
        ("<DATABASE> generating process dump with &savearr=0x7ffea1f4f0", vec![2], &generic),
        ("Full process dump requested (JobType=0)", vec![0], &generic),
        ("Kerberos authentication unavailable: x", vec![2], &generic),
        ("Failed to load dynamic library libkrb5.so: y", vec![1], &generic),
        ("ECPClientState Alert: ECP reports Clients state 6", vec![2], &utility),
        ("ECP client daemon/connection is hung", vec![3], &generic),
        ("/database/forms/ (Database is readonly)", vec![0], &utility),
        ("Sync of journal file failed", vec![2, 3], &generic),
    ] {
        assert_eq!(seen(text), (severities, categories.clone()), "{text}");
    }
    // The row knows what any of them was seen with.
    assert_eq!(condition("frozen-instance-forced-down").unwrap().severities, [1, 3]);
    assert_eq!(condition("ecp-trouble").unwrap().categories, ["Utility.Event", "Generic.Event"]);
    let own = ROW.replace(
        "class =",
        "other_wordings = [{ texts = [\"Smoke over disk\"], example = \"Smoke over disk 3\", severities = [7] }]\nclass =",
    );
    assert!(refusal(&own).contains("severities must be 0..=3, found 7"), "{}", refusal(&own));
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
        knowledge file "site.toml", row "disk-on-fire": unknown variant `fire`, expected one of `config`, `license`, `resource`, `journal`, `database`, `security`, `mirror`, `other` in `class`
        knowledge file "site.toml", row "disk-on-fire": severities must be 0..=3, found 4
        knowledge file "site.toml", row "disk-on-fire": categories are letters, digits, dots and underscores, found "[Site.Watch]"
        knowledge file "site.toml", row "disk-on-fire": cause must not be empty; write "unknown" where nobody knows
        knowledge file "site.toml", row "disk-on-fire": missing field `source`
        knowledge file "site.toml", row "disk-on-fire": unknown field `sauce`, expected one of `id`, `texts`, `example`, `other_wordings`, `class`, `severities`, `categories`, `place`, `wording_known`, `cause`, `gather`, `remedy`, `answer`, `cases`, `part_of`, `at_least`, `frequency`, `restart`, `must_not_restart`, `source`
        knowledge file "site.toml", row "disk-on-fire": a condition that must not be restarted is answered by a person
        knowledge file "site.toml", row "conditions": unknown table; known are condition, cpf_parameter, kernel_parameter
        knowledge file "site.toml", row "condition": must be written [[condition]]
        knowledge file "site.toml", row "disk-on-fire": the id is already taken by another row
        knowledge file "site.toml", row "disk-on-fire": the example "Disk 3 is on fire: JRNCREATE in jrnstart() Permission denied" is taken for "journal-create-denied"
        knowledge file "site.toml" is not valid TOML"#]].assert_eq(&refusals);
}

const CPF_ROW: &str = r#"
[[cpf_parameter]]
section = "config"
name = "newbufs"
type = "integer"
unit = "MB"
min = 8
max = 1024
special = ["0"]
default = "64"
since = "2026.1"
restart = "no"
meaning = "Buffers of a release that is newer than this catalogue."
source = "release notes 2026.1"
"#;
const KERNEL_ROW: &str = r#"
[[kernel_parameter]]
name = "vm.zone_reclaim_mode"
root = "proc"
ranges = ["0..=7"]
default = "0"
recommendation = "0 on hosts of databases."
persistent = true
dangerous = false
reboot_advised = false
source = "our own runbook"
"#;

#[test]
fn a_user_adds_parameters_of_the_cpf_and_of_the_kernel() {
    let files = [("cpf.toml", CPF_ROW), ("all.toml", &format!("{KERNEL_ROW}{ROW}"))];
    let catalogue = Catalogue::with_extra(files).unwrap();
    let more = |all: usize, built_in: usize| all - built_in;
    let builtin = Catalogue::builtin();
    assert_eq!(more(catalogue.parameters().len(), builtin.parameters().len()), 1);
    assert_eq!(more(catalogue.kernel_parameters().len(), builtin.kernel_parameters().len()), 1);
    assert_eq!(more(catalogue.conditions().len(), builtin.conditions().len()), 1);
    let row = catalogue.cpf.get("config", "newbufs").unwrap();
    assert!(row.check("512").is_ok() && row.check("0").is_ok() && row.check("2000").is_err());
    assert!(row.is_held_by("2026.1") && !row.is_held_by("2025.2") && !row.needs_restart());
    let kernel = catalogue.kernel_parameters().last().unwrap();
    assert_eq!((kernel.path.as_str(), kernel.check("8").is_err()), ("sys/vm/zone_reclaim_mode", true));
    assert!(catalogue.parameters().is_sorted_by_key(|row| (&row.section, &row.name)));
}

#[test]
fn a_bad_parameter_of_a_user_is_refused_with_field_value_and_rule() {
    let mut refusals = String::new();
    for (row, from, to) in [
        (CPF_ROW, "section = \"config\"", ""),
        (CPF_ROW, "section = \"config\"", "section = 7"),
        (CPF_ROW, "section = \"config\"", "section = \"Devices\""),
        (CPF_ROW, "section = \"config\"", "section = \"Nonsense\""),
        (CPF_ROW, "\"newbufs\"", "\"a=b\""),
        (CPF_ROW, "\"newbufs\"", "\"globals\""),
        (CPF_ROW, "\"newbufs\"", "\"Globals\""),
        (CPF_ROW, "min = 8", "min = \"8\""),
        (CPF_ROW, "min = 8", ""),
        (CPF_ROW, "min = 8", "min = 2048"),
        (CPF_ROW, "default = \"64\"", "default = \"4\""),
        (CPF_ROW, "since = \"2026.1\"", ""),
        (CPF_ROW, "since = \"2026.1\"", "since = \"next\""),
        (CPF_ROW, "restart = \"no\"", "restart = \"maybe\""),
        (CPF_ROW, "meaning =", "meening ="),
        (KERNEL_ROW, "vm.zone_reclaim_mode", "vm..x"),
        (KERNEL_ROW, "vm.zone_reclaim_mode", "../x"),
        (KERNEL_ROW, "vm.zone_reclaim_mode", "vm.swappiness"),
        (KERNEL_ROW, "vm.zone_reclaim_mode", "kernel.core_pattern"),
        (KERNEL_ROW, "vm.zone_reclaim_mode", "net.core.somaxconn"),
        (KERNEL_ROW, "root = \"proc\"", "root = \"sys\""),
        (KERNEL_ROW, "root = \"proc\"", "root = \"process\""),
        (KERNEL_ROW, "root = \"proc\"", "root = \"proc\"\npath = \"sys/vm/swappiness\""),
        (KERNEL_ROW, "0..=7", "0-7"),
        (KERNEL_ROW, "default = \"0\"", "default = \"9\""),
        (KERNEL_ROW, "source = \"our own runbook\"", ""),
    ] {
        assert!(row.contains(from), "{from}");
        refusals.push_str(&refusal(&row.replacen(from, to, 1)));
        refusals.push('\n');
    }
    expect![[r#"
        knowledge file "site.toml", row "newbufs": missing field `section`
        knowledge file "site.toml", row "newbufs": section must be a text, found 7
        knowledge file "site.toml", row "[Devices] newbufs": section "Devices" is not one with fixed parameters
        knowledge file "site.toml", row "[Nonsense] newbufs": section "Nonsense" is not one with fixed parameters
        knowledge file "site.toml", row "[config] a=b": name "a=b" cannot stand before the = of a line
        knowledge file "site.toml", row "[config] globals": the parameter is already described by another row
        knowledge file "site.toml", row "[config] Globals": name "Globals" differs only in case from [config] globals
        knowledge file "site.toml", row "[config] newbufs": invalid type: string "8", expected f64 in `min`
        knowledge file "site.toml", row "[config] newbufs": min is missing: type "integer" needs it
        knowledge file "site.toml", row "[config] newbufs": the lowest legal value 2048 is above the highest, 1024
        knowledge file "site.toml", row "[config] newbufs": the default: value "4" of [config] newbufs must be a whole number from 8 to 1024 (MB), or 0
        knowledge file "site.toml", row "[config] newbufs": since must name the release from which on every CPF holds it, such as "2025.1": a CPF that lacks a parameter of its release does not start
        knowledge file "site.toml", row "[config] newbufs": since "next" is not a release such as 2025.1
        knowledge file "site.toml", row "[config] newbufs": unknown variant `maybe`, expected one of `yes`, `no`, `new`, `next`, `unknown` in `restart`
        knowledge file "site.toml", row "[config] newbufs": unknown field `meening`, expected one of `type`, `unit`, `min`, `max`, `ranges`, `counts`, `alone`, `choices`, `bits`, `max_length`, `default`, `special`, `required_non_empty`, `read_only`, `secret`, `since`, `until`, `restart`, `meaning`, `source`
        knowledge file "site.toml", row "vm..x": name must be words of letters, digits, _ and -, joined by dots
        knowledge file "site.toml", row "../x": name must be words of letters, digits, _ and -, joined by dots
        knowledge file "site.toml", row "vm.swappiness": the name is already taken by another row
        knowledge file "site.toml", row "kernel.core_pattern": the name is never allowed: The kernel runs the named program as full root.
        knowledge file "site.toml", row "net.core.somaxconn": the name is never allowed: The network is not ours; none is listed one by one.
        knowledge file "site.toml", row "vm.zone_reclaim_mode": root must be "proc" in a row of your own
        knowledge file "site.toml", row "vm.zone_reclaim_mode": path is missing: it does not follow from the name
        knowledge file "site.toml", row "vm.zone_reclaim_mode": path must be "sys/vm/zone_reclaim_mode"
        knowledge file "site.toml", row "vm.zone_reclaim_mode": ranges "0-7" is not a range low..=high
        knowledge file "site.toml", row "vm.zone_reclaim_mode": value "9" of vm.zone_reclaim_mode must be one whole number from 0 to 7
        knowledge file "site.toml", row "vm.zone_reclaim_mode": missing field `source`
    "#]].assert_eq(&refusals);
}

#[test]
fn facts_decide_whether_a_refused_file_matters() {
    let own = |state: &str, refused: Option<&str>| {
        let mut facts = Facts::default();
        let mut set = |name, value: &str| facts.set(name, FactValue::Text(value.to_owned())).unwrap();
        set("cpf.path", "/iris/iris.cpf");
        set("instance.state", state);
        if let Some(path) = refused {
            set("cpf.path-refused", path);
        }
        facts
    };
    // The faults that a start names before it says which file they stand in are judged as one with it.
    for id in ["cpf-parse-failed", "cpf-parameters-missing", "cpf-value-required"] {
        let row = condition(id).unwrap();
        let decided = |facts: &Facts| {
            let decided = row.decide(facts);
            (decided.answer, decided.after_seconds)
        };
        assert_eq!(decided(&own("down", Some("/iris/iris.cpf"))), (Answer::Person, 0), "{id}");
        assert_eq!(decided(&own("running", Some("/tmp/trial.cpf"))), (Answer::None, 0), "{id}");
        assert_eq!(decided(&own("down", Some("/tmp/trial.cpf"))), (Answer::Person, 60), "{id}");
        assert_eq!(decided(&own("down", None)), (Answer::Person, 5), "{id}");
        assert!(row.facts_needed().any(|name| name == "instance.state"), "{id}");
    }
}

#[test]
fn red_herrings_of_the_gravest_severity_need_nobody_and_their_like_do() {
    let decided = |id: &str, facts: &[(&str, FactValue)]| {
        let mut known = Facts::default();
        for (name, value) in facts {
            known.set(name, value.clone()).unwrap();
        }
        condition(id).unwrap().decide(&known).answer
    };
    let text = |text: &str| FactValue::Text(text.to_owned());
    assert_eq!(
        decided("certificate-expired", &[("certificate.days-expired", FactValue::Number(187))]),
        Answer::None
    );
    assert_eq!(
        decided("certificate-expired", &[("certificate.days-expired", FactValue::Number(1))]),
        Answer::Person
    );
    assert_eq!(decided("certificate-expired", &[]), Answer::Person);
    let well = [("instance.state", text("running")), ("instance.health", text("alert"))];
    assert_eq!(decided("process-crashed", &well), Answer::None);
    let hung = [("instance.state", text("running")), ("instance.health", text("hung"))];
    assert_eq!(decided("process-crashed", &hung), Answer::Person);
    assert_eq!(decided("process-crashed", &[]), Answer::Person);
}
