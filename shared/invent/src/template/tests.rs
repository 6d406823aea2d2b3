use std::collections::HashSet;

use instance_knowledge::{Matcher, Place};

use super::loosen::loosened;
use super::*;
use crate::dice::Dice;
use crate::line::Line;
use crate::message::Meaning;

fn filled(template: &Template, dice: &mut Dice) -> String {
    let mut out = Vec::new();
    let text_at = Line::of(template).write(dice, &mut out);
    assert_eq!(out.pop(), Some(b'\n'));
    String::from_utf8(out.split_off(text_at)).unwrap()
}

#[test]
fn every_template_means_what_it_says_whatever_fills_it() {
    let templates = Templates::builtin().unwrap();
    let mut dice = Dice::of(1);
    let mut names = HashSet::new();
    for template in templates.all() {
        assert!(names.insert(&template.name), "{} is there twice", template.name);
        for severity in &template.severities {
            for _ in 0..5 {
                let text = filled(template, &mut dice);
                let meaning = Meaning::of(&text, *severity, template.category.as_deref());
                assert_eq!(meaning.error_type, template.error_type, "{}: {text}", template.name);
            }
        }
    }
}

#[test]
fn nothing_is_invented_with_a_severity_or_category_that_its_wording_was_never_seen_with() {
    let templates = Templates::builtin().unwrap();
    let (mut dice, mut judged) = (Dice::of(1), 0);
    for template in templates.all() {
        let text = filled(template, &mut dice);
        let Some((row, wording)) = Matcher::builtin().recognise(&text) else { continue };
        judged += 1;
        for severity in &template.severities {
            assert!(wording.severities.contains(&severity.as_u8()), "{} {severity:?}: {text}", template.name);
        }
        let category = template.category.clone().unwrap_or_default();
        let is_seen = wording.categories.is_empty() || wording.categories.contains(&category);
        assert!(is_seen, "{} [{category}], {}: {text}", template.name, row.id);
    }
    let of_the_catalogue = instance_knowledge::conditions()
        .iter()
        .filter(|row| row.place == Place::MessagesLog)
        .flat_map(|row| &row.wordings)
        .filter(|wording| !wording.severities.is_empty())
        .count();
    assert!(judged >= of_the_catalogue && of_the_catalogue > 100, "{judged} of {of_the_catalogue}");
}

#[test]
fn numbers_vary_and_codes_do_not() {
    let loose = |text: &str| loosened(text, &[], |_| true).len() > 1;
    for text in [
        "process 4411 died",
        "after 301 seconds.",
        "usage 88%",
        "Failed to allocate 3580MB",
        "is not defined at line 15",
        "WebServer(2@Config.Startup,ID=)",
        "'/iris/iris.cpf_4411' to",
    ] {
        assert!(loose(text), "{text}");
    }
    for text in [
        "ERROR #5001: x",
        "version 2025.2",
        "(SFN 12) x",
        "caught signal 11.",
        "20251114.001",
        "wdpass=3",
        "#1 $ 3658 0",
    ] {
        assert!(!loose(text), "{text}");
    }
}

#[test]
fn a_log_teaches_each_wording_once_the_serious_first() {
    let mut templates = Templates::builtin().unwrap();
    let before = templates.all().len();
    let log = "11/14/25-09:45:55:657 (7) 2 [Utility.Event] LMF Error: frobnicated 300 units\n\
        11/14/25-09:45:56:657 (7) 2 [Utility.Event] LMF Error: frobnicated 471 units\n\
        11/14/25-09:45:56:658 (7) 0 [Utility.Event] all is well\n\
        11/14/25-09:45:57:657 (7) 3 [Generic.Event] frobnication of journal failed\n";
    let counts = templates.learn(log.as_bytes());
    let kinds = [(ErrorType::License, 1), (ErrorType::Journal, 1), (ErrorType::Other, 1)];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), kinds);
    let names: Vec<_> = templates.all()[before..].iter().map(|template| template.name.as_str()).collect();
    assert_eq!(names, ["learnt-license-1", "learnt-journal-2", "learnt-other-3"]);
    assert_eq!(templates.all()[before].pattern(), "LMF Error: frobnicated {300-471} units");
    assert!(templates.learn(log.as_bytes()).is_empty(), "nothing is learnt twice");
}

