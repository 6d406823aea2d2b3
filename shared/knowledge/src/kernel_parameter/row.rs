//! Rows of `kernel_parameters.toml`, and the rules that hold for each.

use serde::Deserialize;

use super::{Forbidden, KernelKind, KernelParameter, KernelRoot, Need, Recommended, Table};
use crate::rows::{self, DataError, fault};
use crate::value::canonical_decimal;

/// A row as it stands in the file: `ranges` of numbers as texts `low..=high`, since TOML's integers end at 2^63.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "plain properties of a row, each true or not")]
struct ParameterRow {
    name: String,
    root: KernelRoot,
    /// Left out, it follows from the name.
    path: Option<String>,
    #[serde(default)]
    ranges: Vec<String>,
    #[serde(default)]
    words: Vec<String>,
    #[serde(default)]
    cpus: bool,
    unit: Option<String>,
    default: Option<String>,
    iris_minimum: Option<u64>,
    iris_need: Option<Need>,
    #[serde(default)]
    recommended: Vec<Recommended>,
    recommendation: String,
    persistent: bool,
    dangerous: bool,
    reboot_advised: bool,
    #[serde(default)]
    at_start: bool,
    #[serde(default)]
    slow: bool,
    source: String,
}

/// Reads and checks the whole file.
pub(super) fn read(file: &str, text: &str) -> Result<Table, DataError> {
    let known = &["parameter", "forbidden"];
    let mut table = Table { parameters: Vec::new(), forbidden: Vec::new() };
    for row in rows::read::<Forbidden>(file, text, "forbidden", "name", known)? {
        table.forbidden.push(row.value);
    }
    for row in rows::read::<ParameterRow>(file, text, "parameter", "name", known)? {
        let parameter = row.value.into_parameter().map_err(|rule| fault(file, &row.label, rule))?;
        check_row(&parameter, &table).map_err(|rule| fault(file, &row.label, rule))?;
        table.parameters.push(parameter);
    }
    Ok(table)
}

impl Table {
    /// Adds the rows `[[kernel_parameter]]` of a user's own; `tables` are the names that the file may hold.
    pub fn add_own(&mut self, file: &str, text: &str, tables: &[&str]) -> Result<(), DataError> {
        for row in rows::read::<ParameterRow>(file, text, "kernel_parameter", "name", tables)? {
            let refused = |rule| fault(file, &row.label, rule);
            let parameter = row.value.into_parameter().map_err(refused)?;
            // Below /sys lies what can switch a host off, and no row says which names those are.
            if parameter.root != KernelRoot::Proc {
                return Err(refused("root must be \"proc\" in a row of your own".to_owned()));
            }
            check_row(&parameter, self).map_err(refused)?;
            self.parameters.push(parameter);
        }
        Ok(())
    }
}

impl ParameterRow {
    fn into_parameter(self) -> Result<KernelParameter, String> {
        let kind = match (self.ranges.is_empty(), self.words.is_empty(), self.cpus) {
            (false, true, false) => {
                KernelKind::Numbers(self.ranges.iter().map(|text| range(text)).collect::<Result<_, _>>()?)
            }
            (true, false, false) => KernelKind::Word(self.words),
            (true, true, true) => KernelKind::Cpus,
            _ => return Err("needs either ranges or words or cpus".to_owned()),
        };
        let path = self.path.or_else(|| path_of(self.root, &self.name));
        Ok(KernelParameter {
            path: path.ok_or("path is missing: it does not follow from the name")?,
            name: self.name,
            root: self.root,
            kind,
            unit: self.unit,
            default: self.default,
            iris_minimum: self.iris_minimum,
            iris_need: self.iris_need,
            recommended: self.recommended,
            recommendation: self.recommendation,
            persistent: self.persistent,
            dangerous: self.dangerous,
            reboot_advised: self.reboot_advised,
            at_start: self.at_start,
            slow: self.slow,
            source: self.source,
        })
    }
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let bounds = text
        .split_once("..=")
        .and_then(|(low, high)| Some((canonical_decimal(low)?, canonical_decimal(high)?)));
    bounds
        .filter(|(low, high)| low <= high)
        .ok_or_else(|| format!("ranges \"{text}\" is not a range low..=high"))
}

/// Below its root; nothing for what has no file of its own.
fn path_of(root: KernelRoot, name: &str) -> Option<String> {
    match root {
        KernelRoot::Proc => Some(format!("sys/{}", name.replace('.', "/"))),
        KernelRoot::Sys => Some(name.replace('.', "/")),
        KernelRoot::Process => None,
    }
}

/// The rules that hold for a row and those before it.
fn check_row(parameter: &KernelParameter, table: &Table) -> Result<(), String> {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    if !parameter.name.split('.').all(part) || !parameter.name.contains('.') {
        return Err("name must be words of letters, digits, _ and -, joined by dots".to_owned());
    }
    if let Some(expected) = path_of(parameter.root, &parameter.name)
        && parameter.path != expected
    {
        return Err(format!("path must be \"{expected}\""));
    }
    if (parameter.root == KernelRoot::Process) != parameter.name.starts_with("process.") {
        return Err("what belongs to processes, and nothing else, is named process.<name>".to_owned());
    }
    if table.parameters.iter().any(|earlier| earlier.name == parameter.name) {
        return Err("the name is already taken by another row".to_owned());
    }
    if let Some(row) = table.forbidden.iter().find(|row| row.covers(&parameter.name)) {
        return Err(format!("the name is never allowed: {}", row.reason));
    }
    if parameter.recommendation.trim().is_empty() || parameter.source.trim().is_empty() {
        return Err("recommendation and source must not be empty".to_owned());
    }
    if parameter.persistent && parameter.root != KernelRoot::Proc {
        return Err("only what lies below /proc/sys can be kept by sysctl".to_owned());
    }
    for value in &parameter.recommended {
        value.check(parameter)?;
    }
    parameter
        .default
        .as_ref()
        .map_or(Ok(()), |default| parameter.check(default))
        .map_err(|fault| fault.to_string())
}
