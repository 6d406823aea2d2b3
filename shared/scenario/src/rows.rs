//! Which rows of the error catalogue no scenario is about, and why.

use std::sync::LazyLock;

use serde::Deserialize;

/// Rows that no built-in scenario has as its truth, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithoutScenario {
    /// Why not.
    pub why: String,
    /// The built-in scenario in which such an entry comes all the same, beside the trouble it is about.
    #[serde(default)]
    pub seen_in: Option<String>,
    /// Ids of the catalogue.
    pub rows: Vec<String>,
}

/// Every row of the catalogue without a scenario of its own, by reason.
pub fn rows_without_scenario() -> &'static [WithoutScenario] {
    &GROUPS
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    group: Vec<WithoutScenario>,
}

static GROUPS: LazyLock<Vec<WithoutScenario>> = LazyLock::new(|| {
    let text = include_str!("../rows_without_scenario.toml");
    toml::from_str::<File>(text).expect("the list is checked by a test").group
});

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use instance_knowledge::conditions;

    use super::rows_without_scenario;
    use crate::builtin::{built_in, built_in_named};

    #[test]
    fn every_row_of_the_catalogue_has_a_scenario_or_a_reason_and_never_both() {
        let played: BTreeSet<&str> = built_in().iter().flat_map(crate::Scenario::conditions).collect();
        let mut excused = BTreeSet::new();
        for group in rows_without_scenario() {
            assert!(group.why.len() > 30, "a reason says something: {:?}", group.why);
            let known = group.seen_in.as_deref().is_none_or(|name| built_in_named(name).is_some());
            assert!(known, "no scenario {:?} is built in", group.seen_in);
            for row in &group.rows {
                assert!(excused.insert(row.as_str()), "{row} is excused twice");
            }
        }
        let rows: BTreeSet<&str> = conditions().iter().map(|row| row.id.as_str()).collect();
        let both: Vec<_> = excused.intersection(&played).collect();
        assert!(both.is_empty(), "excused, and there is a scenario: {both:?}");
        let made_up: Vec<_> = excused.difference(&rows).collect();
        assert!(made_up.is_empty(), "no rows of the catalogue: {made_up:?}");
        let missing: Vec<_> =
            rows.iter().filter(|row| !played.contains(*row) && !excused.contains(*row)).collect();
        assert!(missing.is_empty(), "neither a scenario nor a reason: {missing:?}");
    }
}
