//! The scenarios of the tree, compiled in.

use std::sync::LazyLock;

use crate::scenario::Scenario;

/// All of them, by name.
pub fn built_in() -> &'static [Scenario] {
    &SCENARIOS
}

/// One of them.
pub fn built_in_named(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

include!(concat!(env!("OUT_DIR"), "/files.rs"));

static SCENARIOS: LazyLock<Vec<Scenario>> = LazyLock::new(|| {
    let read = |(name, text): &(&str, &str)| {
        Scenario::read(name, text).expect("the built-in scenarios are checked by a test")
    };
    FILES.iter().map(read).collect()
});

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use instance_knowledge::runbook::runbooks;

    use super::built_in;
    use crate::scenario::Scenario;
    use crate::truth::Answer;

    #[test]
    fn every_runbook_is_run_against_a_scenario() {
        for runbook in runbooks() {
            let answered = |condition: &String| {
                let mut truths = built_in().iter().flat_map(|scenario| &scenario.truth);
                truths.any(|truth| {
                    truth.condition == *condition && (truth.answer == Answer::Remedy) == runbook.cures
                })
            };
            let missing: Vec<_> = runbook.conditions.iter().filter(|id| !answered(id)).collect();
            assert!(missing.is_empty(), "{}: {missing:?}", runbook.id);
        }
    }

    /// What issue 5 asks for, at least.
    #[test]
    fn there_are_as_many_scenarios_of_each_kind_as_were_asked_for() {
        let count = |is_one: &dyn Fn(&Scenario) -> bool| built_in().iter().filter(|it| is_one(it)).count();
        let all = |scenario: &Scenario, answer| scenario.truth.iter().all(|truth| truth.answer == answer);
        let kinds = [
            ("of any kind", 30, count(&|_| true)),
            ("that are for a person alone", 6, count(&|it| all(it, Answer::Person))),
            ("with two faults at once", 4, count(&|it| it.truth.len() > 1)),
            ("that need nothing", 3, count(&|it| all(it, Answer::Nothing))),
            ("that come and go", 2, count(&|it| it.flapping)),
        ];
        for (kind, wanted, found) in kinds {
            assert!(found >= wanted, "{found} scenarios {kind}, and not {wanted}");
        }
    }

    #[test]
    fn no_two_scenarios_have_the_same_cause_and_enough_came_after_the_rules() {
        let causes: Vec<_> =
            built_in().iter().flat_map(|scenario| &scenario.truth).map(|truth| &truth.cause).collect();
        assert_eq!(causes.iter().collect::<BTreeSet<_>>().len(), causes.len());
        let added = built_in().iter().filter(|scenario| scenario.added_after_rules).count();
        assert!(added >= 8, "{added} scenarios were written after the rules were frozen");
    }
}
