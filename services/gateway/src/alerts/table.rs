//! Which alert gets which answer: rows of `data/alerts.toml`, and rows of the operator's own before them.

use std::collections::BTreeMap;

use instance_contract::{CommandId, InstanceName, Older, RemediationCommand, TraceId};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;

const BUILT_IN: &str = include_str!("../../data/alerts.toml");
/// The name of an alert and the reason have to fit into `recommended_action`.
const LONGEST_NAME: usize = 80;
const LONGEST_WHY: usize = 100;

/// What is done about one kind of alert. The fields are those of `data/alerts.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The label `alertname`, 1 to 80 characters.
    alert: String,
    /// What is done.
    #[serde(rename = "do")]
    act: Act,
    /// Why, for people, 1 to 100 characters.
    why: String,
    /// The work, where a command is sent: as in the simple form of a command.
    error_type: Option<String>,
    severity: Option<u8>,
    priority: Option<String>,
    execution_order: Option<Vec<String>>,
    parameters: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    Command,
    Escalate,
    Ignore,
}

#[derive(Debug)]
pub(super) enum Answer {
    Command(Template),
    Escalate(String),
    Ignore(String),
}

/// A command without whom it is for.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) why: String,
    error_type: String,
    severity: u8,
    priority: String,
    execution_order: Vec<String>,
    parameters: Value,
}

/// Whom it is for.
pub(super) struct Asked<'a> {
    pub(super) command_id: CommandId,
    pub(super) trace_id: TraceId,
    pub(super) instance: &'a InstanceName,
    pub(super) issued_at: Timestamp,
    pub(super) requested_by: &'a str,
    pub(super) alert: &'a str,
    pub(super) dry_run: bool,
}

/// Every row, by the name of its alert. Invariant: each command that a row makes is legal.
#[derive(Debug)]
pub(crate) struct Table(BTreeMap<String, Answer>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    alert: Vec<Row>,
}

