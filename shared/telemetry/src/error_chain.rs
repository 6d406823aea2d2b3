//! An error with everything beneath it, on one line.

use std::error::Error;

/// Prints `error` and its sources, outermost first, without secrets: `could not read "x": permission denied`.
///
/// Our errors print themselves and never their source, so this is the one place where the whole story is told.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Errors of other crates often print their source themselves.
        if !told.ends_with(&text) {
            told.push_str(": ");
            told.push_str(&text);
        }
        source = cause.source();
    }
    instance_redaction::redacted(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not read the settings")]
    struct Outer {
        source: std::num::ParseIntError,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("they said: {source}")]
    struct Foreign {
        source: std::num::ParseIntError,
    }

    #[test]
    fn every_cause_is_told_once_and_in_order() {
        let source = "x".parse::<u8>().unwrap_err();
        assert_eq!(
            error_chain(&Outer { source }),
            "could not read the settings: invalid digit found in string"
        );
        let source = "x".parse::<u8>().unwrap_err();
        assert_eq!(error_chain(&Foreign { source }), "they said: invalid digit found in string");
    }
}
