//! Folding: how texts are compared.

/// ASCII letters in lower case, every run of blanks one space, none at the ends.
///
/// Real messages carry double spaces, tabs, line breaks and trailing blanks where the documents show one space.
pub fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_ascii_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(word.chars().map(|character| character.to_ascii_lowercase()));
    }
    folded
}

/// True for the ids of rows: lower-case words joined by single hyphens, at most 64 bytes.
pub fn is_kebab_case(id: &str) -> bool {
    let word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    id.len() <= 64 && id.split('-').all(word)
}

#[cfg(test)]
mod tests {
    use super::{folded, is_kebab_case};

    #[test]
    fn blanks_and_case_do_not_matter() {
        assert_eq!(folded("  Journaling NOT  started.\r\n\tNext "), "journaling not started. next");
        assert_eq!(folded("ÄB"), "Äb");
        assert_eq!(folded(" \n"), "");
    }

    #[test]
    fn ids_are_words_joined_by_hyphens() {
        assert!(is_kebab_case("huge-pages-too-few"));
        for bad in ["", "-a", "a-", "a--b", "A", "a_b", "a b", &"a".repeat(65)] {
            assert!(!is_kebab_case(bad), "{bad}");
        }
    }
}
