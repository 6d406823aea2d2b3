//! Planted faults, one of which can be chosen, so that `cargo xtask mutants` can see whether the proofs find it.
//!
//! Without the feature `mutants` there are none. With it, the one that the variable `MUTANT` names is in force for as
//! long as the process lives.
//!
//! `cargo xtask mutants` finds the places by reading the sources, so a name is always written as a plain text in the
//! call, and stands in one call only. Pure rooms cannot ask here: they are handed the name within their policy.

/// Is this fault planted here? Costs nothing without the feature `mutants`.
#[cfg(not(feature = "mutants"))]
#[inline]
pub const fn mutant(_name: &'static str) -> bool {
    false
}

/// Is this fault planted here?
#[cfg(feature = "mutants")]
pub fn mutant(name: &'static str) -> bool {
    chosen_mutant().as_deref() == Some(name)
}

/// What the variable `MUTANT` names, for whoever hands it on.
#[cfg(feature = "mutants")]
pub fn chosen_mutant() -> &'static Option<String> {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("MUTANT").ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_nobody_has_chosen_is_not_planted() {
        assert!(!mutant("no such fault"));
    }
}
