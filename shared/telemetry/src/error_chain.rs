//! An error with everything beneath it, on one line.

use std::error::Error;

/// Prints `error` and its sources, outermost first: `could not read "x": permission denied`.
///
/// Our errors print themselves and never their source, so this is the one place where the whole story is told.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        told.push_str(": ");
        told.push_str(&cause.to_string());
        source = cause.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not read the settings")]
    struct Outer {
        source: std::num::ParseIntError,
    }

    #[test]
    fn every_cause_is_told_once_and_in_order() {
        let source = "x".parse::<u8>().unwrap_err();
        assert_eq!(
            error_chain(&Outer { source }),
            "could not read the settings: invalid digit found in string"
        );
    }
}
