//! The hint for the next owner: which remediations were open, and how far that is known.

use std::collections::BTreeMap;

use instance_bus::OpenHint;
use instance_contract::RemediationId;
use instance_engine::Core;

/// More of them do not fit into one message; the next owner reads the whole log.
const AT_MOST_OPEN: usize = 100_000;

/// What is known of the log's `accepted` messages.
///
/// Invariant: every one up to `read_to` of a hint is open in the core or has ended. One that was heard of and is not
/// in the core yet (its write is not answered, or it is looked for) holds `read_to` back.
pub(crate) struct Hints {
    epoch: u64,
    /// The log was followed up to here.
    heard: u64,
    /// Heard of, and not in the core yet.
    unknown: BTreeMap<u64, RemediationId>,
    written: OpenHint,
}

impl Hints {
    pub(crate) fn new(epoch: u64, read_to: u64) -> Self {
        Self { epoch, heard: read_to, unknown: BTreeMap::new(), written: OpenHint::default() }
    }

    /// A message of the log was heard.
    pub(crate) fn hears(&mut self, sequence: u64) {
        self.heard = self.heard.max(sequence);
    }

    /// An acceptance was heard of that the core does not have open.
    pub(crate) fn hears_of_unknown(&mut self, sequence: u64, id: RemediationId) {
        self.unknown.insert(sequence, id);
    }

    /// The core knows now what became of this one.
    pub(crate) fn knows(&mut self, id: RemediationId) {
        if !self.unknown.is_empty() {
            self.unknown.retain(|_, other| *other != id);
        }
    }

    /// The hint of this moment. `None`: nothing has changed, or there is too much open to say.
    pub(crate) fn take(&mut self, core: &Core) -> Option<OpenHint> {
        let first_unknown = self.unknown.first_key_value().map(|(sequence, _)| sequence - 1);
        let mut accepted: Vec<u64> = core.remediations().map(|remediation| remediation.sequence).collect();
        if accepted.len() > AT_MOST_OPEN {
            return None;
        }
        accepted.sort_unstable();
        let hint = OpenHint {
            accepted,
            read_to: first_unknown.map_or(self.heard, |first| first.min(self.heard)),
            epoch: self.epoch,
            restarts: core.restarts().map(|(instance, at)| (instance.clone(), at)).collect(),
        };
        if hint == self.written {
            return None;
        }
        self.written = hint.clone();
        Some(hint)
    }
}
