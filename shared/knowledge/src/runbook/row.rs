//! The files of the runbooks, and the rules that hold for each.

use std::sync::LazyLock;

use super::change::Target;
use super::{Risk, Runbook, StepRow};
use crate::catalogue::Catalogue;
use crate::condition::{Answer, Condition};
use crate::rows::{DataError, document, fault, typed_fields};
use crate::text::is_kebab_case;

/// All built-in runbooks, in the order of their names.
pub fn runbooks() -> &'static [Runbook] {
    &RUNBOOKS
}

/// The runbook of that id.
pub fn runbook(id: &str) -> Option<&'static Runbook> {
    runbooks().iter().find(|runbook| runbook.id == id)
}

/// The runbooks that answer a condition, those that cure first.
pub fn runbooks_for(condition: &str) -> Vec<&'static Runbook> {
    let answers = |runbook: &&Runbook| runbook.conditions.iter().any(|known| known == condition);
    let mut found: Vec<_> = runbooks().iter().filter(answers).collect();
    found.sort_by_key(|runbook| !runbook.cures);
    found
}

/// The conditions that a change of these targets is a cure of, and that must be silent after it: those of every runbook
/// whose first step is among them, but what another of these runbooks may bring about. Where no restart comes after,
/// what needs one is not cured yet.
pub fn cured_by(acts_on: impl Fn(&Target) -> bool, restarts: bool) -> Vec<&'static str> {
    let begun = |runbook: &&Runbook| {
        let changes = |row: &&StepRow| row.target != Target::Instance && row.only_if.is_none();
        let first = runbook.step.iter().find(changes).map_or(&Target::Instance, |row| &row.target);
        let needs_restart = runbook.step.iter().any(|row| row.target == Target::Instance);
        runbook.cures && acts_on(first) && (restarts || !needs_restart)
    };
    let all: Vec<_> = runbooks().iter().filter(begun).collect();
    let brought_about: Vec<&String> =
        all.iter().flat_map(|runbook| &runbook.verification.may_cause).collect();
    let mut cured: Vec<&str> = all
        .iter()
        .flat_map(|runbook| &runbook.conditions)
        .filter(|condition| !brought_about.contains(condition))
        .map(String::as_str)
        .collect();
    cured.sort_unstable();
    cured.dedup();
    cured
}

macro_rules! files {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../../data/runbooks/", $name, ".toml")))),*] };
}

/// The files compiled in: the name without `.toml`, and the text.
pub(super) const FILES: &[(&str, &str)] = files![
    "add-huge-pages",
    "alternate-journal-directory",
    "check-license-expiry",
    "check-license-key",
    "free-web-server-port",
    "grow-database-cache",
    "report-license-use",
    "restart-frozen-instance",
    "separate-journal-directories",
    "shrink-database-cache",
    "web-server-off",
];

static RUNBOOKS: LazyLock<Vec<Runbook>> =
    LazyLock::new(|| read(FILES).expect("the built-in runbooks are checked by a test"));

pub(super) fn read(files: &[(&str, &str)]) -> Result<Vec<Runbook>, DataError> {
    let mut runbooks: Vec<Runbook> = Vec::new();
    for (name, text) in files {
        let file = format!("runbooks/{name}.toml");
        let table = document(&file, text)?;
        let runbook: Runbook =
            typed_fields(toml::Value::Table(table)).map_err(|rule| fault(&file, name, rule))?;
        check(name, &runbook).map_err(|rule| fault(&file, name, rule))?;
        runbooks.push(runbook);
    }
    Ok(runbooks)
}

