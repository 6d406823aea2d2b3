//! A model that is a few lines long: it goes by the words of what it is shown, and knows nothing else.
//!
//! It reads the question as any model does, and takes the option that shares most words with the entries of the log and with
//! the facts; where none does, or two do equally, it says that a person must look. It understands nothing, so it can be misled.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Words that say nothing about a trouble.
const EMPTY: [&str; 24] = [
    "the", "and", "then", "that", "this", "with", "what", "who", "find", "for", "from", "not", "can", "has",
    "have", "its", "are", "was", "another", "instance", "point", "until", "other", "must",
];

/// What it answers to that question, as JSON; `None` when it is no question with options.
pub fn answer(asked: &str) -> Option<Value> {
    let (case, options) = asked.rsplit_once("\nAllowed:\n")?;
    let (facts, entries) = case.rsplit_once("\nEntries of the log:\n")?;
    let options: Vec<&str> = options.lines().filter_map(|line| Some(line.split_once(". ")?.1)).collect();
    let (entries, facts) = (words(entries), words(facts));
    // What the log says counts for more than what is so besides.
    let weigh = |option: &&str| {
        let own = words(option);
        own.intersection(&entries).count() * 3 + own.intersection(&facts).count()
    };
    let person = options.len().checked_sub(1)?;
    let weights: Vec<usize> = options[..person].iter().map(weigh).collect();
    let most = weights.iter().copied().max().unwrap_or_default();
    let best: Vec<usize> = (0..person).filter(|at| weights[*at] == most).collect();
    let (option, confidence) = match best[..] {
        [one] if most >= 3 => (one, 0.9),
        _ => (person, 0.5),
    };
    Some(json!({ "option": option, "numbers": [], "confidence": confidence }))
}

fn words(text: &str) -> BTreeSet<String> {
    let all = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    all.filter(|word| word.len() > 2 && !EMPTY.contains(&word.as_str())).collect()
}
