//! What shows of a world: its log, its state, the symptoms of a scenario, and what others than our own steps have done to it.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};
use instance_iris::cpf::Document;
use instance_scenario::Symptom;

use super::{
    World,
    programs::run,
    snapshot::{self, Snapshot},
};

impl World {
    /// All of the log, the files that were put aside not.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.instance().join("mgr/messages.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What is compared afterwards.
    pub fn look(&self) -> Result<Snapshot> {
        Snapshot::take(&self.instance(), &self.host, &self.host.with_file_name("pipeline"), self.speed)
            .context("could not look at the world")
    }

    /// State and health as `iris qlist` tells them.
    pub fn state(&self) -> (String, String) {
        let output = run(Command::new(self.iris()).args(["qlist", &self.name]));
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let field = |number: usize| text.trim_end().split('^').nth(number).unwrap_or_default().to_owned();
        let state = field(3).split([',', ' ']).next().unwrap_or_default().to_owned();
        (state, field(8))
    }

    /// Is it so that the symptom shows? `growth` tells how many more of a text the log holds than at some time before.
    pub fn shows(&self, symptom: &Symptom, growth: &dyn Fn(&str) -> usize) -> bool {
        let whole = self.log();
        let [earlier, last] = snapshot::starts_apart(&whole);
        let log = symptom.log.as_ref().is_none_or(|text| last.contains(text))
            && symptom.earlier.as_ref().is_none_or(|text| earlier.contains(text));
        let grows = symptom.grows.as_ref().is_none_or(|text| growth(text) > 0);
        let cpf = symptom.cpf.as_ref().is_none_or(|wanted| {
            let bytes = fs::read(self.cpf()).unwrap_or_default();
            Document::parse(&bytes).get(&wanted.section, &wanted.parameter)
                == Some(self.filled(&wanted.value).as_str())
        });
        if !(log && grows && cpf) {
            return false;
        }
        if symptom.state.is_none() && symptom.health.is_none() {
            return true;
        }
        let (state, health) = self.state();
        symptom.state.as_ref().is_none_or(|wanted| *wanted == state)
            && symptom.health.as_ref().is_none_or(|wanted| *wanted == health)
    }

    /// How often others than our own steps have started the instance.
    pub fn foreign_starts(&self) -> usize {
        snapshot::starts(&self.log()).saturating_sub(self.own_starts.get())
    }

    /// How often others than our own steps have forced it down.
    pub fn foreign_kills(&self) -> usize {
        snapshot::kills(&self.log()).saturating_sub(self.own_kills.get())
    }

    /// Have others than our own steps stopped it or forced it down, and is it down because of that?
    pub fn was_left_down(&self) -> bool {
        let log = self.log();
        let by_others = snapshot::stops(&log) > self.own_stops.get() || self.foreign_kills() > 0;
        by_others && snapshot::ended_on_request(&log) && self.state().0 == "down"
    }
}
