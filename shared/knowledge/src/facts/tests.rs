use serde_json::json;

use super::row::read;
use super::{FactKind, FactValue, Facts, UnknownFact, facts};
use crate::catalogue::Catalogue;
use crate::cpf_parameter::parameter;

#[test]
fn every_built_in_row_is_good() {
    read("facts.toml", include_str!("../../data/facts.toml")).unwrap();
    for kind in [FactKind::Number, FactKind::Flag, FactKind::Text] {
        assert!(facts().iter().any(|fact| fact.kind == kind), "{kind}");
    }
}

#[test]
fn facts_name_conditions_and_parameters_that_exist_and_entries_that_hold_them() {
    for fact in facts() {
        for text in &fact.entry {
            let condition = Catalogue::builtin().condition(&text.condition).expect(&fact.name);
            let mut known = Facts::default();
            for wording in &condition.wordings {
                known.learn_from_entry(&condition.id, &wording.example);
            }
            assert!(known.get(&fact.name).is_some(), "no example of {} holds {}", condition.id, fact.name);
        }
        if let Some(name) = fact.asked.as_ref().and_then(|asked| asked.cpf.as_ref()) {
            assert!(parameter(&name.section, &name.parameter).is_some(), "{}", fact.name);
        }
    }
}

#[test]
fn the_answers_of_agents_become_facts() {
    let mut known = Facts::default();
    known.learn_from_agent(
        "os",
        &json!({
            "memory": {"total_kb": 16_777_216, "huge_page_kb": 2048},
            "parameters": {"vm.nr_hugepages": {"value": "100"}},
            "without_right_to_huge_pages": ["PROD"],
        }),
    );
    known.learn_from_agent("restart", &json!({"state": "running", "users": {"open_transactions": null}}));
    assert_eq!(known.number("host.memory-mb"), Some(16_384));
    assert_eq!(known.number("host.huge-pages"), Some(100));
    assert_eq!(known.number("host.instances-without-right-to-huge-pages"), Some(1));
    assert_eq!(known.text("instance.state"), Some("running"));
    assert_eq!(known.get("instance.open-transactions"), None, "null is not zero");
    // What another agent says at the same place is not taken for it.
    let mut other = Facts::default();
    other.learn_from_agent("config", &json!({"state": "running"}));
    assert!(other.is_empty());
}

#[test]
fn an_entry_names_figures_and_the_newest_one_counts() {
    let mut known = Facts::default();
    let text = |mb: u64| format!("Failed to allocate {mb}MB shared memory using Huge Pages.  Startup");
    known.learn_from_entry("huge-pages-too-few", &text(742));
    known.learn_from_entry("huge-pages-too-few", &text(801));
    assert_eq!(known.number("memory.refused-mb"), Some(801));
    // Another condition with the same words says nothing about it.
    let mut none = Facts::default();
    none.learn_from_entry("journal-in-use", &text(742));
    for odd in
        ["Failed to allocate MB shared memory using Huge Pages", "Failed to allocate 99999999999999999999MB"]
    {
        none.learn_from_entry("huge-pages-too-few", odd);
    }
    assert!(none.is_empty());
}

#[test]
fn a_fact_has_a_row_and_is_of_its_kind() {
    let mut known = Facts::default();
    assert_eq!(
        known.set("host.colour", FactValue::Number(1)),
        Err(UnknownFact::NoSuchFact("host.colour".into()))
    );
    let error = known.set("host.memory-mb", FactValue::Text("much".into())).unwrap_err();
    assert_eq!(error.to_string(), "fact \"host.memory-mb\" cannot be much: its row says a number");
    known.set("cpf.path", FactValue::Text("x".repeat(Facts::LONGEST_TEXT + 1))).unwrap();
    assert!(known.is_empty(), "a text without end is no fact");
}

#[test]
fn a_bad_row_is_refused_with_file_row_and_rule() {
    let good = include_str!("../../data/facts.toml");
    for (from, to, rule) in [
        ("\"host.memory-mb\"", "\"host_memory\"", "two lower-case words"),
        ("unit = \"MB\"\n", "", "numbers alone have a unit"),
        ("agent = \"os\"", "agent = \"ops\"", "config, os or restart"),
        ("/values/config/globals", "/globals", "told by config at"),
        ("parameter = \"globals\"", "parameter = \"golbals\"", "told by config at"),
    ] {
        assert!(good.contains(from), "{from}");
        let error = read("mine.toml", &good.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains("mine.toml") && error.contains(rule), "{error}");
    }
}
