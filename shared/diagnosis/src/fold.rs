//! Folding of texts: what varies between two tellings of the same trouble goes.

use instance_contract::Digest;

/// Longest text that is folded, in bytes: what tells one trouble from another stands at the beginning, and a comparison
/// costs the product of both lengths.
const LONGEST: usize = 256;

/// Lower case, blanks single, and one sign for each number, path and hexadecimal word.
pub fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST));
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        push_word(&mut out, word);
        if out.len() >= LONGEST {
            break;
        }
    }
    let end = (0..=LONGEST.min(out.len())).rev().find(|index| out.is_char_boundary(*index)).unwrap_or(0);
    out.truncate(end);
    out
}

fn push_word(out: &mut String, word: &str) {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/' && c != '\\');
    let hexadecimal = bare.len() >= 6
        && bare.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
        && bare.chars().any(|c| c.is_ascii_digit());
    if bare.contains(['/', '\\']) && bare.len() > 1 {
        out.push('~');
    } else if hexadecimal {
        out.push('#');
    } else {
        let mut in_number = false;
        for c in word.chars() {
            if c.is_ascii_digit() {
                if !in_number {
                    out.push('#');
                }
                in_number = true;
            } else {
                in_number = false;
                out.extend(c.to_lowercase());
            }
        }
    }
}

/// SHA-256 of the folded text: the same trouble has the same one.
pub fn fingerprint(text: &str) -> Digest {
    Digest::of(folded(text).as_bytes())
}

/// Likeness of two folded texts, from 0 to 1 (one minus the edits needed for each character of the longer one).
pub fn similarity(one: &str, other: &str) -> f64 {
    strsim::normalized_levenshtein(one, other)
}

/// Whether two texts of these lengths can be as alike as that at all: each character too many is one edit.
pub(crate) fn may_be_similar(one: &str, other: &str, least: f64) -> bool {
    let (short, long) = (one.len().min(other.len()), one.len().max(other.len()));
    // Lengths are at most LONGEST, so this is exact.
    long == 0
        || f64::from(u32::try_from(short).unwrap_or(0)) / f64::from(u32::try_from(long).unwrap_or(1)) >= least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_goes() {
        let told = [
            ("Daemon WRTDMN (pid 4411) died.", "daemon wrtdmn (pid #) died."),
            ("could not open /usr/irissys/mgr/iris.dat, error 13", "could not open ~ error #"),
            ("C:\\iris\\mgr is  full", "~ is full"),
            ("job 00FF12AB at 0x1f", "job # at #x#f"),
            ("", ""),
        ];
        for (text, expected) in told {
            assert_eq!(folded(text), expected, "{text}");
        }
        assert_eq!(fingerprint("took 10 ms"), fingerprint("took  2000 MS"));
        assert!(folded(&"ä ".repeat(10_000)).len() <= LONGEST);
    }

    #[test]
    fn likeness_is_that_of_the_texts() {
        let (one, other) = (folded("lock table full on node A7"), folded("lock table full on node B12"));
        assert!(similarity(&one, &other) >= 0.82);
        assert!(similarity(&one, &folded("mirror member has left")) < 0.82);
        assert!(may_be_similar("abcd", "abcde", 0.8) && !may_be_similar("ab", "abcde", 0.8));
    }
}
