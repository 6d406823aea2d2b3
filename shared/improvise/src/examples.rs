//! What a model is shown: entries that were really written, of the severity and kind that is asked for.

use instance_contract::GenerationRequest;
use instance_invent::{Invented, Templates, invent};

/// Two or three say what is wanted; more cost more.
const MOST: usize = 3;
/// So many are drawn to find that many different ones.
const DRAWN: u32 = 24;

/// Texts like that of an entry: of its kind, category first, and of its severity. Templates that were learnt from a log come
/// before those that are built in.
pub fn examples(entry: &Invented, templates: &Templates, seed: u64) -> Vec<String> {
    let Some(own) = templates.all().iter().find(|template| template.name == entry.template) else {
        return Vec::new();
    };
    let request = GenerationRequest {
        error_category: Some(own.error_type),
        count: DRAWN,
        severity_range: (entry.severity, entry.severity),
        ..GenerationRequest::default()
    };
    let drawn = invent(&request, templates, seed, entry.at).unwrap_or_default();
    let learnt =
        |name: &str| templates.all().iter().any(|template| template.name == name && template.is_learnt());
    let mut ranked: Vec<&Invented> = drawn.iter().collect();
    ranked.sort_by_key(|other| (!learnt(&other.template), other.category != entry.category));
    let mut found: Vec<&Invented> = Vec::new();
    for other in ranked {
        if found.len() < MOST && found.iter().all(|known| known.template != other.template) {
            found.push(other);
        }
    }
    found.into_iter().map(|other| other.text.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_of_the_kind_and_severity_that_is_asked_for() {
        let templates = Templates::builtin().unwrap();
        let request = GenerationRequest { count: 40, ..GenerationRequest::default() };
        let start = jiff::civil::date(2026, 9, 1).at(0, 0, 0, 0);
        for entry in invent(&request, &templates, 7, start).unwrap() {
            let kind = |entry: &Invented| {
                templates.all().iter().find(|template| template.name == entry.template).unwrap().error_type
            };
            let shown = examples(&entry, &templates, 11);
            assert!((1..=MOST).contains(&shown.len()), "{shown:?}");
            let wanted = kind(&entry);
            for text in &shown {
                let category = entry.category.as_deref();
                let meaning = instance_invent::Meaning::of(text, entry.severity, category);
                assert_eq!(meaning.error_type, wanted, "{text}");
            }
        }
    }
}
