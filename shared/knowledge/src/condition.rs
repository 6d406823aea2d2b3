//! What a row about a log message says.

use serde::Deserialize;

use crate::catalogue::condition;
use crate::error_type::ErrorType;
use crate::facts::Facts;
use crate::given::Given;

/// One thing that goes wrong (or is quite normal), known by the text that IRIS writes about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Condition {
    /// Stable name, kebab-case: stored in messages and traces, so it is never reused for something else.
    pub id: String,
    /// The wordings that mean this condition; the first is the usual one. Empty only where `wording_known` is false:
    /// the condition is documented, its text is not, and nothing is ever taken for it.
    pub wordings: Vec<Wording>,
    /// The kind of problem, as an IrisMessage tells it.
    pub class: ErrorType,
    /// Severities seen with any of its wordings, 0..=3, rising; empty when unknown. Each wording has its own. Not used
    /// for matching: IRIS logs parts of a serious event as information.
    pub severities: Vec<u8>,
    /// Categories seen with any of its wordings, without brackets; empty when none or unknown. Not used for matching
    /// either.
    pub categories: Vec<String>,
    /// Where such a text is found.
    pub place: Place,
    /// False when no source shows the real wording: what `wordings` holds is our guess then.
    pub wording_known: bool,
    /// What brings it about.
    pub cause: String,
    /// What to look at before acting, each a few words.
    pub gather: Vec<String>,
    /// What cures it, in words for a person.
    pub remedy: String,
    /// Who acts, where no case says otherwise.
    pub answer: Answer,
    /// What facts make of it: the first that holds decides, instead of `answer`.
    pub cases: Vec<Case>,
    /// The condition that it is a part of: where both come from one process or one start, the other one is the cause,
    /// or tells the whole, and its cases hold for this one too.
    pub part_of: Option<String>,
    /// The severity that it has at least, whatever IRIS writes: parts of a serious event are logged as information.
    pub at_least: u8,
    /// From how many such entries on it is worse than one of them.
    pub frequency: Frequency,
    /// Whether the cure needs the instance restarted.
    pub restart: Restart,
    /// True where an automatic restart loops, makes damage worse, or destroys evidence: nobody but a person
    /// may restart then.
    pub must_not_restart: bool,
    /// Tag of the source; explained in the crate's README.
    pub source: String,
}

/// What becomes of a condition under certain facts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Case {
    /// All of these must be so.
    pub when: Vec<Given>,
    /// Who acts then.
    pub answer: Answer,
    /// Why, for people.
    pub why: String,
    /// The answer is given only when the case still holds so many seconds after the first entry; until then facts are
    /// taken again. Default 0: at once.
    #[serde(default)]
    pub after_seconds: u32,
}

/// From when on many entries of one kind are worse than one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frequency {
    /// So many of them, 2 to 100,000 ...
    pub count: u32,
    /// ... within so many seconds, 1 to 86,400.
    pub within_seconds: u32,
}

impl Default for Frequency {
    /// Ten times (F-089), within ten minutes.
    fn default() -> Self {
        Self { count: 10, within_seconds: 600 }
    }
}

/// Who acts on a condition, as facts say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision<'a> {
    /// Who acts.
    pub answer: Answer,
    /// Why, for people: the case that holds, or what cures the condition.
    pub why: &'a str,
    /// Not before so many seconds after the first entry; until then facts are taken again.
    pub after_seconds: u32,
}

/// Words that are written in capitals.
const SHORT: &[&str] = &["cpf", "ecp", "sql", "wij"];

impl Condition {
    /// Its name in words for people: `wij-expansion-failed` is "WIJ expansion failed".
    pub fn title(&self) -> String {
        let word = |word: &str| if SHORT.contains(&word) { word.to_uppercase() } else { word.to_owned() };
        let words = self.id.split('-').map(word).collect::<Vec<_>>().join(" ");
        let mut letters = words.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }

    /// Who acts, given these facts. A fact that nobody knows makes no case hold that asks for its value.
    pub fn decide(&self, facts: &Facts) -> Decision<'_> {
        let holds = |case: &&Case| case.when.iter().all(|given| given.holds(facts));
        let usual = Decision { answer: self.answer, why: &self.remedy, after_seconds: 0 };
        self.all_cases().find(holds).map_or(usual, |case| Decision {
            answer: case.answer,
            why: &case.why,
            after_seconds: case.after_seconds,
        })
    }

    /// The facts that its cases look at, by name.
    pub fn facts_needed(&self) -> impl Iterator<Item = &str> {
        self.all_cases().flat_map(|case| &case.when).flat_map(Given::facts)
    }

    /// Its own cases, then those of the condition that it is a part of.
    fn all_cases(&self) -> impl Iterator<Item = &Case> {
        let whole = self.part_of.as_deref().and_then(condition);
        self.cases.iter().chain(whole.into_iter().flat_map(|whole| &whole.cases))
    }

    /// How sure one can be that an entry with these words, written with that severity, is this condition, in percent: 95
    /// where a source shows the wording; 75 where none shows it with that severity, for other programs can write into a log
    /// too; 60 where the wording is our guess.
    pub fn confidence(&self, severity: u8) -> u8 {
        match self.wording_known {
            false => 60,
            true if self.is_written_as(severity) => 95,
            true => 75,
        }
    }

    /// Was it ever seen with that severity? Where nobody has seen any, all of them fit.
    pub fn is_written_as(&self, severity: u8) -> bool {
        self.severities.is_empty() || self.severities.contains(&severity)
    }
}

/// One way in which a condition is written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wording {
    /// Fixed parts that must all occur, in this order; case and blank runs do not matter.
    pub texts: Vec<String>,
    /// A whole message with the variable parts filled in.
    pub example: String,
    /// Severities seen with these words, 0..=3; empty when unknown.
    pub severities: Vec<u8>,
    /// Categories seen with these words, without brackets; empty when none or unknown.
    pub categories: Vec<String>,
}

/// Who answers a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// A runbook cures it.
    Remedy,
    /// A person has to look.
    Person,
    /// Nothing is to be done.
    None,
}

/// Whether the cure of a condition needs a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Restart {
    /// The instance must be started again.
    Yes,
    /// The instance goes on running.
    No,
    /// The host must be rebooted.
    Host,
    /// Depends on the case, or the sources do not say.
    Maybe,
}

/// Where a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// `messages.log` and its copies on the console.
    #[default]
    MessagesLog,
    /// The error log of an application, in a global.
    ApplicationErrorLog,
    /// The answer of a configuration class or a program to its caller.
    StatusText,
    /// What a terminal session or the `iris` command prints.
    SessionOutput,
}
