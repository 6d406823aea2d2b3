//! Named points at which a process can be made to die or to freeze, for `cargo xtask crash`.
//!
//! Without the feature `crashpoints` a point is nothing. With it, and one of these variables, it counts how often it
//! is passed in this process:
//!
//! - `CRASH_AT=name:ordinal`: at that passing of that point the process kills itself, as `kill -9` does;
//! - `PAUSE_AT=name:ordinal`: there it freezes itself, as `kill -STOP` does;
//! - `CRASH_LOG=path`: every passing adds the name of its point to the file, one a line.
//!
//! The proof in `tests/proofs/crash` finds the points by reading the sources, so a name is always written as a plain
//! text in the call, and stands in one call only.

/// Here a process may be made to end. Costs nothing without the feature `crashpoints`.
#[cfg(not(feature = "crashpoints"))]
#[inline]
pub fn crash_point(_name: &'static str) {}

#[cfg(feature = "crashpoints")]
pub use armed::crash_point;

#[cfg(feature = "crashpoints")]
mod armed {
    use std::{
        collections::BTreeMap,
        env,
        fs::File,
        io::Write as _,
        path::PathBuf,
        sync::{Mutex, OnceLock, PoisonError},
    };

    use nix::sys::signal::{Signal, raise};

    /// Here a process may be made to end.
    pub fn crash_point(name: &'static str) {
        static POINTS: OnceLock<Option<Mutex<Points>>> = OnceLock::new();
        let Some(points) = POINTS.get_or_init(|| Points::from_environment().map(Mutex::new)) else { return };
        // The guard is held while the signal is raised: nobody passes another point first.
        let mut points = points.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signal) = points.pass(name) {
            raise(signal).expect("a process may signal itself");
        }
    }

    /// One passing of one point.
    #[derive(Debug, PartialEq, Eq)]
    struct Passing {
        name: String,
        ordinal: u64,
    }

    impl Passing {
        fn parse(raw: &str) -> Option<Self> {
            let (name, ordinal) = raw.rsplit_once(':')?;
            Some(Self {
                name: name.to_owned(),
                ordinal: ordinal.parse().ok().filter(|ordinal| *ordinal > 0)?,
            })
        }

        fn named(variable: &str) -> Option<Self> {
            let raw = env::var(variable).ok()?;
            // A proof that kills nobody would prove nothing.
            Some(Self::parse(&raw).unwrap_or_else(|| panic!("{variable}={raw} is not name:ordinal")))
        }
    }

    /// What was asked for, and how often each point was passed.
    #[derive(Default)]
    struct Points {
        crash: Option<Passing>,
        pause: Option<Passing>,
        log: Option<PathBuf>,
        passed: BTreeMap<&'static str, u64>,
    }

    impl Points {
        /// `None` when nothing is asked for.
        fn from_environment() -> Option<Self> {
            let log = env::var_os("CRASH_LOG").map(PathBuf::from);
            let (crash, pause) = (Passing::named("CRASH_AT"), Passing::named("PAUSE_AT"));
            let wanted = crash.is_some() || pause.is_some() || log.is_some();
            wanted.then(|| Self { crash, pause, log, passed: BTreeMap::new() })
        }

        fn pass(&mut self, name: &'static str) -> Option<Signal> {
            let count = self.passed.entry(name).or_default();
            *count += 1;
            let passing = Passing { name: name.to_owned(), ordinal: *count };
            if let Some(path) = &self.log {
                let noted = File::options()
                    .create(true)
                    .append(true)
                    .open(path)
                    .and_then(|mut file| file.write_all(format!("{name}\n").as_bytes()));
                noted.unwrap_or_else(|error| panic!("could not note {name} in {}: {error}", path.display()));
            }
            if self.crash.as_ref() == Some(&passing) {
                return Some(Signal::SIGKILL);
            }
            (self.pause.as_ref() == Some(&passing)).then_some(Signal::SIGSTOP)
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_passing_is_a_name_and_a_number_from_one() {
            let passing = |name: &str, ordinal| Some(Passing { name: name.to_owned(), ordinal });
            assert_eq!(Passing::parse("router.ended-written:2"), passing("router.ended-written", 2));
            for wrong in ["router.ended-written", "router.ended-written:0", "router.ended-written:x", ""] {
                assert_eq!(Passing::parse(wrong), None, "{wrong}");
            }
        }

        #[test]
        fn only_the_asked_passing_of_the_asked_point_ends_the_process() {
            let folder = tempfile::tempdir().unwrap();
            let log = folder.path().join("passed");
            let mut points = Points {
                crash: Passing::parse("a:2"),
                pause: Passing::parse("b:1"),
                log: Some(log.clone()),
                ..Points::default()
            };
            let signals = ["a", "c", "a", "a", "b", "b"].map(|name| points.pass(name));
            let (kill, stop) = (Some(Signal::SIGKILL), Some(Signal::SIGSTOP));
            assert_eq!(signals, [None, None, kill, None, stop, None]);
            assert_eq!(std::fs::read_to_string(log).unwrap(), "a\nc\na\na\nb\nb\n");
        }
    }
}
