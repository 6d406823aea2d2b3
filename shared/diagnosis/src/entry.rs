//! One entry, as far as it matters here: what it means, how grave it is, and who wrote it.

use instance_contract::{ConditionId, Digest, Evidence, InstanceName, IrisMessage, RaisedBy, Severity};
use instance_knowledge::{Condition, Matcher, condition};

use crate::{fold, repeats::Meanings, severity};

/// What is kept of an entry.
pub(crate) struct Sighting<'a> {
    pub(crate) message: &'a IrisMessage,
    pub(crate) digest: Digest,
    pub(crate) folded: String,
    pub(crate) fingerprint: Digest,
    pub(crate) condition: Option<&'static Condition>,
    /// As IRIS wrote it, or higher.
    pub(crate) severity: Severity,
    pub(crate) raised_by: Vec<RaisedBy>,
    /// Was it published too long ago to act on?
    pub(crate) stale: bool,
}

impl<'a> Sighting<'a> {
    /// Reads an entry; `meanings` remembers what texts meant.
    pub(crate) fn of(message: &'a IrisMessage, meanings: &mut Meanings, texts: usize) -> Self {
        let text = message.message_text.as_str();
        let digest = Digest::of(text.as_bytes());
        let told = message.condition.as_ref().and_then(|id| condition(id.as_str()));
        let found = told.or_else(|| {
            let classify = || Matcher::in_force().classify(text).map(|row| row.id.clone());
            meanings.of(&digest, texts, classify).and_then(|id| condition(&id))
        });
        let folded = fold::folded(text);
        let fingerprint = Digest::of(folded.as_bytes());
        let (severity, raised_by) = severity::judged(message.severity, text, found, 1);
        Self { message, digest, folded, fingerprint, condition: found, severity, raised_by, stale: false }
    }

    /// Judged once more, now that it is known how often the like came.
    pub(crate) fn came(&mut self, times: u64) {
        let text = self.message.message_text.as_str();
        (self.severity, self.raised_by) =
            severity::judged(self.message.severity, text, self.condition, times);
    }

    /// How many entries it stands for: IRIS writes one line for the like that follow each other, and says how many.
    pub(crate) fn times(&self) -> u64 {
        1 + u64::from(self.message.repeated)
    }

    pub(crate) fn instance(&self) -> &'a InstanceName {
        &self.message.instance
    }

    /// What the incident is about: the condition, or what the text is like.
    pub(crate) fn matter(&self) -> String {
        self.condition.map_or_else(|| format!("text {}", self.fingerprint), |row| row.id.clone())
    }

    /// Row of the catalogue as it is written in records; a user's own row may have a longer name than that.
    pub(crate) fn condition_id(&self) -> Option<ConditionId> {
        self.condition.and_then(|row| row.id.parse().ok())
    }

    /// How sure one can be of what it means, in percent.
    pub(crate) fn confidence(&self) -> u8 {
        severity::confidence(self.condition, self.message.severity)
    }

    /// Does such an entry call for anything?
    pub(crate) fn matters(&self) -> bool {
        severity::matters(self.condition, self.severity, self.confidence())
    }

    pub(crate) fn evidence(&self) -> Evidence {
        Evidence {
            message_id: self.message.message_id,
            process_id: self.message.process_id,
            severity: self.message.severity,
            occurred_at: self.message.occurred_at,
            digest: self.digest.clone(),
            excerpt: excerpt(self.message.message_text.as_str()),
        }
    }
}

/// The beginning of a text on one line, without what a terminal or a reader could be led astray by.
fn excerpt(text: &str) -> String {
    let harmless = |c: char| {
        let direction = matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}');
        match c {
            _ if direction => None,
            c if c.is_whitespace() => Some(' '),
            // Gone without a trace: a blank would part what belongs together, a secret above all.
            c if c.is_control() => None,
            c => Some(c),
        }
    };
    text.chars().filter_map(harmless).take(Evidence::MAX_EXCERPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_line_without_tricks() {
        assert_eq!(excerpt("a\nb\u{1b}[31mc\u{202e}d"), "a b[31mcd");
        assert_eq!(excerpt(&"ä".repeat(1000)).chars().count(), Evidence::MAX_EXCERPT);
    }
}
