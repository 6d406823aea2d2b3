//! Which databases an instance has mounted, as its log tells: `Mounted database <directory> (SFN n) read-write.`

use std::collections::BTreeMap;

use instance_iris::{cpf::Document, messages_log::Entry};

/// Directory to "may it be written".
pub type Mounted = BTreeMap<String, bool>;

/// All that these entries tell of; the last word counts.
pub fn mounted(entries: &[Entry]) -> Mounted {
    let told = entries.iter().filter_map(|entry| {
        let text = entry.message_text();
        let (directory, how) = text.trim().strip_prefix("Mounted database ")?.split_once(" (SFN ")?;
        Some((directory.to_owned(), how.contains("read-write")))
    });
    told.collect()
}

/// What a start itself mounts. A database that an application mounts later is mounted by it again.
pub fn mounted_by_the_start(entries: &[Entry]) -> Mounted {
    let end = entries.iter().position(|entry| entry.message_text().contains("Enabling logons"));
    mounted(&entries[..end.unwrap_or(entries.len())])
}

/// Those that the CPF wants mounted at each start (`NAME=directory,,1`, the third field: "mount at start"). Remote ones
/// have a second field, and are mounted elsewhere.
pub fn required(cpf: &Document) -> Mounted {
    let wanted = cpf.entries("Databases").filter_map(|entry| {
        let mut fields = entry.value.split(',').map(str::trim);
        let (directory, remote, at_start) = (fields.next()?, fields.next()?, fields.next()?);
        (remote.is_empty() && at_start == "1").then(|| (directory.to_owned(), false))
    });
    wanted.collect()
}

/// Those that were mounted before the restart, that the CPF still knows, and that are not there now, or only for
/// reading. In words.
pub fn missing(before: &Mounted, now: &Mounted, cpf: &Document) -> Vec<String> {
    let known = |directory: &String| {
        let directories =
            cpf.entries("Databases").map(|entry| entry.value.split(',').next().unwrap_or_default());
        directories.map(str::trim).any(|known| bare(known) == bare(directory))
    };
    let missing =
        before.iter().filter(|(directory, _)| known(directory)).filter_map(|(directory, writable)| match now
            .iter()
            .find_map(|(mounted, writable)| (bare(mounted) == bare(directory)).then_some(writable))
        {
            None => Some(format!("database {directory} is not mounted")),
            Some(false) if *writable => Some(format!("database {directory} is mounted read-only")),
            Some(_) => None,
        });
    missing.collect()
}

fn bare(directory: &str) -> &str {
    directory.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use instance_iris::messages_log::parse;

    use super::*;

    fn log(lines: &[&str]) -> Mounted {
        let stamped = |line: &&str| format!("11/14/25-09:45:55:657 (507) 0 [Utility.Event] {line}");
        let lines = lines.iter().map(stamped).collect::<Vec<_>>().join("\n") + "\n";
        mounted(&parse(lines.as_bytes()))
    }

    #[test]
    fn what_an_application_mounts_later_is_not_the_starts() {
        let line = |text: &str| format!("11/14/25-09:45:55:657 (507) 0 [Utility.Event] {text}\n");
        let mount = |directory: &str| line(&format!("Mounted database {directory} (SFN 0) read-write."));
        let log = [mount("/p/mgr/"), line("Enabling logons"), mount("/p/mgr/user/")].concat();
        let entries = parse(log.as_bytes());
        assert_eq!(mounted_by_the_start(&entries).keys().collect::<Vec<_>>(), ["/p/mgr/"]);
        assert_eq!(mounted(&entries).len(), 2);
    }

    #[test]
    fn the_cpf_tells_what_a_start_must_mount() {
        let cpf = Document::parse(
            b"[Databases]\nIRISSYS=/p/mgr/\nUSER=/p/mgr/user,,1\nAPP=/p/app/,,0\nFAR=/r/x/,SRV,1\nM=:mirror:M:DB,S,1\n",
        );
        assert_eq!(required(&cpf).into_iter().collect::<Vec<_>>(), [("/p/mgr/user".to_owned(), false)]);
        let now = log(&["Mounted database /p/mgr/user/ (SFN 5) read-write."]);
        assert!(missing(&required(&cpf), &now, &cpf).is_empty(), "a slash more is the same directory");
        assert_eq!(missing(&required(&cpf), &log(&[]), &cpf), ["database /p/mgr/user is not mounted"]);
    }

    #[test]
    fn what_was_mounted_and_is_no_more_is_told() {
        let before = log(&[
            "Mounted database /p/mgr/ (SFN 0) read-write.",
            "Mounted database /p/mgr/irislib/ (SFN 1) read-only. Database label is marked read-only. ",
            "Mounted database /p/mgr/user/ (SFN 5) read-write.",
            "Mounted database /p/mgr/gone/ (SFN 6) read-write.",
            "Enabling logons",
        ]);
        assert_eq!(before.len(), 4);
        let cpf =
            Document::parse(b"[Databases]\nIRISSYS=/p/mgr/\nIRISLIB=/p/mgr/irislib/\nUSER=/p/mgr/user,,1\n");
        let now = log(&["Mounted database /p/mgr/ (SFN 0) read-only."]);
        assert_eq!(
            missing(&before, &now, &cpf),
            [
                "database /p/mgr/ is mounted read-only",
                "database /p/mgr/irislib/ is not mounted",
                "database /p/mgr/user/ is not mounted",
            ]
        );
        assert!(missing(&before, &before, &cpf).is_empty());
    }
}
