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

/// How many letters must be inserted, removed, replaced or swapped with their neighbour to get from one to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut table = vec![vec![0; to.len() + 1]; from.len() + 1];
    for row in 0..=from.len() {
        for column in 0..=to.len() {
            table[row][column] = if row == 0 || column == 0 {
                row + column
            } else {
                let replaced = table[row - 1][column - 1] + usize::from(from[row - 1] != to[column - 1]);
                let swapped = row > 1
                    && column > 1
                    && (from[row - 2], from[row - 1]) == (to[column - 1], to[column - 2]);
                let swap = if swapped { table[row - 2][column - 2] + 1 } else { usize::MAX };
                replaced.min(table[row - 1][column] + 1).min(table[row][column - 1] + 1).min(swap)
            };
        }
    }
    table[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["kept_backups", "cpf", "iris_command"];
        assert_eq!(nearest("kept_backup", known), Some("kept_backups"));
        assert_eq!(nearest("iriscommand", known), Some("iris_command"));
        assert_eq!(nearest("cfp", known), Some("cpf"));
        assert_eq!(nearest("abc", known), None);
        assert_eq!(nearest("anything", known), None);
    }
}
