//! Secrets that this process has been given: found by their value, whatever they look like.

use std::sync::{PoisonError, RwLock};

use crate::shapes::BLACK;

/// A shorter value would black out words that only happen to hold it. In bytes.
pub const SHORTEST_KNOWN: usize = 6;

static KNOWN: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// From now on this value is blacked out wherever it stands. Values shorter than [`SHORTEST_KNOWN`] are not learned.
pub fn learn(secret: &str) {
    let secret = secret.trim();
    if secret.len() < SHORTEST_KNOWN {
        return;
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    if known.iter().all(|other| other != secret) {
        known.push(secret.to_owned());
        // The longest first: one may hold another.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }
}

/// `None` when the text holds none of them.
pub fn black_out(text: &str) -> Option<String> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let mut told = None;
    for secret in known.iter() {
        let so_far = told.as_deref().unwrap_or(text);
        if so_far.contains(secret.as_str()) {
            told = Some(so_far.replace(secret.as_str(), BLACK));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learned_is_found_whatever_it_looks_like() {
        learn("plainwordxyz");
        learn("plainwordxyz-and-more");
        learn("abc");
        assert_eq!(crate::redact("a plainwordxyz-and-more, plainwordxyz."), "a [secret], [secret].");
        assert_eq!(crate::redact("abc stays"), "abc stays");
    }
}
