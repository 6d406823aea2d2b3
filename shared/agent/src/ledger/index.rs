//! What the ledger keeps in memory: where the newest word about each step lies.

use std::collections::{BTreeMap, HashMap, HashSet};

use instance_contract::{Action, Attempt, Digest, InstanceName, StepCommand, StepKey, Token};

use super::record::{Record, content_digest};

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Of its header, in bytes from the start of the file.
    pub offset: u64,
    /// Of header and payload, in bytes.
    pub length: usize,
}

/// The newest word about one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Newest {
    #[default]
    Nothing,
    Intent(Place),
    Done(Place),
}

#[derive(Debug, Default)]
pub struct Index {
    keys: HashMap<StepKey, Entry>,
    /// Steps that an undo has taken back or begun to.
    closed: HashSet<StepKey>,
    tokens: BTreeMap<InstanceName, Token>,
}

#[derive(Debug)]
struct Entry {
    digest: Digest,
    newest: Newest,
    /// Also after it is known that nothing came of it.
    last_intent: Option<Place>,
    answers: Vec<(Attempt, Place)>,
}

impl Index {
    pub fn add(&mut self, record: &Record, place: Place) {
        let (instance, token) = record.token();
        let highest = self.tokens.entry(instance.clone()).or_insert(token);
        *highest = token.max(*highest);
        match record {
            Record::Intent(intent) => {
                let entry = self.entry(&intent.order.key(), || content_digest(&intent.order));
                entry.newest = Newest::Intent(place);
                entry.last_intent = Some(place);
                self.closed.extend(undone_by(&intent.order));
            }
            Record::Done(done) => {
                self.entry(&done.key, || done.digest.clone()).newest = Newest::Done(place);
                self.closed.extend(done.undoes.clone());
            }
            Record::Answered(answered) => {
                let entry = self.entry(&answered.key, || answered.digest.clone());
                entry.answers.push((answered.attempt, place));
                if answered.unchanged && matches!(entry.newest, Newest::Intent(_)) {
                    entry.newest = Newest::Nothing;
                }
            }
            Record::Fence { .. } => {}
        }
    }

    fn entry(&mut self, key: &StepKey, digest: impl FnOnce() -> Digest) -> &mut Entry {
        if !self.keys.contains_key(key) {
            let entry =
                Entry { digest: digest(), newest: Newest::Nothing, last_intent: None, answers: Vec::new() };
            self.keys.insert(key.clone(), entry);
        }
        self.keys.get_mut(key).expect("inserted above")
    }

    pub fn newest(&self, key: &StepKey) -> Newest {
        self.keys.get(key).map(|entry| entry.newest).unwrap_or_default()
    }

    pub fn answer(&self, key: &StepKey, attempt: Attempt) -> Option<Place> {
        let answers = &self.keys.get(key)?.answers;
        answers.iter().find(|(answered, _)| *answered == attempt).map(|(_, place)| *place)
    }

    pub fn last_intent(&self, key: &StepKey) -> Option<Place> {
        self.keys.get(key)?.last_intent
    }

    pub fn digest(&self, key: &StepKey) -> Option<&Digest> {
        self.keys.get(key).map(|entry| &entry.digest)
    }

    pub fn is_closed(&self, key: &StepKey) -> bool {
        self.closed.contains(key)
    }

    pub fn tokens(&self) -> &BTreeMap<InstanceName, Token> {
        &self.tokens
    }
}

/// The step that this command takes back, if it is an undo.
pub fn undone_by(order: &StepCommand) -> Option<StepKey> {
    match &order.action {
        Action::Undo(undo) => {
            Some(StepKey { remediation_id: order.remediation_id, step_id: undo.step.clone() })
        }
        _ => None,
    }
}
