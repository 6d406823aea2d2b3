//! How sure one must be, and how graver is counted.

use instance_contract::{RaisedBy, Severity};
use instance_knowledge::{Condition, raised};

/// How grave an entry is, and what makes it graver than IRIS wrote. `times`: how often the like was seen lately.
pub(crate) fn judged(
    stated: Severity,
    text: &str,
    condition: Option<&Condition>,
    times: u64,
) -> (Severity, Vec<RaisedBy>) {
    let raised = raised(stated.as_u8(), text, condition, times);
    let by = raised.by.iter().map(|by| match by {
        instance_knowledge::RaisedBy::Catalogue => RaisedBy::Catalogue,
        instance_knowledge::RaisedBy::Word(_) => RaisedBy::Words,
        instance_knowledge::RaisedBy::Frequency => RaisedBy::Frequency,
    });
    (Severity::try_from(raised.severity).unwrap_or(stated), by.collect())
}

/// How sure one must be, in percent, before something is done without a person. The graver, the more an attempt is worth.
pub(crate) fn least_confidence(severity: Severity) -> u8 {
    match severity {
        Severity::Fatal => 60,
        Severity::Severe => 70,
        Severity::Warning => 80,
        Severity::Info => 90,
    }
}

/// How sure one can be of a text that no row knows: something is wrong, and nobody knows what.
pub(crate) const UNKNOWN: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Two certainties stand in the catalogue: a wording that was read in a source (95), and one that is a guess (60).
    #[test]
    fn a_guess_is_enough_for_the_fatal_alone_and_a_wording_that_is_known_for_all() {
        let enough = |sure: u8| {
            [Severity::Info, Severity::Warning, Severity::Severe, Severity::Fatal]
                .map(|severity| sure >= least_confidence(severity))
        };
        assert_eq!(enough(95), [true; 4]);
        assert_eq!(enough(60), [false, false, false, true]);
        assert_eq!(enough(UNKNOWN), [false; 4]);
        for (severity, least) in
            [(Severity::Info, 90), (Severity::Warning, 80), (Severity::Severe, 70), (Severity::Fatal, 60)]
        {
            assert_eq!(least_confidence(severity), least);
        }
    }

    #[test]
    fn what_raised_it_is_told() {
        let (severity, by) = judged(Severity::Warning, "the backup told of data loss", None, 1);
        assert_eq!((severity, by), (Severity::Fatal, vec![RaisedBy::Words]));
        let (severity, by) = judged(Severity::Warning, "some line", None, 10);
        assert_eq!((severity, by), (Severity::Severe, vec![RaisedBy::Frequency]));
    }
}
