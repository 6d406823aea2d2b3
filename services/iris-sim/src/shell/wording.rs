//! In which words an instance writes: those of the releases that are known, or those of one that nobody has written down yet.
//!
//! `mgr/wording` holding `unwritten` makes the instance one of a later release: some of its texts are other ones, and one of
//! them is graver. They are ours, and no row of the error catalogue means them.

use std::fs;

use crate::shell::folder::InstanceFolder;
use crate::world::act::{Entry, Severity};

/// How an instance puts things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wording {
    /// As the catalogue has it.
    #[default]
    Known,
    /// As a release that is not out yet might.
    Unwritten,
}

impl Wording {
    /// Of that instance. Anything but the one word leaves the known words.
    pub fn of(folder: &InstanceFolder) -> Self {
        let text = fs::read_to_string(folder.wording()).unwrap_or_default();
        if text.trim() == "unwritten" { Self::Unwritten } else { Self::Known }
    }

    /// The entry in these words.
    pub fn put(self, entry: Entry) -> Entry {
        match self {
            Self::Known => entry,
            Self::Unwritten => unwritten(entry),
        }
    }
}

fn unwritten(mut entry: Entry) -> Entry {
    let text = entry.text.as_str();
    let between = |before: &str, after: &str| text.strip_prefix(before)?.strip_suffix(after);
    let daemon = |before: &str, middle: &str, after: &str| {
        between(before, after)?.split_once(middle).map(|(name, pid)| (name.to_owned(), pid.to_owned()))
    };
    if let Some(directory) = between("Alternate journal directory ", " is invalid or unreachable") {
        entry.text = format!("Second journal location {directory} failed its access check");
    } else if text == "Warning: Alternate and primary journal directories are the same" {
        "No second journal location: alternate and current setting name the same place"
            .clone_into(&mut entry.text);
        entry.severity = Severity::Severe;
    } else if let Some((name, pid)) = daemon("System Process '", "' terminated abnormally (pid ", ")") {
        entry.text = format!("Server process {name} (pid {pid}) is no longer there");
    } else if let Some((name, pid)) = daemon("Daemon ", " (pid ", ") died. Freezing system") {
        entry.text = format!("Daemon {name} (pid {pid}) is gone: updates are held until the next restart");
    }
    entry
}

#[cfg(test)]
mod tests {
    use instance_knowledge::{Matcher, classify_error_type};

    use super::*;
    use crate::world::act::Writer;

    const TEXTS: [(&str, &str); 4] = [
        ("Alternate journal directory /j2/ is invalid or unreachable", "journal"),
        ("Warning: Alternate and primary journal directories are the same", "journal"),
        ("System Process 'WRTDMN' terminated abnormally (pid 12)", "resource"),
        ("Daemon WRTDMN (pid 12) died. Freezing system", "resource"),
    ];

    /// Else the words would not be unknown, or not of the same kind of trouble, and no scenario would be about that.
    #[test]
    fn the_catalogue_knows_the_texts_and_not_how_a_later_release_puts_them() {
        for (text, kind) in TEXTS {
            assert!(Matcher::in_force().classify(text).is_some(), "{text}");
            let entry = Entry::kernel(Writer::Control, Severity::Severe, text);
            assert_eq!(Wording::Known.put(entry.clone()), entry);
            let put = Wording::Unwritten.put(entry).text;
            assert_eq!(Matcher::in_force().classify(&put).map(|row| &row.id), None, "{put}");
            assert_eq!(classify_error_type(&put, 2, None).as_str(), kind, "{put}");
        }
    }

    #[test]
    fn other_texts_stay() {
        let entry = Entry::kernel(Writer::Control, Severity::Info, "Initializing IRIS");
        assert_eq!(Wording::Unwritten.put(entry.clone()), entry);
    }

    #[test]
    fn a_later_release_finds_one_directory_for_both_graver() {
        let entry = Entry::kernel(Writer::Control, Severity::Warning, TEXTS[1].0);
        assert_eq!(Wording::Unwritten.put(entry).severity, Severity::Severe);
    }
}
