//! What changed between two moments, to the byte.

use super::snapshot::Snapshot;

/// The lines that differ, old and new, where the number of lines is the same; else one pair of everything between the
/// first and the last difference.
pub(super) fn changed_lines(before: &[u8], after: &[u8]) -> Vec<(String, String)> {
    let old: Vec<&[u8]> = before.split(|byte| *byte == b'\n').collect();
    let new: Vec<&[u8]> = after.split(|byte| *byte == b'\n').collect();
    let text = |lines: &[&[u8]]| String::from_utf8_lossy(&lines.join(&b'\n')).into_owned();
    if old.len() == new.len() {
        let pairs = old.iter().zip(&new).filter(|(old, new)| old != new);
        return pairs.map(|(old, new)| (text(&[old]), text(&[new]))).collect();
    }
    let head = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let rest = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
    vec![(text(&old[head..old.len() - tail]), text(&new[head..new.len() - tail]))]
}

/// Everything that changed, one line each, for people.
pub fn differences(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let mut told = Vec::new();
    for (old, new) in changed_lines(&before.cpf, &after.cpf) {
        told.push("iris.cpf".to_owned());
        told.extend(old.lines().map(|line| format!("  -{line}")));
        told.extend(new.lines().map(|line| format!("  +{line}")));
    }
    let shown = |value: Option<&Vec<u8>>| {
        value.map_or_else(|| "absent".to_owned(), |bytes| String::from_utf8_lossy(bytes).trim().to_owned())
    };
    let names = before.host.keys().chain(after.host.keys().filter(|name| !before.host.contains_key(*name)));
    for name in names {
        let (old, new) = (before.host.get(name), after.host.get(name));
        if old != new {
            told.push(format!("host {name}: {} -> {}", shown(old), shown(new)));
        }
    }
    for name in after.backups.iter().filter(|name| !before.backups.contains(name)) {
        told.push(format!("new backup {name}"));
    }
    for (role, pid) in &after.processes {
        if before.process(role) != Some(*pid) {
            let old = before.process(role).map_or_else(|| "none".to_owned(), |pid| pid.to_string());
            told.push(format!("process {role}: {old} -> {pid}"));
        }
    }
    let word = |snapshot: &Snapshot| format!("{} {}", snapshot.state(), snapshot.health());
    if word(before) != word(after) {
        told.push(format!("iris qlist: {} -> {}", word(before), word(after)));
    }
    told
}
