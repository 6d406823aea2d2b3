//! `--record` and `--replay`: the answers of language models kept in a folder, and given again from it.

use std::path::PathBuf;

use instance_llm::Settings;

/// Where answers of models are kept, or come from.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Tape {
    /// Keep every answer of the language model in this folder
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Let the language model's answers come from this folder, and call nobody
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,
}

impl Tape {
    /// The settings with what the command line says of tapes: it beats them, both of theirs.
    pub fn onto(&self, mut settings: Settings) -> Settings {
        if self.is_asked_for() {
            (settings.record, settings.replay) = (self.record.clone(), self.replay.clone());
        }
        settings
    }

    pub const fn is_asked_for(&self) -> bool {
        self.record.is_some() || self.replay.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_beats_the_settings_whichever_of_both_they_name() {
        let settings = Settings { replay: Some("old".into()), ..Settings::default() };
        let tape = Tape { record: Some("new".into()), replay: None };
        let both = tape.onto(settings.clone());
        assert_eq!((both.record, both.replay), (Some("new".into()), None));
        assert_eq!(Tape::default().onto(settings).replay, Some("old".into()));
    }
}
