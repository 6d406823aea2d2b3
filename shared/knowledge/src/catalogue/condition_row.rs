//! Rows about log messages as they stand in a file, and the rules that hold for each.

use serde::Deserialize;

use crate::condition::{Answer, Case, Condition, Frequency, Place, Restart, Wording};
use crate::error_type::ErrorType;
use crate::given::Given;
use crate::text::{folded, is_kebab_case};

/// A row as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionRow {
    id: String,
    /// With `example`, left out when nobody knows a wording.
    #[serde(default)]
    texts: Vec<String>,
    #[serde(default)]
    example: String,
    #[serde(default)]
    other_wordings: Vec<WordingRow>,
    class: ErrorType,
    /// Of the first wording, and of the others where they do not say their own.
    severities: Vec<u8>,
    /// As `severities`.
    categories: Vec<String>,
    #[serde(default)]
    place: Place,
    #[serde(default = "yes")]
    wording_known: bool,
    cause: String,
    gather: Vec<String>,
    remedy: String,
    answer: Answer,
    #[serde(default)]
    cases: Vec<Case>,
    part_of: Option<String>,
    #[serde(default)]
    at_least: u8,
    #[serde(default)]
    frequency: Frequency,
    restart: Restart,
    #[serde(default)]
    must_not_restart: bool,
    source: String,
}

/// One more wording as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WordingRow {
    texts: Vec<String>,
    example: String,
    severities: Option<Vec<u8>>,
    categories: Option<Vec<String>>,
}

fn yes() -> bool {
    true
}

impl ConditionRow {
    pub fn into_condition(self) -> Condition {
        let has_wording = self.wording_known || !self.texts.is_empty() || !self.example.is_empty();
        let first =
            WordingRow { texts: self.texts, example: self.example, severities: None, categories: None };
        let rows = has_wording.then_some(first).into_iter().chain(self.other_wordings);
        let wordings: Vec<Wording> =
            rows.map(|row| row.into_wording(&self.severities, &self.categories)).collect();
        let mut severities = self.severities;
        severities.extend(wordings.iter().flat_map(|wording| &wording.severities));
        severities.sort_unstable();
        severities.dedup();
        let mut categories = self.categories;
        for category in wordings.iter().flat_map(|wording| &wording.categories) {
            if !categories.contains(category) {
                categories.push(category.clone());
            }
        }
        Condition {
            id: self.id,
            wordings,
            class: self.class,
            severities,
            categories,
            place: self.place,
            wording_known: self.wording_known,
            cause: self.cause,
            gather: self.gather,
            remedy: self.remedy,
            answer: self.answer,
            cases: self.cases,
            part_of: self.part_of,
            at_least: self.at_least,
            frequency: self.frequency,
            restart: self.restart,
            must_not_restart: self.must_not_restart,
            source: self.source,
        }
    }
}

impl WordingRow {
    fn into_wording(self, severities: &[u8], categories: &[String]) -> Wording {
        Wording {
            texts: self.texts,
            example: self.example,
            severities: self.severities.unwrap_or_else(|| severities.to_vec()),
            categories: self.categories.unwrap_or_else(|| categories.to_vec()),
        }
    }
}

/// The rules that hold for each row alone.
pub fn check(condition: &Condition) -> Result<(), String> {
    if !is_kebab_case(&condition.id) {
        return Err("id must be lower-case words joined by hyphens, at most 64 bytes".to_owned());
    }
    for wording in &condition.wordings {
        if wording.texts.is_empty() || wording.texts.iter().any(|text| folded(text).is_empty()) {
            return Err("texts must hold at least one part, and no part may be blank".to_owned());
        }
        if wording.texts.iter().all(|text| folded(text).len() < 4) {
            return Err("texts must hold a part of at least four characters".to_owned());
        }
        if !occur_in_order(&wording.texts, &wording.example) {
            return Err(format!("the texts {:?} do not occur in this order in the example", wording.texts));
        }
    }
    if let Some(severity) = condition.severities.iter().find(|severity| **severity > 3) {
        return Err(format!("severities must be 0..=3, found {severity}"));
    }
    let bad_category = |name: &&String| {
        name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
    };
    if let Some(category) = condition.categories.iter().find(bad_category) {
        return Err(format!("categories are letters, digits, dots and underscores, found \"{category}\""));
    }
    for (name, text) in
        [("cause", &condition.cause), ("remedy", &condition.remedy), ("source", &condition.source)]
    {
        if text.trim().is_empty() {
            return Err(format!("{name} must not be empty; write \"unknown\" where nobody knows"));
        }
    }
    if condition.must_not_restart && condition.answer == Answer::Remedy {
        return Err("a condition that must not be restarted is answered by a person".to_owned());
    }
    if condition.at_least > 3 {
        return Err(format!("at_least must be 0..=3, found {}", condition.at_least));
    }
    let Frequency { count, within_seconds } = condition.frequency;
    if !(2..=100_000).contains(&count) || !(1..=86_400).contains(&within_seconds) {
        return Err("frequency must be 2 to 100000 entries within 1 to 86400 seconds".to_owned());
    }
    condition.cases.iter().try_for_each(|case| check_case(case, condition))
}

/// A case may take work away from people, or give it to them; a cure is the answer of the row, so that each row has
/// one runbook for one reason.
fn check_case(case: &Case, condition: &Condition) -> Result<(), String> {
    if case.answer == Answer::Remedy && condition.answer != Answer::Remedy {
        return Err("a case may not ask for a cure where the row does not".to_owned());
    }
    if case.when.is_empty() || case.why.trim().is_empty() {
        return Err("a case must say when it holds, and why".to_owned());
    }
    if case.after_seconds > 3600 {
        return Err(format!("after_seconds must be 0 to 3600, found {}", case.after_seconds));
    }
    case.when.iter().try_for_each(Given::check)
}

fn occur_in_order(texts: &[String], example: &str) -> bool {
    let example = folded(example);
    let mut rest = example.as_str();
    texts.iter().all(|text| match rest.split_once(&folded(text)) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}
