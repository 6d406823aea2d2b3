use std::collections::{HashMap, VecDeque};

use super::{Document, document::Entry};

/// One parameter that two documents do not agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Section; empty for a line above the first section.
    pub section: String,
    /// Parameter.
    pub name: String,
    /// Its value in the first document; `None` when it is not there.
    pub before: Option<String>,
    /// Its value in the second document; `None` when it is not there.
    pub after: Option<String>,
    /// Its line in the first document, from 1.
    pub line_before: Option<usize>,
    /// Its line in the second document, from 1.
    pub line_after: Option<usize>,
}

type Key<'a> = (&'a str, &'a str);

/// The parameters that differ: changed and removed ones in the order of `a`, then added ones in the order of `b`.
///
/// Blank lines, comments, spaces and the order of lines make no difference. Where a name is repeated, equal values
/// are matched first and the rest in order.
pub fn diff(a: &Document, b: &Document) -> Vec<Difference> {
    let mut left_over = unmatched(a, b);
    let mut differences = Vec::new();
    for entry in unmatched_in_order(a, b) {
        let partner = left_over.get_mut(&key(&entry)).and_then(VecDeque::pop_front);
        differences.push(difference(Some(&entry), partner.as_ref()));
    }
    let mut added: Vec<Entry<'_>> = left_over.into_values().flatten().collect();
    added.sort_by_key(|entry| entry.line);
    differences.extend(added.iter().map(|entry| difference(None, Some(entry))));
    differences
}

/// The entries of `b` that no entry of `a` equals, by name.
fn unmatched<'b>(a: &Document, b: &'b Document) -> HashMap<Key<'b>, VecDeque<Entry<'b>>> {
    let mut by_key: HashMap<Key<'b>, VecDeque<Entry<'b>>> = HashMap::new();
    for entry in unmatched_in_order(b, a) {
        by_key.entry(key(&entry)).or_default().push_back(entry);
    }
    by_key
}

/// The entries of `a` that no entry of `b` equals; an entry of `b` stands for one of `a`.
fn unmatched_in_order<'a>(a: &'a Document, b: &Document) -> Vec<Entry<'a>> {
    let mut counts: HashMap<(Key<'_>, &str), usize> = HashMap::new();
    for entry in b.all_entries() {
        *counts.entry((key(&entry), entry.value)).or_default() += 1;
    }
    let mut unmatched = Vec::new();
    for entry in a.all_entries() {
        match counts.get_mut(&(key(&entry), entry.value)) {
            Some(count) if *count > 0 => *count -= 1,
            _ => unmatched.push(entry),
        }
    }
    unmatched
}

fn key<'a>(entry: &Entry<'a>) -> Key<'a> {
    (entry.section.unwrap_or(""), entry.name)
}

fn difference(before: Option<&Entry<'_>>, after: Option<&Entry<'_>>) -> Difference {
    let (section, name) = before.or(after).map(key).expect("one side is there");
    Difference {
        section: section.to_owned(),
        name: name.to_owned(),
        before: before.map(|entry| entry.value.to_owned()),
        after: after.map(|entry| entry.value.to_owned()),
        line_before: before.map(|entry| entry.line),
        line_after: after.map(|entry| entry.line),
    }
}
