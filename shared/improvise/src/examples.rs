//! What a model is shown: entries that were really written, of the severity and kind that is asked for.

use instance_contract::{GenerationRequest, Severity};
use instance_invent::{Invented, Templates, invent};

/// Two or three say what is wanted; more cost more.
const MOST: usize = 3;
const LEAST: usize = 2;
/// So many are drawn to find that many different ones.
const DRAWN: u32 = 24;

/// Two or three texts like that of an entry: of its kind, category first, and of its severity. Templates that were learnt from
/// a log come before those that are built in. Where one template alone is of that kind and severity, it gives several texts;
/// where that one does not vary, others of the kind stand beside it. One, where there is no other of the kind at all.
pub fn examples(entry: &Invented, templates: &Templates, seed: u64) -> Vec<String> {
    let Some(own) = templates.all().iter().find(|template| template.name == entry.template) else {
        return Vec::new();
    };
    let draw = |severities: (Severity, Severity)| {
        let request = GenerationRequest {
            error_category: Some(own.error_type),
            count: DRAWN,
            severity_range: severities,
            ..GenerationRequest::default()
        };
        invent(&request, templates, seed, entry.at).unwrap_or_default()
    };
    let learnt =
        |name: &str| templates.all().iter().any(|template| template.name == name && template.is_learnt());
    let fits = |other: &Invented| (!learnt(&other.template), other.category != entry.category);
    let mut drawn = draw((entry.severity, entry.severity));
    drawn.sort_by_key(fits);
    let mut found: Vec<&Invented> = Vec::new();
    for other in &drawn {
        if found.len() < MOST && found.iter().all(|known| known.template != other.template) {
            found.push(other);
        }
    }
    add_to_least(&mut found, &drawn);
    let mut others = Vec::new();
    if found.len() < LEAST {
        others = draw((Severity::Info, Severity::Fatal));
        others.sort_by_key(|other| (other.severity.as_u8().abs_diff(entry.severity.as_u8()), fits(other)));
    }
    add_to_least(&mut found, &others);
    found.into_iter().map(|other| other.text.clone()).collect()
}

/// Other texts, until there are enough.
fn add_to_least<'a>(found: &mut Vec<&'a Invented>, more: &'a [Invented]) {
    for other in more {
        if found.len() < LEAST && found.iter().all(|known| known.text != other.text) {
            found.push(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_of_the_kind_and_severity_that_is_asked_for() {
        let templates = Templates::builtin().unwrap();
        let request = GenerationRequest { count: 100, ..GenerationRequest::default() };
        let start = jiff::civil::date(2026, 9, 1).at(0, 0, 0, 0);
        for entry in invent(&request, &templates, 7, start).unwrap() {
            let kind = |entry: &Invented| {
                templates.all().iter().find(|template| template.name == entry.template).unwrap().error_type
            };
            let shown = examples(&entry, &templates, 11);
            assert!((LEAST..=MOST).contains(&shown.len()), "{shown:?}");
            assert!(
                shown[0] != shown[1] && shown.get(2).is_none_or(|third| !shown[..2].contains(third)),
                "{shown:?}"
            );
            let wanted = kind(&entry);
            for text in &shown {
                let category = entry.category.as_deref();
                let meaning = instance_invent::Meaning::of(text, entry.severity, category);
                assert_eq!(meaning.error_type, wanted, "{text}");
            }
        }
    }
}
