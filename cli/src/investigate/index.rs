//! Which conditions of the catalogue a few words of a person have to do with.

use std::collections::{BTreeSet, HashMap};

use instance_knowledge::{Condition, conditions};

/// The words of every row, weighed: those that few rows have say more, as do those of the name and of the text itself.
pub struct Index {
    rows: Vec<Row>,
    /// In how many rows a word stands.
    rows_with: HashMap<String, usize>,
}

struct Row {
    condition: &'static Condition,
    words: HashMap<String, f64>,
}

/// A row, and how much it has to do with the words: 0 to 1.
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    pub condition: &'static Condition,
    pub score: f64,
}

/// What says nothing about trouble.
const IDLE: &[&str] = &[
    "a", "about", "all", "am", "an", "and", "any", "anything", "are", "as", "at", "be", "been", "between",
    "but", "by", "can", "cause", "caused", "could", "did", "do", "does", "explain", "for", "from", "get",
    "go", "going", "got", "had", "happen", "happened", "has", "have", "how", "i", "in", "instance", "iris",
    "is", "it", "its", "last", "me", "my", "not", "of", "on", "or", "our", "please", "s", "see", "so",
    "some", "t", "tell", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this",
    "to", "too", "trouble", "up", "us", "was", "we", "were", "what", "when", "where", "which", "who", "why",
    "will", "with", "wrong", "you",
];

/// Words that people use for one another. The weight of a word that stands for one is less than that of the word itself.
const ALIKE: &[&[&str]] = &[
    &["logon", "login", "sign-on", "signon", "connection", "session", "user"],
    &["refuse", "reject", "deny", "denied", "inhibited", "limit", "exceeded", "exhausted"],
    &["hang", "hung", "freeze", "froze", "frozen", "stuck", "suspended", "silent", "stall"],
    &["crash", "died", "die", "exited", "killed", "abnormal"],
    &["down", "stop", "stopped", "shutdown", "restart"],
    &["start", "boot", "startup", "come"],
    &["full", "space", "disk", "room"],
    &["license", "licence", "key", "unit"],
    &["memory", "shared", "page", "buffer", "cache"],
    &["certificate", "tls", "ssl", "x.509"],
    &["slow", "delay", "latency", "long"],
    &["configuration", "config", "cpf", "parameter", "setting"],
    &["corrupt", "corruption", "damage", "degradation", "integrity", "inconsistent"],
    &["mirror", "failover", "primary", "arbiter"],
    &["authentication", "password", "kerberos", "credential"],
];
const STANDS_FOR: f64 = 0.6;

const NAME: f64 = 1.0;
const TEXT: f64 = 0.8;
const CLASS: f64 = 0.7;
const CAUSE: f64 = 0.6;
const REST: f64 = 0.3;

/// Less has to do with any row only by chance.
const LEAST: f64 = 0.25;

impl Index {
    /// Over the catalogue in force.
    pub fn of_the_catalogue() -> Self {
        let rows: Vec<Row> = conditions().iter().map(Row::new).collect();
        let mut rows_with = HashMap::new();
        for word in rows.iter().flat_map(|row| row.words.keys()) {
            *rows_with.entry(word.clone()).or_insert(0) += 1;
        }
        Self { rows, rows_with }
    }

    /// The rows that have to do with a text, best first.
    pub fn search(&self, text: &str) -> Vec<Hit> {
        let asked = words(text);
        let weights: Vec<(f64, &String)> = asked.iter().map(|word| (self.rarity(word), word)).collect();
        let all: f64 = weights.iter().map(|(weight, _)| weight).sum();
        if all <= 0.0 {
            return Vec::new();
        }
        let score =
            |row: &Row| weights.iter().map(|(weight, word)| weight * row.weight(word)).sum::<f64>() / all;
        let hits = self.rows.iter().map(|row| Hit { condition: row.condition, score: score(row) });
        let mut hits: Vec<Hit> = hits.filter(|hit| hit.score >= LEAST).collect();
        // Rows that are equally near stand in the order of the catalogue.
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        hits
    }

    /// A word that no row has is still a word of the question: what it asks for may not be known at all.
    fn rarity(&self, word: &str) -> f64 {
        let alike =
            meanings(word).into_iter().map(|(word, _)| self.rows_with.get(word).copied().unwrap_or(0));
        let most = alike.max().unwrap_or(0).max(1);
        #[expect(clippy::cast_precision_loss, reason = "a catalogue has hundreds of rows")]
        let share = self.rows.len() as f64 / most as f64;
        share.ln() + 1.0
    }
}

