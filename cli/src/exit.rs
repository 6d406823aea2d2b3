//! How the command ends: the published exit codes (`docs/exit-codes.md`), and errors that know theirs.

use std::{fmt, io, process::ExitCode};

use crate::online;

/// The exit codes of `instance`. Scripts rely on them; a number never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, and where something was changed, verified.
    Done = 0,
    /// It failed, or what was checked is not as it should be.
    Failure = 1,
    /// The arguments make no sense together.
    Usage = 2,
    /// Refused, by a rule, by policy, or because somebody else was first.
    Refused = 3,
    /// Executed, but not verified: a change stayed in place and a person has to look.
    NotVerified = 4,
    /// Something failed and everything done was taken back.
    Undone = 5,
    /// The time for waiting is over; the work may go on.
    TimedOut = 6,
    /// NATS cannot be reached.
    BusUnreachable = 7,
    /// What was asked for does not exist.
    NotFound = 8,
    /// A settings file, a variable or a flag holds something that cannot be used.
    BadConfiguration = 78,
    /// Ctrl-C while waiting.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that decides the exit code, with what the operator can do next.
#[derive(Debug)]
pub struct Stop {
    pub exit: Exit,
    message: String,
    next: Option<String>,
}

impl Stop {
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), next: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn next(mut self, next: impl fmt::Display) -> Self {
        self.next = Some(next.to_string());
        self
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Stop {}

/// The exit code that an error asks for; 1 when nobody in the chain knows better.
pub fn of(error: &anyhow::Error) -> Exit {
    verdict(error).map_or(Exit::Failure, |(exit, _)| exit)
}

/// What to do about an error, where somebody in the chain knows.
pub fn next_step(error: &anyhow::Error) -> Option<&str> {
    verdict(error).and_then(|(_, next)| next)
}

fn verdict(error: &anyhow::Error) -> Option<(Exit, Option<&str>)> {
    error.chain().find_map(|cause| match cause.downcast_ref::<Stop>() {
        Some(stop) => Some((stop.exit, stop.next.as_deref())),
        None => online::verdict(cause).map(|(exit, next)| (exit, Some(next))),
    })
}

/// The whole chain on one line. Many causes repeat themselves inside the text above them; those are told once.
pub fn told(error: &anyhow::Error) -> String {
    chain(error.as_ref())
}

/// As [`told`], for an error of any type.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// Did the reader of our output go away (`| head`)? That is no failure of ours.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let broken = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| {
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        cause.downcast_ref::<io::Error>().is_some_and(broken) || json == Some(io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_error_keeps_its_exit_code_and_advice_under_any_context() {
        let error = Err::<(), _>(Stop::new(Exit::NotFound, "no such thing").next("look elsewhere"));
        let error = error.context("could not find it").unwrap_err();
        assert_eq!(of(&error), Exit::NotFound);
        assert_eq!(next_step(&error), Some("look elsewhere"));
        assert_eq!(of(&anyhow::anyhow!("something else")), Exit::Failure);
    }

    #[test]
    fn a_cause_that_repeats_itself_is_told_once() {
        let error = anyhow::anyhow!("refused").context("IO error: refused").context("could not connect");
        assert_eq!(told(&error), "could not connect: IO error: refused");
    }

    #[test]
    fn a_reader_that_goes_away_is_recognised() {
        let gone = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("could not write");
        assert!(is_closed_pipe(&gone));
        assert!(!is_closed_pipe(&anyhow::Error::from(io::Error::from(io::ErrorKind::NotFound))));
    }
}
