//! Severity beyond the digit that IRIS wrote, and how sure a classification is.

use instance_contract::Severity;

/// Words that mean that users or data are hurt, whatever the digit says. Lower case; whole words.
const WORDS: &[&str] = &["panic", "corrupt", "corrupted", "corruption", "frozen", "freezing", "hung"];

/// Whether a text holds such a word as a whole word.
pub(crate) fn has_grave_word(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric())
        .any(|word| WORDS.iter().any(|grave| word.eq_ignore_ascii_case(grave)))
}

/// One step higher, never beyond fatal.
pub(crate) fn raised(severity: Severity) -> Severity {
    match severity {
        Severity::Info => Severity::Warning,
        Severity::Warning => Severity::Severe,
        Severity::Severe | Severity::Fatal => Severity::Fatal,
    }
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

/// How sure the catalogue is of a row: its wording was seen in a real log, or is a guess of ours.
pub(crate) fn confidence(wording_known: Option<bool>) -> u8 {
    match wording_known {
        Some(true) => 95,
        Some(false) => 50,
        None => 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_count() {
        assert!(has_grave_word("write daemon in PANIC mode"));
        assert!(has_grave_word("(database) corrupt"));
        assert!(!has_grave_word("the panicked user hungered for uncorrupted data"));
    }

    #[test]
    fn it_never_goes_beyond_fatal_and_the_grave_need_less() {
        assert_eq!(raised(Severity::Info), Severity::Warning);
        assert_eq!(raised(Severity::Fatal), Severity::Fatal);
        assert!(least_confidence(Severity::Fatal) < least_confidence(Severity::Info));
        assert!(confidence(Some(true)) >= least_confidence(Severity::Info));
        assert!(confidence(Some(false)) < least_confidence(Severity::Fatal));
    }
}
