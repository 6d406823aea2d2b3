//! What is known of a trouble when it is over: from the bus, and from the world it met.

use std::{collections::BTreeMap, fmt::Write as _};

use super::one_line;
use crate::{
    target::Target,
    truth::{Answer, Remedy},
};

/// What happened to one instance.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Happened {
    /// Its name.
    pub instance: String,
    /// `[ConfigFile] Version` of its CPF.
    pub version: String,
    /// Memory of its host, MB.
    pub memory_mb: Option<u32>,
    /// Kernel values of the host before the first change, by name.
    pub kernel: BTreeMap<String, String>,
    /// Parameters of the CPF before the first change, written `[config] globals`.
    pub cpf: BTreeMap<String, String>,
    /// What was found, the first incident first.
    pub troubles: Vec<Trouble>,
    /// What remediations that held have changed, in order.
    pub changed: Vec<Changed>,
    /// The texts of its log that were published.
    pub entries: Vec<String>,
    /// From the first command to the end of the last remediation, seconds.
    pub repaired_in: Option<u64>,
}

/// One incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Row of the error catalogue.
    pub condition: String,
    /// Rows of the other entries that belong to it.
    pub parts: Vec<String>,
    /// What brings it about, in the words of the finding.
    pub cause: String,
    /// What was decided: a remedy only where one was done, and its verification held.
    pub answer: Answer,
    /// What was done, and was verified.
    pub remedy: Option<Remedy>,
    /// The beginning of the entry that told it first.
    pub entry: String,
}

/// A value that a remediation has changed, and that it was verified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// What.
    pub target: Target,
    /// As it was when the trouble was there.
    pub before: String,
    /// As it cured.
    pub after: String,
}

impl Trouble {
    /// Is it about that row?
    pub(super) fn is_about(&self, condition: &str) -> bool {
        self.condition == condition || self.parts.iter().any(|part| part == condition)
    }
}

impl Happened {
    /// The troubles, each condition once; what somebody had to do something about comes first. A cure brings entries of its
    /// own, about a restart above all, which could be left alone.
    pub(super) fn troubles_in_order(&self) -> Vec<&Trouble> {
        let mut ordered: Vec<&Trouble> = Vec::new();
        for left_alone in [false, true] {
            for trouble in &self.troubles {
                let is_known = ordered.iter().any(|known| known.condition == trouble.condition);
                if (trouble.answer == Answer::Nothing) == left_alone && !is_known {
                    ordered.push(trouble);
                }
            }
        }
        ordered
    }

    /// The value of a target when the trouble was there.
    pub(super) fn seen(&self, target: &Target) -> Option<&str> {
        let changed = self.changed.iter().find(|changed| changed.target == *target);
        let at_first = match target {
            Target::Cpf { section, parameter } => self.cpf.get(&format!("[{section}] {parameter}")),
            Target::Kernel(name) => self.kernel.get(name),
            Target::File(_) | Target::Instance => None,
        };
        changed.map(|changed| changed.before.as_str()).or(at_first.map(String::as_str))
    }

    /// The value with which it was well again.
    pub(super) fn cured(&self, target: &Target) -> Option<&str> {
        let changed = self.changed.iter().rev().find(|changed| changed.target == *target)?;
        Some(&changed.after)
    }

    /// The 8 KB global buffers when the trouble was there, MB.
    pub(super) fn globals_mb(&self) -> Option<u32> {
        let globals = Target::Cpf { section: "config".to_owned(), parameter: "globals".to_owned() };
        self.seen(&globals)?.split(',').nth(2)?.trim().parse().ok()
    }

    /// What stands above the scenario, for whoever reviews it.
    pub(super) fn told(&self, name: &str, manner: Option<&str>) -> String {
        let mut text = format!(
            "# Written by `instance chaos record` from what happened to {}. REVIEW IT: the truth below is what the analyst\n\
             # found and what was verified after it, no more. Play it: instance chaos run ./{name}.toml\n\
             # Is its fault real: instance chaos control ./{name}.toml\n",
            self.instance
        );
        let _ = match manner {
            Some(manner) => writeln!(
                text,
                "# Fault, symptom and by_hand: as the built-in scenario {manner} has them, with the values that were seen."
            ),
            None => writeln!(
                text,
                "# Fault: the values that the remediation changed, as they were. Nothing else is known of it."
            ),
        };
        for trouble in &self.troubles {
            let _ = writeln!(text, "# Seen: {}: {}", trouble.condition, one_line(&trouble.entry));
        }
        for Changed { target, before, after } in &self.changed {
            let _ = writeln!(text, "# Changed: {target}: {} -> {}", one_line(before), one_line(after));
        }
        text.push('\n');
        text
    }
}
