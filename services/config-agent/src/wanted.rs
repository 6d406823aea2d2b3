//! What a command asks of a CPF, in one form for both kinds of command.

use instance_contract::{Action, ChangeCpf, SetCpf};
use serde::{Deserialize, Serialize};

/// Changes that are made together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// In the order of the command. Never empty.
    pub changes: ChangeCpf,
    /// The command names one value, so that before and after are that value alone.
    pub single: bool,
}

/// One parameter that a command touches: as it was, and as it shall be. `None` is "not in the file".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    pub section: String,
    pub parameter: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

impl Wanted {
    /// `None` when the action is no change of a CPF.
    pub fn of(action: &Action) -> Option<Self> {
        match action {
            Action::SetCpf(set) => Some(Self::from(set)),
            Action::ChangeCpf(changes) => Some(Self { changes: changes.clone(), single: false }),
            _ => None,
        }
    }

    /// The same, through the running instance.
    pub fn live(&self) -> Self {
        Self { changes: ChangeCpf { live: true, ..self.changes.clone() }, single: self.single }
    }

    /// As the plan names it.
    pub fn target(&self) -> String {
        self.changes.target()
    }

    /// What is there now, as a forecast tells it.
    pub fn before(&self, touched: &[Touched]) -> String {
        self.told(touched, |one| one.before.as_deref())
    }

    /// What shall be there, as a forecast tells it.
    pub fn after(&self, touched: &[Touched]) -> String {
        self.told(touched, |one| one.after.as_deref())
    }

    fn told<'a>(&self, touched: &'a [Touched], side: impl Fn(&'a Touched) -> Option<&'a str>) -> String {
        if self.single {
            return touched.first().and_then(&side).unwrap_or_default().to_owned();
        }
        self.changes.state(|section, name| {
            touched.iter().find(|one| one.section == section && one.parameter == name).and_then(&side)
        })
    }
}

impl From<&SetCpf> for Wanted {
    fn from(set: &SetCpf) -> Self {
        let changes = ChangeCpf { changes: vec![set.into()], live: false, allow_unknown: false };
        Self { changes, single: true }
    }
}

impl Touched {
    /// `[config] globals`.
    pub fn label(&self) -> String {
        format!("[{}] {}", self.section, self.parameter)
    }

    /// As a change is reported: `cpf [config] globals`.
    pub fn target(&self) -> String {
        format!("cpf {}", self.label())
    }

    /// Whether anything is to be done.
    pub fn changes(&self) -> bool {
        self.before != self.after
    }

    /// The same the other way round.
    pub fn reversed(&self) -> Self {
        Self { before: self.after.clone(), after: self.before.clone(), ..self.clone() }
    }
}
