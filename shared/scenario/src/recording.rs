//! What happened, kept so that it can happen again: the messages of the bus, the world they met, and the commands
//! that were given.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A recording, as its file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// Name of the instance.
    pub instance: String,
    /// The IrisMessages as they were published, in order.
    pub messages: Vec<String>,
    /// The commands that were given, in order, without `issued_at`: it is the time of publishing.
    pub commands: Vec<String>,
    /// What `iris qlist` called the health of the instance when the analyst asked: `ok`, `warn`, `alert` or `hung`.
    #[serde(default)]
    pub health: Health,
    /// `/proc/meminfo` of the host.
    pub meminfo: String,
    /// Kernel values of the host before the first change, by name.
    pub kernel: BTreeMap<String, String>,
    /// `[config]` of the CPF and whatever was changed, before the first change; written `[config] globals`.
    pub cpf: BTreeMap<String, String>,
}

/// As `iris qlist` spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    #[default]
    Ok,
    Warn,
    Alert,
    Hung,
}

impl Recording {
    /// Reads a file of it.
    pub fn read(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The text of its file.
    pub fn text(&self) -> Result<String, toml::ser::Error> {
        let text = toml::to_string(self)?;
        Ok(format!("# Written by `instance chaos record`; `instance chaos replay` plays it again.\n{text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_reads_back_and_an_unknown_key_is_refused() {
        let pair = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
        let recording = Recording {
            instance: "PROD".to_owned(),
            messages: vec!["{\"text\":\"a\\nb\"}".to_owned()],
            commands: Vec::new(),
            health: Health::Hung,
            meminfo: "MemTotal: 1 kB\n".to_owned(),
            kernel: pair("vm.nr_hugepages", "100"),
            cpf: pair("[config] globals", "0,0,256,0,0,0"),
        };
        let text = recording.text().unwrap();
        assert_eq!(Recording::read(&text).unwrap(), recording);
        let error = Recording::read(&text.replace("instance =", "colour = 1\ninstance =")).unwrap_err();
        assert!(error.to_string().contains("colour"), "{error}");
        let error = Recording::read(&text.replace("\"hung\"", "\"fine\"")).unwrap_err();
        assert!(error.to_string().contains("fine"), "{error}");
        // One from before health was recorded.
        let older = Recording::read(&text.replace("health = \"hung\"\n", "")).unwrap();
        assert_eq!(older.health, Health::Ok);
    }
}
