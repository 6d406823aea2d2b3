//! From the text of a message to the row it means.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use aho_corasick::AhoCorasick;

use crate::catalogue::Catalogue;
use crate::condition::{Condition, Wording};
use crate::text::folded;

/// Finds the condition that a text means, among all rows at once.
///
/// One automaton holds the fixed parts of all wordings; a text is read once. A wording answers when all its parts
/// occur in order and do not overlap. Of several that answer, the one with the most fixed text wins, then the
/// earlier row.
#[derive(Debug)]
pub struct Matcher {
    catalogue: Catalogue,
    automaton: AhoCorasick,
    /// For each part of the automaton: which wordings use it, and as their how-manieth part.
    uses: Vec<Vec<Use>>,
    wordings: Vec<Known>,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    wording: usize,
    part: usize,
}

#[derive(Debug)]
struct Known {
    condition: usize,
    /// Which of the condition's wordings.
    place: usize,
    parts: usize,
    /// Bytes of fixed text: the measure of how specific a wording is.
    fixed_bytes: usize,
}

/// How far into a wording the text has come.
#[derive(Clone, Copy, Default)]
struct Progress {
    parts: usize,
    end: usize,
}

static BUILTIN: LazyLock<Matcher> = LazyLock::new(|| Matcher::new(Catalogue::builtin().clone()));

/// Set once by a process that was given rows of its user's own.
static EXTENDED: OnceLock<Matcher> = OnceLock::new();

/// A process has one catalogue: a text must not mean one thing now and another later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another catalogue is in force already")]
pub struct AlreadyInForce;

impl Matcher {
    /// The matcher over the rows compiled in.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// The matcher that the whole process answers with: over the rows compiled in, and those that were added by
    /// [`Catalogue::put_in_force`].
    pub fn in_force() -> &'static Self {
        Self::extended().unwrap_or_else(|| Self::builtin())
    }

    /// The matcher that was put in force, if one was.
    pub(crate) fn extended() -> Option<&'static Self> {
        EXTENDED.get()
    }

    pub(crate) fn put_in_force(self) -> Result<(), AlreadyInForce> {
        EXTENDED.set(self).map_err(|_| AlreadyInForce)
    }

    /// A matcher over the rows of `catalogue`.
    pub fn new(catalogue: Catalogue) -> Self {
        let mut patterns: Vec<String> = Vec::new();
        let mut pattern_of: HashMap<String, usize> = HashMap::new();
        let mut uses: Vec<Vec<Use>> = Vec::new();
        let mut wordings = Vec::new();
        for (condition, row) in catalogue.conditions().iter().enumerate() {
            for (place, wording) in row.wordings.iter().enumerate() {
                let mut fixed_bytes = 0;
                for (part, text) in wording.texts.iter().enumerate() {
                    let text = folded(text);
                    fixed_bytes += text.len();
                    let pattern = *pattern_of.entry(text).or_insert_with_key(|text| {
                        patterns.push(text.clone());
                        uses.push(Vec::new());
                        patterns.len() - 1
                    });
                    uses[pattern].push(Use { wording: wordings.len(), part });
                }
                wordings.push(Known { condition, place, parts: wording.texts.len(), fixed_bytes });
            }
        }
        let automaton = AhoCorasick::new(&patterns).expect("the parts of a catalogue fit one automaton");
        Self { catalogue, automaton, uses, wordings }
    }

    /// The rows that this matcher knows.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The condition that `text` means: the text of one whole message, continuation lines included.
    pub fn classify(&self, text: &str) -> Option<&Condition> {
        self.recognise(text).map(|(condition, _)| condition)
    }

    /// As [`classify`](Self::classify), with the wording that answered.
    pub fn recognise(&self, text: &str) -> Option<(&Condition, &Wording)> {
        let text = folded(text);
        let mut progress = vec![Progress::default(); self.wordings.len()];
        let mut best: Option<usize> = None;
        // Overlapping matches come in the order of their ends, so the first fitting one leaves the most room.
        for found in self.automaton.find_overlapping_iter(&text) {
            for Use { wording, part } in &self.uses[found.pattern().as_usize()] {
                let progress = &mut progress[*wording];
                if progress.parts != *part || found.start() < progress.end {
                    continue;
                }
                *progress = Progress { parts: part + 1, end: found.end() };
                if part + 1 == self.wordings[*wording].parts
                    && best.is_none_or(|best| self.beats(*wording, best))
                {
                    best = Some(*wording);
                }
            }
        }
        best.map(|best| {
            let known = &self.wordings[best];
            let condition = &self.catalogue.conditions()[known.condition];
            (condition, &condition.wordings[known.place])
        })
    }

    fn beats(&self, candidate: usize, best: usize) -> bool {
        let rank = |index: usize| (self.wordings[index].fixed_bytes, usize::MAX - index);
        rank(candidate) > rank(best)
    }
}

#[cfg(test)]
mod tests;
