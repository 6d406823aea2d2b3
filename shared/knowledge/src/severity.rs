//! How grave an entry is: what IRIS wrote, raised by what the catalogue knows, by words, and by how often it comes.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use serde::Deserialize;

use crate::condition::Condition;
use crate::rows::{self, DataError, fault};
use crate::text::folded;

/// A severity, and why it is not the one that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// 0..=3, never below what was written.
    pub severity: u8,
    /// What has raised it, in the order in which it did.
    pub by: Vec<RaisedBy>,
}

/// What raises a severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RaisedBy {
    /// The row of the catalogue: IRIS writes parts of a serious event as information.
    Catalogue,
    /// A whole word of the text.
    Word(&'static str),
    /// As many entries of the same kind as the row's frequency says.
    Frequency,
}

impl RaisedBy {
    /// The name on the wire: `catalogue`, `words`, `frequency`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Word(_) => "words",
            Self::Frequency => "frequency",
        }
    }
}

/// The severity of an entry that says `stated` (0..=3; more counts as 3).
///
/// `times` is how often the like was seen within the seconds of the condition's [`Frequency`](crate::Frequency), this
/// entry counted. Frequency raises by one, and never what is information alone: everyday lines repeat all day. Words
/// count only where no row knows better: each of its wordings has been judged by people.
pub fn raised(stated: u8, text: &str, condition: Option<&Condition>, times: u64) -> Raised {
    let mut raised = Raised { severity: stated.min(3), by: Vec::new() };
    if let Some(condition) = condition {
        raised.to(condition.at_least, RaisedBy::Catalogue);
    } else if let Some((severity, word)) = WORDS.strongest(text, stated) {
        raised.to(severity, RaisedBy::Word(word));
    }
    let frequency = condition.map(|condition| condition.frequency).unwrap_or_default();
    if raised.severity > 0 && times >= u64::from(frequency.count) {
        raised.to((raised.severity + 1).min(3), RaisedBy::Frequency);
    }
    raised
}

impl Raised {
    fn to(&mut self, severity: u8, by: RaisedBy) {
        if severity > self.severity {
            self.severity = severity;
            self.by.push(by);
        }
    }
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    Words::read("context_words.toml", include_str!("../data/context_words.toml"))
        .expect("the built-in words are checked by a test")
});

/// Words with the severity that they mean.
struct Words {
    rows: Vec<(WordRow, String)>,
    automaton: AhoCorasick,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WordRow {
    words: Vec<String>,
    /// What it is raised to.
    severity: u8,
    /// The lowest severity that is raised.
    from_severity: u8,
    /// Where the row is known from.
    source: String,
}

impl Words {
    fn read(file: &str, text: &str) -> Result<Self, DataError> {
        let mut words = Vec::new();
        for row in rows::read::<WordRow>(file, text, "context", "severity", &["context"])? {
            if row.value.severity > 3 || row.value.from_severity >= row.value.severity {
                return Err(fault(file, &row.label, "severity must be at most 3, and above from_severity"));
            }
            if row.value.source.trim().is_empty() || row.value.words.is_empty() {
                return Err(fault(file, &row.label, "words and source must say something"));
            }
            for word in &row.value.words {
                if folded(word) != *word || word.len() < 4 {
                    let rule = format!("\"{word}\" must be lower case, of at least four characters");
                    return Err(fault(file, &row.label, rule));
                }
                words.push((row.value.clone(), word.clone()));
            }
        }
        let automaton = AhoCorasick::new(words.iter().map(|(_, word)| word))
            .map_err(|error| fault(file, "all", error.to_string()))?;
        Ok(Self { rows: words, automaton })
    }

    /// The word with the highest severity that stands in the text as whole words.
    fn strongest(&self, text: &str, stated: u8) -> Option<(u8, &str)> {
        let text = folded(text);
        let whole = |start: usize, end: usize| {
            let letter = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
            !letter(text[..start].chars().next_back()) && !letter(text[end..].chars().next())
        };
        self.automaton
            .find_overlapping_iter(&text)
            .filter(|found| whole(found.start(), found.end()))
            .map(|found| &self.rows[found.pattern().as_usize()])
            .filter(|(row, _)| stated >= row.from_severity)
            .map(|(row, word)| (row.severity, word.as_str()))
            .max_by_key(|(severity, _)| *severity)
    }
}

#[cfg(test)]
mod tests {
    use super::{RaisedBy, Words, raised};
    use crate::catalogue::condition;

    #[test]
    fn every_built_in_row_is_good() {
        Words::read("context_words.toml", include_str!("../data/context_words.toml")).unwrap();
    }

    #[test]
    fn whole_words_raise_what_no_row_knows() {
        let severity = |text: &str, stated| raised(stated, text, None, 1).severity;
        assert_eq!(severity("Backup task 7 ended: data loss is possible", 1), 3);
        assert_eq!(raised(1, "Backup: DATA  LOSS", None, 1).by, [RaisedBy::Word("data loss")]);
        // A part of a word is no word, and information stays information.
        assert_eq!(severity("The datalossless archive was written", 1), 1);
        assert_eq!(severity("unfrozen", 1), 1);
        assert_eq!(severity("Check for data loss finished", 0), 0);
        assert_eq!(severity("Nothing special", 2), 2);
    }

    /// A warning about payment, logons, billing or production is severe; within another word, or as information, it is not.
    #[test]
    fn what_users_and_money_hang_on_is_severe_as_a_whole_word() {
        let severity = |text: &str, stated| raised(stated, text, None, 1).severity;
        for text in [
            "Payment: queue 3 is late",
            "the AUTH service answers late",
            "task billing-7 is late",
            "item of production/EU is late",
        ] {
            assert_eq!((severity(text, 1), severity(text, 0), severity(text, 3)), (2, 0, 3), "{text}");
            assert!(matches!(raised(1, text, None, 1).by[..], [RaisedBy::Word(_)]), "{text}");
        }
        for text in ["the author of it is late", "prepayments", "authority", "rebillings", "reproduction 3"] {
            assert_eq!(severity(text, 1), 1, "{text}");
        }
    }

    #[test]
    fn a_row_knows_better_than_words() {
        let certificate = condition("certificates-expired").unwrap();
        let text = "1 Certificate(s) have expired: production down, data loss";
        assert_eq!(raised(1, text, Some(certificate), 1).severity, 1);
    }

    #[test]
    fn part_of_a_serious_event_is_serious_whatever_iris_writes() {
        let suspended = condition("database-error-suspends-system").unwrap();
        let raised = raised(0, "Suspending system due to <DATABASE> error", Some(suspended), 1);
        assert_eq!((raised.severity, raised.by), (3, vec![RaisedBy::Catalogue]));
    }

    #[test]
    fn what_a_person_has_to_see_to_is_no_information() {
        let stopped = condition("daemon-stopped-by-signal").unwrap();
        let raised = raised(0, &stopped.wordings[0].example, Some(stopped), 1);
        assert_eq!((raised.severity, raised.by), (1, vec![RaisedBy::Catalogue]));
    }

    #[test]
    fn ten_times_is_worse_than_once_but_everyday_lines_stay_everyday() {
        let times = |stated, times| raised(stated, "some line", None, times).severity;
        assert_eq!([times(1, 9), times(1, 10), times(3, 10), times(0, 1000)], [1, 2, 3, 0]);
        let crash = condition("process-died").unwrap();
        assert_eq!(
            raised(2, "Process terminated abnormally (pid 1)", Some(crash), 10).by,
            [RaisedBy::Frequency]
        );
    }
}
