//! The error catalogue as templates.

use instance_contract::Severity;
use instance_knowledge::{Place, conditions};

use super::Template;
use super::loosen::loosened;
use crate::message::{Meaning, error_type};

/// One template for each wording of the error catalogue that messages.log shows.
pub fn templates() -> Vec<Template> {
    let mut templates = Vec::new();
    for condition in conditions().iter().filter(|condition| condition.place == Place::MessagesLog) {
        let mut severities: Vec<Severity> =
            condition.severities.iter().filter_map(|digit| Severity::try_from(*digit).ok()).collect();
        severities.sort_unstable();
        if severities.is_empty() {
            severities.push(Severity::Severe);
        }
        let category = condition.categories.first().map_or("Utility.Event", String::as_str);
        for (number, wording) in condition.wordings.iter().enumerate() {
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
            templates.push(Template { severities: severities.clone(), ..template });
        }
    }
    templates
}
