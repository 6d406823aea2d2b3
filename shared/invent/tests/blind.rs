//! Blind cases (F-011): 50 invented texts of each kind of trouble, judged by somebody who sees the text, its severity and its category
//! alone. A judge with the catalogue has its rows; a judge without it has words only, and has seen none of the texts before.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use instance_contract::{ErrorType, GenerationRequest};
use instance_invent::{Invented, Meaning, Templates, invent};
use instance_knowledge::guess_error_type;

const CASES: u32 = 50;
/// Of a hundred.
const LEAST: usize = 90;
/// Of a hundred, over all kinds, where no row may help.
const LEAST_BY_WORDS: usize = 80;
/// Of the cases of each kind.
const LEAST_DIFFERENT: usize = 10;
const SEED: u64 = 20_261_122;

const KINDS: [ErrorType; 8] = [
    ErrorType::Config,
    ErrorType::License,
    ErrorType::Resource,
    ErrorType::Journal,
    ErrorType::Database,
    ErrorType::Security,
    ErrorType::Mirror,
    ErrorType::Other,
];

fn texts(kind: ErrorType) -> Vec<Invented> {
    let request =
        GenerationRequest { error_category: Some(kind), count: CASES, ..GenerationRequest::default() };
    let start = jiff::civil::date(2026, 9, 1).at(0, 0, 0, 0);
    invent(&request, &Templates::builtin().unwrap(), SEED, start).unwrap()
}

fn by_rows(entry: &Invented) -> ErrorType {
    Meaning::of(&entry.text, entry.severity, entry.category.as_deref()).error_type
}

fn by_words(entry: &Invented) -> ErrorType {
    let guess = guess_error_type(&entry.text, entry.severity.as_u8(), entry.category.as_deref());
    guess.as_str().parse().unwrap()
}

#[test]
fn fifty_blind_cases_of_each_kind_are_judged_right_in_ninety_of_a_hundred() {
    let (mut words_right, mut all) = (0, 0);
    println!("kind      cases  different  right  right by words alone");
    for kind in KINDS {
        let texts = texts(kind);
        let right = |judge: fn(&Invented) -> ErrorType| texts.iter().filter(|it| judge(it) == kind).count();
        let (rows, words) = (right(by_rows), right(by_words));
        let different = texts.iter().map(|entry| &entry.text).collect::<BTreeSet<_>>().len();
        println!("{:9} {:5} {different:10} {rows:6} {words:22}", kind.as_str(), texts.len());
        assert_eq!(texts.len(), CASES as usize);
        // Of a few kinds the catalogue has few rows, and some of their texts have no part that varies.
        assert!(different >= LEAST_DIFFERENT, "{kind}: {different} different texts");
        assert!(rows * 100 >= texts.len() * LEAST, "{kind}: {rows} of {} are right", texts.len());
        (words_right, all) = (words_right + words, all + texts.len());
    }
    println!("by words alone {words_right} of {all}");
    assert!(words_right * 100 >= all * LEAST_BY_WORDS, "by words alone {words_right} of {all}");
}
