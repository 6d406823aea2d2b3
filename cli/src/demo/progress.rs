//! What happens, as it happens, on stderr: seconds since the beginning, then one line.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use crate::output::printable;

/// The clock and the voice of one demo.
#[derive(Debug)]
pub struct Progress {
    began: Instant,
    quiet: bool,
}

impl Progress {
    pub fn begin(quiet: bool) -> Self {
        Self { began: Instant::now(), quiet }
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub fn say(&self, text: &str) {
        if self.quiet {
            return;
        }
        let seconds = self.began.elapsed().as_secs_f64();
        let mut stderr = io::stderr().lock();
        for (index, line) in printable(text).lines().enumerate() {
            // Nobody can be told that telling failed.
            let _ = if index == 0 {
                writeln!(stderr, "{seconds:7.2} s  {line}")
            } else {
                writeln!(stderr, "           {line}")
            };
        }
    }
}
