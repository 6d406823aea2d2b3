//! The known word that was probably meant.

/// The nearest of `known`, unless none is near: at most one letter in three may differ.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(away, candidate)| *away * 3 <= candidate.len().max(word.len()))
        .min_by_key(|(away, _)| *away)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be inserted, removed or replaced to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["kept_backups", "cpf", "iris_command"];
        assert_eq!(nearest("kept_backup", known), Some("kept_backups"));
        assert_eq!(nearest("iriscommand", known), Some("iris_command"));
        assert_eq!(nearest("cfp", known), None);
        assert_eq!(nearest("anything", known), None);
    }
}
