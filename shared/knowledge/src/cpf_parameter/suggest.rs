//! The parameter that somebody meant.

use super::{Parameter, parameter, parameters};

/// What was probably meant by a section and name that do not exist: the same name in its real section, another
/// case, or a slip of at most two characters. `None` when the parameter exists as given, or nothing is near.
pub fn suggest(section: &str, name: &str) -> Option<&'static Parameter> {
    if parameter(section, name).is_some() {
        return None;
    }
    parameters()
        .iter()
        .filter_map(|candidate| Some((distance(candidate, section, name)?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How far a candidate is from what was written: by name first, then by section. `None` when too far.
fn distance(candidate: &Parameter, section: &str, name: &str) -> Option<(usize, usize)> {
    let slips = if candidate.name == name {
        0
    } else if candidate.name.eq_ignore_ascii_case(name) {
        1
    } else {
        let slips = edits(&candidate.name.to_ascii_lowercase(), &name.to_ascii_lowercase());
        // Two slips in a name of four letters make another word.
        (slips <= 2 && slips * 3 <= candidate.name.len()).then_some(slips + 1)?
    };
    let elsewhere = if candidate.section == section {
        0
    } else if candidate.section.eq_ignore_ascii_case(section) {
        1
    } else {
        2
    };
    Some((slips, elsewhere))
}

/// Number of characters to insert, delete or replace to turn one text into the other.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::{edits, suggest};

    #[test]
    fn the_right_section_and_spelling_are_suggested() {
        for (section, name, meant) in [
            ("Startup", "globals", "[config] globals"),
            ("config", "Globals", "[config] globals"),
            ("Config", "globals", "[config] globals"),
            ("config", "maxservers", "[config] MaxServers"),
            ("Journal", "FreezeOnErorr", "[Journal] FreezeOnError"),
            ("SQL", "locksiz", "[config] locksiz"),
            ("startup", "webserver", "[Startup] WebServer"),
        ] {
            let suggestion = suggest(section, name).map(super::Parameter::label);
            assert_eq!(suggestion.as_deref(), Some(meant), "[{section}] {name}");
        }
    }

    #[test]
    fn nothing_is_suggested_for_what_exists_or_is_far_from_everything() {
        assert_eq!(suggest("config", "globals"), None);
        assert_eq!(suggest("config", "frobnication"), None);
        assert_eq!(suggest("config", ""), None);
    }

    #[test]
    fn edits_count_characters() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", "abc"), 0);
    }
}
