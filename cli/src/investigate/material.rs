//! What is known about the time and the instances that a question is about: entries, incidents, remediations.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use instance_bus::Bus;
use instance_contract::{
    ConditionId, InstanceName, IrisMessage, MessageId, OverallStatus, RemediationId, Severity, subject,
};
use jiff::Timestamp;

use super::question::{Asked, Window};
use crate::{
    incident::case::{self, Case},
    output::printable,
    story::{self, Story},
};

/// Kinds of entries that are told apart; what comes after them is counted only.
const MOST_KINDS: usize = 500;
/// Of a kind of entries, so many are named.
const MOST_NAMED: usize = 5;
/// Of an entry, so many characters are shown.
const EXCERPT: usize = 160;

/// All that an answer may rest on.
#[derive(Debug, Default)]
pub struct Material {
    pub seen: Vec<Seen>,
    pub cases: Vec<Case>,
    pub done: Vec<Done>,
    /// How many entries were looked at.
    pub entries: u64,
}

/// Entries of one instance that mean the same.
#[derive(Debug, Clone)]
pub struct Seen {
    pub instance: InstanceName,
    pub condition: Option<ConditionId>,
    pub count: u64,
    pub worst: Severity,
    pub first: Timestamp,
    pub last: Timestamp,
    /// The first ones.
    pub ids: Vec<MessageId>,
    /// The beginning of the first one.
    pub excerpt: String,
}

/// A remediation, as far as a question needs it.
#[derive(Debug, Clone)]
pub struct Done {
    pub id: RemediationId,
    pub instance: InstanceName,
    pub action: String,
    pub asked_by: String,
    pub restarts: bool,
    pub began: Timestamp,
    /// `None` while it is open.
    pub ended: Option<(Timestamp, OverallStatus)>,
}

/// Every instance that anything on the bus is about.
pub async fn instances(bus: &Bus) -> Result<BTreeSet<InstanceName>> {
    let mut known: BTreeSet<InstanceName> = bus.hosts().await?.into_iter().map(|row| row.instance).collect();
    known.extend(case::all(bus, None).await?.iter().filter_map(Case::instance).cloned());
    Ok(known)
}

impl Material {
    /// Reads what is kept; of the entries that is a day.
    pub async fn read(bus: &Bus, asked: &Asked) -> Result<Self> {
        let mut material = Self::default();
        let (window, wanted) = (asked.window, &asked.instances);
        let is_wanted = |instance: &InstanceName| wanted.is_empty() || wanted.contains(instance);
        let filters = match wanted.as_slice() {
            [] => vec![subject::errors()],
            named => named.iter().map(subject::errors_about).collect(),
        };
        let mut kinds = Kinds::default();
        for filter in filters {
            let mut reading = bus.read_errors(filter).await?;
            while let Some(message) = reading.next().await? {
                // What is no message of IRIS is told by those who should understand it.
                let Ok(message) = IrisMessage::decode(&message.payload) else { continue };
                material.entries += u64::from(kinds.take(&message, window));
            }
        }
        material.seen = kinds.0.into_values().collect();
        material.cases = case::all(bus, None).await?;
        material.cases.retain(|case| case.instance().is_some_and(is_wanted) && overlaps(case, window));
        let mut reading = story::newest(bus).await?;
        while let Some(story) = reading.next().await? {
            let done = Done::of(&story);
            material.done.extend(done.filter(|done| is_wanted(&done.instance) && done.overlaps(window)));
        }
        // Oldest first.
        material.done.reverse();
        Ok(material)
    }
}

impl Material {
    /// Every instance that it is about.
    pub fn instances(&self) -> BTreeSet<InstanceName> {
        let seen = self.seen.iter().map(|seen| &seen.instance);
        let cases = self.cases.iter().filter_map(Case::instance);
        seen.chain(cases).chain(self.done.iter().map(|done| &done.instance)).cloned().collect()
    }

    /// Keeps what is about these instances.
    pub fn keep(&mut self, wanted: &[InstanceName]) {
        self.seen.retain(|seen| wanted.contains(&seen.instance));
        self.cases.retain(|case| case.instance().is_some_and(|instance| wanted.contains(instance)));
        self.done.retain(|done| wanted.contains(&done.instance));
    }
}

fn overlaps(case: &Case, window: Window) -> bool {
    let found = case.findings.values().map(|finding| finding.found_at);
    let closed = case.closed.iter().map(|closed| closed.closed_at);
    let opened = case.opened.iter().map(|opened| opened.opened_at);
    found.chain(opened).chain(closed).any(|at| window.holds(at))
}

/// Entries by what they mean.
#[derive(Default)]
struct Kinds(BTreeMap<(InstanceName, String), Seen>);

impl Kinds {
    /// True when it lies in the window. What only tells that all is well, and means nothing, is not kept.
    fn take(&mut self, message: &IrisMessage, window: Window) -> bool {
        let at = message.occurred_at.unwrap_or(message.generated_at);
        if !window.holds(at) {
            return false;
        }
        if message.severity == Severity::Info && message.condition.is_none() {
            return true;
        }
        let kind = match &message.condition {
            Some(condition) => condition.to_string(),
            None => message.message_text.as_str().chars().filter(|c| !c.is_ascii_digit()).take(80).collect(),
        };
        let key = (message.instance.clone(), kind);
        if self.0.len() >= MOST_KINDS && !self.0.contains_key(&key) {
            return true;
        }
        let seen = self.0.entry(key).or_insert_with(|| Seen {
            instance: message.instance.clone(),
            condition: message.condition.clone(),
            count: 0,
            worst: message.severity,
            first: at,
            last: at,
            ids: Vec::new(),
            excerpt: excerpt(message.message_text.as_str()),
        });
        seen.count += 1 + u64::from(message.repeated);
        seen.worst = seen.worst.max(message.severity);
        (seen.first, seen.last) = (seen.first.min(at), seen.last.max(at));
        if seen.ids.len() < MOST_NAMED && !seen.ids.contains(&message.message_id) {
            seen.ids.push(message.message_id);
        }
        true
    }
}

fn excerpt(text: &str) -> String {
    let line: String = instance_redaction::redact(text)
        .chars()
        .take(EXCERPT)
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .collect();
    printable(line.trim())
}

impl Done {
    fn of(story: &Story) -> Option<Self> {
        let command = story.command()?;
        let ended = story.ended().and_then(|ended| Some((story.ended_at()?, ended.trace.overall_status)));
        Some(Self {
            id: story.id,
            instance: command.instance.clone(),
            action: command.recommended_action.clone(),
            asked_by: command.requested_by.clone(),
            restarts: command.requires_restart(),
            began: story.began_at(),
            ended,
        })
    }

    fn overlaps(&self, window: Window) -> bool {
        let after = window.from.is_none_or(|from| self.ended.is_none_or(|(ended, _)| ended >= from));
        self.began <= window.to && after
    }
}