impl Row {
    fn new(condition: &'static Condition) -> Self {
        let mut row = Self { condition, words: HashMap::new() };
        row.add(NAME, &condition.id.replace('-', " "));
        for wording in &condition.wordings {
            row.add(TEXT, &wording.texts.join(" "));
        }
        row.add(CLASS, condition.class.as_str());
        row.add(CAUSE, &condition.cause);
        row.add(REST, &condition.remedy);
        row.add(REST, &condition.gather.join(" "));
        row
    }

    /// A word counts where it stands best, not how often: a long row says no more than a short one.
    fn add(&mut self, weight: f64, text: &str) {
        for word in words(text) {
            let known = self.words.entry(word).or_insert(0.0);
            *known = known.max(weight);
        }
    }

    fn weight(&self, word: &str) -> f64 {
        let of = |(word, share): (&str, f64)| self.words.get(word).map_or(0.0, |weight| weight * share);
        meanings(word).into_iter().map(of).fold(0.0, f64::max)
    }
}

/// The word itself, and those that stand for it, by their stems.
fn meanings(stem_of_word: &str) -> Vec<(&str, f64)> {
    let mut meanings = vec![(stem_of_word, 1.0)];
    let group = ALIKE.iter().find(|group| group.iter().any(|word| stem(word) == stem_of_word));
    let others = group.into_iter().flat_map(|group| group.iter().map(|word| stem(word)));
    meanings.extend(others.filter(|other| *other != stem_of_word).map(|other| (other, STANDS_FOR)));
    meanings
}

/// How many of the words about the trouble a text holds, or holds words alike: 0 to 1.
pub fn relation(about: &BTreeSet<String>, text: &str) -> f64 {
    let held = words(text);
    let best = |word: &String| {
        let alike = meanings(word).into_iter().filter(|(stem, _)| held.contains(*stem));
        alike.map(|(_, share)| share).fold(0.0, f64::max)
    };
    #[expect(clippy::cast_precision_loss, reason = "a question has a few words")]
    let all = about.len().max(1) as f64;
    about.iter().map(best).sum::<f64>() / all
}

/// The stems of the words that say something, each once.
pub fn words(text: &str) -> BTreeSet<String> {
    let lower = text.to_lowercase();
    let split = lower.split(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '.' | '_'));
    let words = split.map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    let whole = words.filter(|word| !word.is_empty() && !IDLE.contains(word));
    whole.map(|word| stem(word).to_owned()).collect()
}

/// `refused`, `refuses` and `refusing` are one word here. Crude, and the same on both sides.
fn stem(word: &str) -> &str {
    let longest = ["ings", "ing", "ied", "ies", "ed", "es", "s", "e"];
    let cut = longest.into_iter().find_map(|ending| word.strip_suffix(ending).filter(|rest| rest.len() >= 3));
    cut.filter(|_| !word.ends_with("ss")).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_finds_the_rows_that_it_is_about() {
        let index = Index::of_the_catalogue();
        for (question, expected) in [
            ("why did PROD refuse logons", &["license-limit-exceeded", "sign-on-inhibited"][..]),
            ("journaling stopped, is the disk full?", &["journal-space-low", "journal-write-failed"]),
            (
                "why did it hang",
                &[
                    "write-daemon-silent",
                    "updates-suspended",
                    "write-daemon-pass-froze-system",
                    "frozen-instance-forced-down",
                    "journal-freeze-while-running",
                ],
            ),
            ("are the huge pages too few", &["huge-pages-too-few"]),
            ("is a certificate expired", &["certificate-expired", "certificates-expired"]),
            ("lock table", &["lock-table-full", "lock-table-filling"]),
            ("database corruption", &["database-degradation"]),
        ] {
            let hits = index.search(question);
            let ids: Vec<&str> = hits.iter().take(5).map(|hit| hit.condition.id.as_str()).collect();
            assert!(ids.iter().take(3).any(|id| expected.contains(id)), "{question}: {ids:?}");
        }
    }

    #[test]
    fn what_has_to_do_with_nothing_finds_nothing() {
        let index = Index::of_the_catalogue();
        for text in ["", "why?", "what happened", "frobnicate the zorkmids", "how is the weather in Berlin"] {
            let hits = index.search(text);
            assert!(hits.is_empty(), "{text}: {:?}", hits.first());
        }
    }

    #[test]
    fn words_are_compared_by_their_stems() {
        assert_eq!(words("Refused, refuses; refusing!"), BTreeSet::from(["refus".to_owned()]));
        assert_eq!(
            words("the ss/tls process"),
            BTreeSet::from(["process".into(), "ss".into(), "tls".into()])
        );
    }
}
