use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::*;

#[test]
fn every_template_means_what_it_says_whatever_fills_it() {
    let templates = Templates::builtin().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut names = HashSet::new();
    for template in templates.all() {
        assert!(names.insert(&template.name), "{} is there twice", template.name);
        for severity in &template.severities {
            for _ in 0..5 {
                let text = templates.fill(template, &mut rng);
                let meaning = Meaning::of(&text, *severity, template.category.as_deref());
                assert_eq!(meaning.error_type, template.error_type, "{}: {text}", template.name);
            }
        }
    }
}

#[test]
fn numbers_vary_and_codes_do_not() {
    let loose = |text: &str| loosened(text, |_| true).len() > 1;
    for text in ["process 4411 died", "after 301 seconds.", "usage 88%", "Failed to allocate 3580MB"] {
        assert!(loose(text), "{text}");
    }
    for text in
        ["ERROR #5001: x", "version 2025.2", "(SFN 12) x", "caught signal 11.", "20251114.001", "wdpass=3"]
    {
        assert!(!loose(text), "{text}");
    }
}

#[test]
fn a_log_teaches_each_wording_once_and_only_what_is_serious() {
    let mut templates = Templates::builtin().unwrap();
    let before = templates.all().len();
    let log = "11/14/25-09:45:55:657 (7) 2 [Utility.Event] LMF Error: frobnicated 300 units\n\
        11/14/25-09:45:56:657 (7) 2 [Utility.Event] LMF Error: frobnicated 471 units\n\
        11/14/25-09:45:56:658 (7) 0 [Utility.Event] all is well\n\
        11/14/25-09:45:57:657 (7) 3 [Generic.Event] frobnication of journal failed\n";
    let counts = templates.learn(log.as_bytes());
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(ErrorType::License, 1), (ErrorType::Journal, 1)]);
    let names: Vec<_> = templates.all()[before..].iter().map(|template| template.name.as_str()).collect();
    assert_eq!(names, ["learnt-license-1", "learnt-journal-2"]);
    assert!(templates.learn(log.as_bytes()).is_empty(), "nothing is learnt twice");
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
