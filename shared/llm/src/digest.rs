//! SHA-256 over texts.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// In lower-case hex. The lengths of the texts count, so that no text can pass for two.
pub(crate) fn hex_digest(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_passes_for_two() {
        assert_ne!(hex_digest(&["ab", "c"]), hex_digest(&["a", "bc"]));
        assert_eq!(hex_digest(&["a"]).len(), 64);
    }
}
