//! How many rows there are, and where they come from: a check prints it, so that a row without a source is seen.

use std::collections::BTreeMap;

use crate::{
    Catalogue, cpf_versions, forbidden_names, host_settings, instance_facts, runbook::runbooks, sections,
};

/// The rows of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// What the rows are: `conditions`, `cpf parameters`.
    pub table: &'static str,
    /// How many there are.
    pub rows: usize,
    /// How many quote a source.
    pub sourced: usize,
    /// How many say that it, or a part of it, is a guess or our own.
    pub guessed: usize,
    /// How many say `unknown`.
    pub unknown: usize,
    /// How many name each source; a row that names two counts twice.
    pub by_source: BTreeMap<String, usize>,
}

/// Counts the rows of every table; those that a user can add to are the ones of `catalogue`.
pub fn census(catalogue: &Catalogue) -> Vec<Count> {
    let conditions = catalogue.conditions().iter();
    vec![
        count("conditions", conditions.map(|row| row.source.as_str())),
        count("cpf parameters", catalogue.parameters().iter().map(|row| row.source.as_str())),
        count("cpf sections", sections().iter().map(|row| row.source.as_str())),
        count("cpf versions", cpf_versions().iter().map(|row| row.source.as_str())),
        count("kernel parameters", catalogue.kernel_parameters().iter().map(|row| row.source.as_str())),
        count("kernel names never written", forbidden_names().iter().map(|row| row.source.as_str())),
        count("host settings", host_settings().iter().map(|row| row.source.as_str())),
        count("instance facts", instance_facts().iter().map(|row| row.source.as_str())),
        count("runbooks", runbooks().iter().map(|row| row.source.as_str())),
    ]
}

fn count<'a>(table: &'static str, sources: impl Iterator<Item = &'a str>) -> Count {
    let mut count =
        Count { table, rows: 0, sourced: 0, guessed: 0, unknown: 0, by_source: BTreeMap::default() };
    for source in sources {
        count.rows += 1;
        let tags = tags(source);
        if tags.iter().all(|tag| tag == "unknown") {
            count.unknown += 1;
        } else {
            count.sourced += 1;
        }
        count.guessed += usize::from(is_guessed(source));
        for tag in tags {
            *count.by_source.entry(tag).or_default() += 1;
        }
    }
    count
}

/// `CPF, MG; the bound is ours` names CPF and MG.
fn tags(source: &str) -> Vec<String> {
    let named = source.split(';').next().unwrap_or_default().replace("(guess)", "");
    // A place within a source is no source of its own.
    let is_tag = |tag: &String| !tag.is_empty() && !tag.starts_with("section ") && tag != "from memory";
    named.split(", ").map(|tag| tag.trim().to_owned()).filter(is_tag).collect()
}

fn is_guessed(source: &str) -> bool {
    ["guess", "ours", "from memory"].iter().any(|word| source.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_quotes_its_source_or_says_unknown() {
        for count in census(Catalogue::builtin()) {
            println!(
                "{:28} {:4} rows, {:4} with a source, {:2} unknown, {:2} in part a guess or ours: {:?}",
                count.table, count.rows, count.sourced, count.unknown, count.guessed, count.by_source
            );
            assert!(count.rows > 0, "{}", count.table);
            assert_eq!(count.sourced + count.unknown, count.rows, "{}", count.table);
            assert_eq!(count.by_source.get(""), None, "{}", count.table);
        }
        assert!(crate::section("config").is_some_and(|row| tags(&row.source) == ["CPF"]));
    }

    #[test]
    fn a_source_may_name_several_and_say_what_is_a_guess() {
        assert_eq!(tags("MG, CPF; the doubling and its bound are ours"), ["MG", "CPF"]);
        assert_eq!(tags("CPF (guess)"), ["CPF"]);
        assert!(is_guessed("CPF (guess)") && is_guessed("RES; the cushion is ours") && !is_guessed("CPF"));
        let found = count("x", ["unknown", "CPF (guess)", "unknown; lower bound ours"].into_iter());
        assert_eq!((found.rows, found.sourced, found.unknown, found.guessed), (3, 1, 2, 2));
    }
}