/// The rules that hold for each runbook, and against the rows it refers to.
fn check(name: &str, runbook: &Runbook) -> Result<(), String> {
    if runbook.id != name || !is_kebab_case(&runbook.id) {
        return Err("id must be the name of the file: lower-case words joined by hyphens".to_owned());
    }
    if !(1..=200).contains(&runbook.action.chars().count()) {
        return Err("action must be 1 to 200 characters long".to_owned());
    }
    let said = [&runbook.risk_why, &runbook.source];
    let lists = [&runbook.never_touch, &runbook.verification.success_signs];
    let blank = |text: &String| text.trim().is_empty();
    if said.into_iter().any(blank) || lists.iter().any(|list| list.is_empty() || list.iter().any(blank)) {
        return Err("risk_why, source, never_touch and success_signs must say something".to_owned());
    }
    for condition in &runbook.conditions {
        check_condition(condition_of(condition)?, runbook)?;
    }
    if runbook.conditions.is_empty() {
        return Err("conditions must name what it answers".to_owned());
    }
    for condition in &runbook.verification.may_cause {
        condition_of(condition)?;
        if runbook.conditions.contains(condition) {
            return Err(format!("it cannot both cure and bring about \"{condition}\""));
        }
    }
    let of_steps = runbook.step.iter().flat_map(|row| row.only_if.iter().flatten());
    for given in runbook.precondition.iter().chain(of_steps) {
        given.check()?;
        if given.why.trim().is_empty() {
            return Err(format!("why must say what it means when \"{}\" is not so", given.fact));
        }
    }
    if runbook.company_seconds > 60 {
        return Err(format!("company_seconds must be 0 to 60, found {}", runbook.company_seconds));
    }
    check_steps(runbook)
}

fn condition_of(id: &str) -> Result<&'static Condition, String> {
    Catalogue::builtin().condition(id).ok_or_else(|| format!("no condition is called \"{id}\""))
}

fn check_condition(condition: &Condition, runbook: &Runbook) -> Result<(), String> {
    let id = &condition.id;
    if runbook.cures != (condition.answer == Answer::Remedy) {
        return Err(format!("the answer of \"{id}\" must be \"remedy\" exactly when the runbook cures"));
    }
    let restarts = runbook.step.iter().any(|row| row.target == Target::Instance);
    if restarts && condition.must_not_restart {
        return Err(format!("\"{id}\" must not be answered by a restart"));
    }
    Ok(())
}

fn check_steps(runbook: &Runbook) -> Result<(), String> {
    if runbook.step.is_empty() {
        return Err("there must be a step".to_owned());
    }
    for (index, row) in runbook.step.iter().enumerate() {
        if !is_kebab_case(&row.id) || row.id.len() > 48 || row.id == "verify" || row.id.ends_with("-undo") {
            return Err(format!("\"{}\" cannot be the id of a step", row.id));
        }
        let earlier = &runbook.step[..index];
        if earlier.iter().any(|other| other.id == row.id || other.target == row.target) {
            return Err(format!("step \"{}\" has the id or the target of another one", row.id));
        }
        if let Some(unknown) = row.depends_on.iter().find(|id| earlier.iter().all(|other| other.id != **id)) {
            return Err(format!(
                "step \"{}\" depends on \"{unknown}\", which does not stand before it",
                row.id
            ));
        }
        check_target(row)?;
    }
    let effect = |row: &StepRow| !matches!(row.target, Target::License { .. });
    if runbook.cures != runbook.step.iter().any(effect) || (runbook.risk == Risk::None) == runbook.cures {
        return Err(
            "a runbook that cures changes something, and risks something; one that looks does not".to_owned()
        );
    }
    // All that changes comes before the restart that makes it felt.
    let restart = runbook.step.iter().position(|row| row.target == Target::Instance);
    if restart.is_some_and(|at| at + 1 != runbook.step.len() || runbook.step[at].depends_on.len() != at) {
        return Err("a restart is the last step, and depends on every other".to_owned());
    }
    Ok(())
}

fn check_target(row: &StepRow) -> Result<(), String> {
    let value = row.formula.gives_a_value();
    let fits = match &row.target {
        Target::Cpf { section, parameter } => {
            let known = Catalogue::builtin().cpf.rows().iter();
            let mut known = known.filter(|row| row.section == *section && row.name == *parameter);
            value && known.next().is_some()
        }
        Target::Kernel { name } => {
            value && Catalogue::builtin().kernel_parameters().iter().any(|row| row.name == *name)
        }
        Target::License { action } => {
            !value && ["check_expiry", "validate_key", "report_usage"].contains(&action.as_str())
        }
        Target::Instance => !value,
    };
    let unknown = row.formula.facts().find(|name| crate::facts::fact(name).is_none());
    match (fits, unknown) {
        (false, _) => {
            Err(format!("the target of step \"{}\" is not known, or its formula does not fit", row.id))
        }
        (_, Some(name)) => Err(format!("no fact is called \"{name}\"")),
        (true, None) => Ok(()),
    }
}
