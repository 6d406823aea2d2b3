//! Making the numbers of an example variable.

use std::ops::Range;

use super::{Draft, MOST_SLOTS};

/// Makes the numbers of an example variable where another number is as plausible, and the meaning stays `same`. What
/// lies in `taken` (rising, apart) is replaced by its draft instead.
pub fn loosened(text: &str, taken: &[(Range<usize>, Draft)], same: impl Fn(&str) -> bool) -> Vec<Draft> {
    let mut slots = taken.to_vec();
    for (start, end) in digit_runs(text) {
        let free = !taken.iter().any(|(range, _)| range.start < end && start < range.end);
        let Some((low, high)) = range_of(text, start, end).filter(|_| free && slots.len() < MOST_SLOTS)
        else {
            continue;
        };
        let other = if text[start..end].parse() == Ok(high) { low } else { high };
        if same(&format!("{}{other}{}", &text[..start], &text[end..])) {
            slots.push((start..end, Draft::Number(low, high)));
        }
    }
    slots.sort_by_key(|(range, _)| range.start);
    let mut pieces = Vec::new();
    let mut from = 0;
    for (range, draft) in slots {
        if from < range.start {
            pieces.push(Draft::Text(text[from..range.start].to_owned()));
        }
        pieces.push(draft);
        from = range.end;
    }
    if from < text.len() || pieces.is_empty() {
        pieces.push(Draft::Text(text[from..].to_owned()));
    }
    pieces
}

fn digit_runs(text: &str) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, _) in text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match runs.last_mut() {
            Some((_, end)) if *end == at => *end = at + 1,
            _ => runs.push((at, at + 1)),
        }
    }
    runs
}

/// What else may stand for a number: a share below 100, or a count, a line, a process id or the reference of an object
/// (`(2@Config.Startup`) of as many digits. Codes, versions, dates and parts of names stay.
fn range_of(text: &str, start: usize, end: usize) -> Option<(u32, u32)> {
    let (lead, after) = (&text[..start], &text[end..]);
    let is_reference = lead.ends_with('(') && after.starts_with('@');
    let is_of_a_copy = lead.ends_with(".cpf_");
    let stands_alone = lead.chars().next_back().is_none_or(|c| matches!(c, ' ' | '='))
        // Where in the source of the kernel it was raised.
        && !lead.ends_with("$ ")
        && !after.starts_with(['/', '-', ':', '_', ',', '+'])
        && !after.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if !(stands_alone || is_reference || is_of_a_copy) || text[start..].starts_with('0') {
        return None;
    }
    let digits = u32::try_from(end - start).ok().filter(|digits| *digits <= 6)?;
    if after.starts_with('%') {
        return Some((1, 99));
    }
    let counted = ["MB", " MB", " second", " minute", " day", " time", " block", " user"];
    let is_count = counted.iter().any(|unit| after.starts_with(unit));
    let named = ["line ", "pid ", "process ", "job "];
    let is_named = named.iter().any(|name| lead.to_ascii_lowercase().ends_with(name));
    if !(is_count || is_named || is_reference) && digits < 4 {
        return None;
    }
    Some((10_u32.pow(digits - 1).max(2), 10_u32.pow(digits) - 1))
}
