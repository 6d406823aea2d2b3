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
