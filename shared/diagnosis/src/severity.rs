//! How grave an entry is, how sure one can be of what it means, and from where on that is enough to tell somebody, or to act.

use instance_contract::{RaisedBy, Severity};
use instance_knowledge::{Answer as Who, Condition, raised};

use crate::answer;

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
pub const fn least_to_act(severity: Severity) -> u8 {
    match severity {
        Severity::Fatal => 60,
        Severity::Severe => 70,
        Severity::Warning => 80,
        Severity::Info => 90,
    }
}

/// How sure one must be, in percent, before a person is told (F-102). The graver, the less.
pub const fn least_to_tell(severity: Severity) -> u8 {
    match severity {
        Severity::Fatal | Severity::Severe => 20,
        Severity::Warning => 40,
        Severity::Info => 70,
    }
}

/// How sure one can be of a text that no row knows: something is wrong, and nobody knows what. Enough to tell a person of
/// what is severe, and of nothing less.
pub(crate) const UNKNOWN: u8 = 20;

/// How sure one can be of what an entry means, in percent; `written` is the severity that IRIS wrote.
pub fn confidence(condition: Option<&Condition>, written: Severity) -> u8 {
    condition.map_or(UNKNOWN, |row| row.confidence(written.as_u8()))
}

/// Does an entry call for anything? What has a cure, or what only a look is needed for, always; else a person is told, if it
/// is grave and sure enough. What the catalogue calls normal is looked at where it is grave.
pub fn matters(condition: Option<&Condition>, severity: Severity, confidence: u8) -> bool {
    match condition {
        Some(row) if answer::has_runbook(&row.id) || row.answer == Who::Remedy => true,
        Some(row) if row.answer == Who::None => severity >= Severity::Severe,
        _ => confidence >= least_to_tell(severity),
    }
}

#[cfg(test)]
mod tests {
    use instance_knowledge::conditions;

    use super::*;

    const ALL: [Severity; 4] = [Severity::Info, Severity::Warning, Severity::Severe, Severity::Fatal];

    /// Three certainties stand in the catalogue: a wording as it was read in a source (95), one with another severity (75), and
    /// one that is a guess (60).
    #[test]
    fn the_graver_the_less_sure_one_must_be_to_act() {
        let enough = |sure: u8| ALL.map(|severity| sure >= least_to_act(severity));
        assert_eq!(enough(95), [true; 4]);
        assert_eq!(enough(75), [false, false, true, true]);
        assert_eq!(enough(60), [false, false, false, true]);
        assert_eq!(enough(UNKNOWN), [false; 4]);
        assert_eq!(ALL.map(least_to_act), [90, 80, 70, 60]);
    }

    #[test]
    fn the_graver_the_less_sure_one_must_be_to_tell_a_person() {
        let told = |sure: u8| ALL.map(|severity| matters(None, severity, sure));
        assert_eq!(ALL.map(least_to_tell), [70, 40, 20, 20]);
        assert_eq!(told(70), [true; 4]);
        assert_eq!(told(69), [false, true, true, true]);
        assert_eq!((told(40), told(39)), ([false, true, true, true], [false, false, true, true]));
        assert_eq!((told(UNKNOWN), told(19)), ([false, false, true, true], [false; 4]));
    }

    /// A wording that is a guess tells a person from a warning on, one that is known from anything on.
    #[test]
    fn what_is_for_a_person_is_told_by_severity_and_certainty() {
        let person = |row: &&Condition| row.answer == Who::Person && !answer::has_runbook(&row.id);
        let mut counts = [0, 0];
        for row in conditions().iter().filter(person) {
            let told = ALL.map(|written| matters(Some(row), written, confidence(Some(row), written)));
            assert_eq!(told, [row.wording_known, true, true, true], "{}", row.id);
            counts[usize::from(row.wording_known)] += 1;
        }
        assert!(counts.iter().all(|count| *count > 5), "{counts:?}");
    }

    #[test]
    fn what_raised_it_is_told() {
        let (severity, by) = judged(Severity::Warning, "the backup told of data loss", None, 1);
        assert_eq!((severity, by), (Severity::Fatal, vec![RaisedBy::Words]));
        let (severity, by) = judged(Severity::Warning, "some line", None, 10);
        assert_eq!((severity, by), (Severity::Severe, vec![RaisedBy::Frequency]));
    }
}
