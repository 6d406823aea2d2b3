//! The error catalogue as templates.

use instance_contract::Severity;
use instance_knowledge::{Place, conditions};

use super::Template;
use super::loosen::loosened;
use crate::message::{Meaning, error_type};

/// One template for each wording of the error catalogue that messages.log shows, with the severities of that wording.
pub fn templates() -> Vec<Template> {
    let mut templates = Vec::new();
    for condition in conditions().iter().filter(|condition| condition.place == Place::MessagesLog) {
        for (number, wording) in condition.wordings.iter().enumerate() {
            let mut severities: Vec<Severity> =
                wording.severities.iter().filter_map(|digit| Severity::try_from(*digit).ok()).collect();
            severities.sort_unstable();
            // With which one it is written nobody knows, so it is not invented at all.
            if severities.is_empty() {
                continue;
            }
            let category = wording.categories.first().map_or("Utility.Event", String::as_str);
            let name =
                if number == 0 { condition.id.clone() } else { format!("{}-{}", condition.id, number + 1) };
            let same = |varied: &str| {
                Meaning::of(varied, Severity::Severe, None)
                    .condition
                    .is_some_and(|found| found.as_str() == condition.id)
            };
            let drafts = loosened(wording.example.trim_end(), &[], same);
            let template =
                Template::new(name, error_type(condition.class), Some(category.to_owned()), drafts);
            templates.push(Template { severities, ..template });
        }
    }
    templates
}
