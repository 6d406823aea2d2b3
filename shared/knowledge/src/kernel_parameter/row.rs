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
    path: String,
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
        Ok(KernelParameter {
            name: self.name,
            root: self.root,
            path: self.path,
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
    bounds.filter(|(low, high)| low <= high).ok_or_else(|| format!("\"{text}\" is not a range low..=high"))
}

/// The rules that hold for a row and those before it.
fn check_row(parameter: &KernelParameter, table: &Table) -> Result<(), String> {
    let expected = match parameter.root {
        KernelRoot::Proc => format!("sys/{}", parameter.name.replace('.', "/")),
        KernelRoot::Sys => parameter.name.replace('.', "/"),
        KernelRoot::Process => parameter.path.clone(),
    };
    if parameter.path != expected {
        return Err(format!("path must be \"{expected}\""));
    }
    if (parameter.root == KernelRoot::Process) != parameter.name.starts_with("process.") {
        return Err("what belongs to processes, and nothing else, is named process.<name>".to_owned());
    }
    if table.parameters.iter().any(|earlier| earlier.name == parameter.name) {
        return Err("the name is already taken by another row".to_owned());
    }
    if table.forbidden.iter().any(|row| row.covers(&parameter.name)) {
        return Err("the name is forbidden".to_owned());
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
