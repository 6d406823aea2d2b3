use super::Matcher;
use crate::catalogue::{Catalogue, condition, conditions};
use crate::condition::Condition;
use crate::text::folded;

fn id_of(text: &str) -> Option<&'static str> {
    Matcher::builtin().classify(text).map(|condition| condition.id.as_str())
}

#[test]
fn every_row_answers_to_its_own_examples() {
    let mut wrong = Vec::new();
    for row in conditions() {
        for wording in &row.wordings {
            let doubled = wording.example.replace(' ', "  ").to_uppercase() + " \r\n";
            for text in [wording.example.clone(), doubled] {
                if id_of(&text) != Some(&row.id) {
                    wrong.push(format!("{}: {:?} is taken for {:?}", row.id, text, id_of(&text)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_parts_must_occur_in_order_without_overlap() {
    assert_eq!(id_of("Duplicate line detected, LINE:'globals=1' at line 3"), Some("cpf-duplicate-line"));
    assert_eq!(id_of("at line 3: LINE:'globals=1' Duplicate line detected"), None);
    assert_eq!(id_of("Duplicate line detected"), None);
    assert_eq!(id_of(""), None);
    assert_eq!(id_of("Enabling logons"), None);
}

#[test]
fn the_most_specific_row_wins() {
    // Both rows begin alike; the longer fixed text decides.
    let huge =
        "Failed to allocate 35060MB shared memory using Huge Pages.  Startup will retry with standard pages.";
    assert_eq!(id_of(huge), Some("huge-pages-too-few"));
    let refused = "Failed to allocate 35060MB shared memory: 32000MB global buffers, 512MB routine buffers.";
    assert_eq!(id_of(refused), Some("shared-memory-refused"));
    assert_eq!(id_of("Allocated 504MB shared memory using Huge Pages"), None);
    // A system error name inside another message says less than the message.
    assert_eq!(id_of("Suspending system due to <DATABASE> error"), Some("database-error-suspends-system"));
    assert_eq!(id_of("<DATABASE>Save+3^App.Order.1"), Some("application-database-error"));
}

#[test]
fn continuation_lines_decide_between_equal_heads() {
    let head = "INTERSYSTEMS IRIS JOURNALING SYSTEM MESSAGE";
    assert_eq!(id_of(head), None);
    assert_eq!(id_of(&format!("{head}\nJournaling started to: /j/1")), Some("journal-in-use"));
    let locked = format!("{head}\nFailed to lock alternate journal directory /j/");
    assert_eq!(id_of(&locked), Some("journal-directory-not-lockable"));
}

#[test]
fn damaged_repeats_are_known_by_their_tails() {
    let first = "dRO]  opening CPF file to get IRISTEMP and IRISLOCALDATA directories, using defaults...(repeated 1 times)";
    assert_eq!(id_of(first), Some("cpf-not-yet-there"));
    let second =
        "dRW] d to mount /a/ because its default collation (52) is not available...(repeated 1 times)";
    assert_eq!(id_of(second), Some("database-collation-missing"));
}

#[test]
fn the_automaton_answers_as_a_search_row_by_row_does() {
    // Texts made of parts of several rows, cut and joined at random: overlaps, repeats and wrong orders included.
    let parts: Vec<&str> = conditions()
        .iter()
        .flat_map(|row| &row.wordings)
        .flat_map(|wording| &wording.texts)
        .map(String::as_str)
        .collect();
    let mut state: usize = 0x2545_f491;
    let mut random = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut known = 0;
    for round in 0..1_000 {
        let mut text = String::new();
        for _ in 0..=random(8) {
            let start = random(parts.len());
            for part in parts.iter().skip(start).take(1 + random(3)) {
                text.push_str(part);
                text.push_str(["", " ", " x "][random(3)]);
            }
        }
        let expected = row_by_row(&text).map(|row| row.id.as_str());
        known += usize::from(expected.is_some());
        assert_eq!(id_of(&text), expected, "round {round}: {text}");
    }
    assert!(known > 250, "only {known} texts meant anything");
}

/// What [`Matcher::classify`] promises, in the simplest words.
fn row_by_row(text: &str) -> Option<&'static Condition> {
    let text = folded(text);
    let mut best: Option<(usize, &Condition)> = None;
    for row in conditions() {
        for wording in &row.wordings {
            let mut rest = text.as_str();
            let occurs = wording.texts.iter().all(|part| match rest.split_once(&folded(part)) {
                Some((_, after)) => {
                    rest = after;
                    true
                }
                None => false,
            });
            let fixed: usize = wording.texts.iter().map(|part| folded(part).len()).sum();
            if occurs && best.is_none_or(|(longest, _)| fixed > longest) {
                best = Some((fixed, row));
            }
        }
    }
    best.map(|(_, row)| row)
}

#[test]
fn a_text_of_a_megabyte_is_read_once() {
    // Row by row with going back, these beginnings would take hours.
    let text =
        "failed to allocate 1mb shared memory: ".repeat(40_000) + "daemon (pid 3) died. freezing system";
    assert_eq!(id_of(&text), Some("write-daemon-died"));
}

#[test]
fn a_matcher_over_other_rows_is_its_own() {
    let matcher = Matcher::new(Catalogue::builtin().clone());
    let found = matcher.classify("Journaling NOT started.").unwrap();
    assert_eq!(Some(found), condition("journal-not-started"));
}
