//! What agents believe about a running instance, and the door of the real product through which they know it.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::rows::{self, DataError, fault};
use crate::text::is_kebab_case;

/// All facts about an instance that an agent reads.
pub fn instance_facts() -> &'static [InstanceFact] {
    &FACTS
}

/// One fact, and where it is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct InstanceFact {
    /// Stable name, kebab-case.
    pub id: String,
    /// What it says.
    pub tells: String,
    /// What kind of interface it is read from.
    pub door: Door,
    /// The interface, as the real product writes it.
    pub name: String,
    /// How the sources name it, when not by that name.
    #[serde(default)]
    pub code: Option<String>,
    /// The files of this tree that read it, from its root.
    pub read_by: Vec<String>,
    /// Tag of the source; explained in the crate's README.
    pub source: String,
}

/// An interface of the real product, or of the kernel below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// A word of the `iris` program.
    Command,
    /// A fixed part of an entry of `messages.log`.
    Log,
    /// A sample of `/api/monitor/metrics`.
    Metric,
    /// A file of the instance.
    File,
    /// A port that the instance listens on.
    Port,
    /// What Linux shows of its processes and sockets.
    Kernel,
}

static FACTS: LazyLock<Vec<InstanceFact>> = LazyLock::new(|| {
    read("instance_facts.toml", include_str!("../data/instance_facts.toml"))
        .expect("the built-in instance facts are checked by a test")
});

fn read(file: &str, text: &str) -> Result<Vec<InstanceFact>, DataError> {
    let rows = rows::read::<InstanceFact>(file, text, "fact", "id", &["fact"])?;
    for (index, row) in rows.iter().enumerate() {
        let fact = &row.value;
        if !is_kebab_case(&fact.id) {
            return Err(fault(file, &row.label, "id must be lower-case words joined by hyphens"));
        }
        if rows[..index].iter().any(|earlier| earlier.value.id == fact.id) {
            return Err(fault(file, &row.label, "the id is already taken by another row"));
        }
        if [&fact.tells, &fact.name, &fact.source].iter().any(|text| text.trim().is_empty()) {
            return Err(fault(file, &row.label, "tells, name and source must not be empty"));
        }
        if fact.read_by.is_empty() {
            return Err(fault(file, &row.label, "read_by must name the files that read it"));
        }
    }
    Ok(rows.into_iter().map(|row| row.value).collect())
}

#[cfg(test)]
mod tests {
    use super::{Door, instance_facts, read};

    #[test]
    fn every_built_in_row_is_good() {
        read("instance_facts.toml", include_str!("../data/instance_facts.toml")).unwrap();
        for door in [Door::Command, Door::Log, Door::Metric, Door::File, Door::Port, Door::Kernel] {
            assert!(instance_facts().iter().any(|fact| fact.door == door), "{door:?}");
        }
    }
}