impl Table {
    /// The built-in rows, and `own` before them.
    pub(crate) fn new(own: &[Row]) -> Result<Self, Error> {
        let built_in: File = toml::from_str(BUILT_IN).expect("a test reads the built-in rows");
        let mut answers = BTreeMap::new();
        for rows in [built_in.alert.as_slice(), own] {
            let mut names: Vec<&str> = rows.iter().map(|row| row.alert.as_str()).collect();
            names.sort_unstable();
            if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(bad(twice[0], "stands there twice"));
            }
            for row in rows {
                answers.insert(row.alert.clone(), row.answer()?);
            }
        }
        Ok(Self(answers))
    }

    pub(super) fn answer(&self, alert: &str) -> Option<&Answer> {
        self.0.get(alert)
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

impl Row {
    fn answer(&self) -> Result<Answer, Error> {
        let fits = |text: &str, longest| {
            (1..=longest).contains(&text.chars().count()) && !text.chars().any(char::is_control)
        };
        if !fits(&self.alert, LONGEST_NAME) || !fits(&self.why, LONGEST_WHY) {
            return Err(bad(&self.alert, "alert takes 1 to 80 characters, why 1 to 100"));
        }
        match self.act {
            Act::Command => self.template().map(Answer::Command),
            _ if self.holds_work() => Err(bad(&self.alert, "only do = \"command\" takes work")),
            Act::Escalate => Ok(Answer::Escalate(self.why.clone())),
            Act::Ignore => Ok(Answer::Ignore(self.why.clone())),
        }
    }

    const fn holds_work(&self) -> bool {
        self.error_type.is_some()
            || self.severity.is_some()
            || self.priority.is_some()
            || self.execution_order.is_some()
            || self.parameters.is_some()
    }

    /// The template, once it has made a legal command.
    fn template(&self) -> Result<Template, Error> {
        let missing = |name: &str| bad(&self.alert, &format!("do = \"command\" needs {name}"));
        let template = Template {
            why: self.why.clone(),
            error_type: self.error_type.clone().ok_or_else(|| missing("error_type"))?,
            severity: self.severity.ok_or_else(|| missing("severity"))?,
            priority: self.priority.clone().unwrap_or_else(|| "medium".to_owned()),
            execution_order: self.execution_order.clone().ok_or_else(|| missing("execution_order"))?,
            parameters: self.parameters.clone().unwrap_or_else(|| json!({})),
        };
        let instance: InstanceName = "ANY".parse().expect("a legal name");
        let trace_id = TraceId::from_bytes([1; 16]);
        let asked = Asked {
            command_id: CommandId::from_uuid(uuid::Uuid::nil()),
            trace_id: trace_id.clone(),
            instance: &instance,
            issued_at: Timestamp::UNIX_EPOCH,
            requested_by: "anybody",
            alert: &self.alert,
            dry_run: false,
        };
        let issued_at = Timestamp::UNIX_EPOCH;
        let older = Older { instance: None, trace_id, requested_by: String::new(), issued_at };
        RemediationCommand::decode(&template.command(&asked), &older)
            .map_err(|faults| bad(&self.alert, &faults.to_string()))?;
        Ok(template)
    }
}

impl Template {
    /// The command in JSON; a function of its input alone.
    pub(super) fn command(&self, asked: &Asked<'_>) -> Vec<u8> {
        let command = json!({
            "schema": RemediationCommand::SCHEMA,
            "command_id": asked.command_id,
            "trace_id": asked.trace_id,
            "instance": asked.instance,
            "error_type": self.error_type,
            "severity": self.severity,
            "recommended_action": format!("alert {}: {}", asked.alert, self.why),
            "requires_restart": self.execution_order.iter().any(|tool| tool == "iris_restart"),
            "dry_run": asked.dry_run,
            "priority": self.priority,
            "requested_by": asked.requested_by,
            "issued_at": asked.issued_at,
            "execution_order": self.execution_order,
            "parameters": self.parameters,
        });
        command.to_string().into_bytes()
    }
}

fn bad(alert: &str, rule: &str) -> Error {
    Error::Row { alert: alert.to_owned(), rule: rule.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Table, Error> {
        let file: File = toml::from_str(text).unwrap();
        Table::new(&file.alert)
    }

    #[test]
    fn every_built_in_row_is_good_and_a_down_instance_is_started() {
        let table = Table::new(&[]).unwrap();
        assert_eq!(table.names().len(), 10);
        let Some(Answer::Command(template)) = table.answer("IrisDown") else { panic!("{table:?}") };
        assert_eq!(template.execution_order, ["iris_restart"]);
    }

    #[test]
    fn a_row_of_ones_own_counts_instead() {
        let table = rows("[[alert]]\nalert = \"IrisDown\"\ndo = \"ignore\"\nwhy = \"not here\"").unwrap();
        assert!(matches!(table.answer("IrisDown"), Some(Answer::Ignore(why)) if why == "not here"));
        assert!(matches!(table.answer("IrisHung"), Some(Answer::Command(_))));
    }

    #[test]
    fn a_row_that_makes_no_legal_command_is_refused_with_the_reason() {
        let row = "[[alert]]\nalert = \"X\"\nwhy = \"y\"\ndo = ";
        let told = |rest: &str| rows(&format!("{row}{rest}")).unwrap_err().to_string();
        assert!(told("\"command\"").contains("needs error_type"));
        let order = "\"command\"\nerror_type = \"config\"\nseverity = 9\nexecution_order = [\"iris_config\"]";
        let told_all = told(order);
        assert!(told_all.contains("severity = 9") && told_all.contains("cpf_section"), "{told_all}");
        assert!(told("\"ignore\"\nseverity = 1").contains("only do = \"command\""));
        assert!(
            rows(&format!("{row}\"ignore\"\n{row}\"ignore\"")).unwrap_err().to_string().contains("twice")
        );
    }
}