#[test]
fn numbers_within_words_are_learnt_as_numbers() {
    let line = |text: &str| format!("11/14/25-09:45:55:657 (7) 2 [Utility.Event] {text}\n");
    let log: String = [
        "Frobnicated 35060MB of the pool for the pid 7758, jobid 0x000101bf) and version 2025.2.0 of all of it",
        "Frobnicated 18758MB of the pool for the pid 7762, jobid 0x00010c09) and version 2025.3.0 of all of it",
    ]
    .map(line)
    .concat();
    let mut templates = Templates::builtin().unwrap();
    templates.learn(log.as_bytes());
    let learnt: Vec<String> =
        templates.all().iter().filter(|template| template.is_learnt()).map(Template::pattern).collect();
    assert_eq!(
        learnt,
        [
            "Frobnicated {18758-35060}MB of the pool for the pid {7758-7762}, jobid {0x000101bf)|0x00010c09)} and \
          version 2025.{2-3}.0 of all of it"
        ]
    );
}

#[test]
fn a_bad_file_is_told() {
    let file = |severities: &str, text: &str| {
        format!(
            "[slots]\n[numbers]\n[[template]]\nname = \"a\"\nerror_type = \"config\"\nseverities = {severities}\n\
             category = \"A.b\"\ntext = \"{text}\"\n"
        )
    };
    assert!(Templates::read(&file("[1]", "x")).is_ok());
    for (severities, text) in [("[4]", "x"), ("[]", "x"), ("[1]", "{nothing}")] {
        assert!(Templates::read(&file(severities, text)).is_err(), "{severities} {text}");
    }
}

#[test]
fn words_in_which_entries_differ_vary_and_other_sentences_stay_apart() {
    let line = |text: &str| format!("11/14/25-09:45:55:657 (7) 2 [Utility.Event] {text}\n");
    let log: String = [
        "Namespace USER is gone for process 4411",
        "Namespace ORDERS is gone for process 9120",
        "Namespace ORDERS is back for nobody at all",
    ]
    .map(line)
    .concat();
    let mut templates = Templates::builtin().unwrap();
    templates.learn(log.as_bytes());
    let learnt: Vec<String> =
        templates.all().iter().filter(|template| template.is_learnt()).map(Template::pattern).collect();
    assert_eq!(learnt.len(), 2, "{learnt:?}");
    assert_eq!(learnt[0], "Namespace {USER|ORDERS} is gone for process {4411-9120}");
}

/// Reads the logs of `/work/shared` where they are; elsewhere it looks at a log of its own making.
#[test]
fn fifty_to_a_hundred_examples_come_from_a_real_log() {
    let path = "/work/shared/reference/iris/samples/messages-rhel9-2025.2-part-even.log";
    let made = |number: u32| {
        let word: String = (0..6).map(|at| char::from(b'a' + ((number >> (at * 2)) % 4) as u8)).collect();
        format!("11/14/25-09:45:55:657 (7) 2 [Utility.Event] {word} {word} ends {word} with {word}\n")
    };
    let log = std::fs::read(path).unwrap_or_else(|_| (0..200).map(made).collect::<String>().into_bytes());
    let mut templates = Templates::builtin().unwrap();
    let counts = templates.learn(&log);
    assert!((50..=100).contains(&counts.values().sum::<usize>()), "{counts:?}");
    assert_eq!(templates.learnt(), counts.values().sum::<usize>());
    for template in templates.all().iter().filter(|template| template.is_learnt()) {
        for seed in 0..3 {
            let text = filled(template, &mut Dice::of(seed));
            let meaning = Meaning::of(&text, template.severities[0], template.category.as_deref());
            assert_eq!(meaning.error_type, template.error_type, "{}: {text}", template.pattern());
        }
    }
}
