//! Rows of `data/cpf_parameters.toml`: one line per parameter under its section, so that TOML itself refuses
//! a parameter that is written twice.

use serde::Deserialize;

use super::{Activation, Parameter, ParameterKind, release::release};
use crate::rows::{self, DataError, fault};

pub fn read(file: &str, text: &str) -> Result<Vec<Parameter>, DataError> {
    let mut parameters = Vec::new();
    for (section, rows) in rows::document(file, text)? {
        let toml::Value::Table(rows) = rows else {
            return Err(fault(file, &section, "must be a section"));
        };
        for (name, row) in rows {
            parameters.push(parameter(file, &section, &name, row)?);
        }
    }
    Ok(parameters)
}

/// One row, checked by itself.
pub fn parameter(file: &str, section: &str, name: &str, row: toml::Value) -> Result<Parameter, DataError> {
    let label = format!("[{section}] {name}");
    let refused = |rule: String| fault(file, &label, rule);
    let row: ParameterRow = rows::typed_fields(row).map_err(refused)?;
    let parameter = row.into_parameter(section, name).map_err(refused)?;
    check(&parameter).map_err(refused)?;
    Ok(parameter)
}

/// A row as it stands in the file; which fields are needed depends on `type`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParameterRow {
    r#type: String,
    unit: Option<String>,
    min: Option<f64>,
    max: Option<f64>,
    ranges: Option<Vec<(i64, i64)>>,
    counts: Option<Vec<usize>>,
    alone: Option<(i64, i64)>,
    choices: Option<Vec<String>>,
    bits: Option<Vec<u64>>,
    max_length: Option<usize>,
    default: Option<String>,
    #[serde(default)]
    special: Vec<String>,
    #[serde(default)]
    required_non_empty: bool,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    secret: bool,
    since: Option<String>,
    until: Option<String>,
    restart: Activation,
    meaning: String,
    source: String,
}

/// Longest text that is legal where no source gives a bound; real values reach 160 characters.
const MAX_TEXT: usize = 1024;
/// What a row may call its type.
const TYPES: [&str; 13] = [
    "integer",
    "decimal",
    "boolean",
    "bits",
    "integers",
    "choice",
    "choice-list",
    "string",
    "directory",
    "file",
    "alphanumeric",
    "address",
    "log-place",
];
/// Whole numbers up to here survive the way through TOML's floating-point numbers unchanged.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

impl ParameterRow {
    fn into_parameter(self, section: &str, name: &str) -> Result<Parameter, String> {
        let kind = self.kind()?;
        Ok(Parameter {
            section: section.to_owned(),
            name: name.to_owned(),
            kind,
            unit: self.unit,
            default: self.default,
            special: self.special,
            required_non_empty: self.required_non_empty,
            read_only: self.read_only,
            secret: self.secret,
            since: self.since,
            until: self.until,
            activation: self.restart,
            meaning: self.meaning,
            source: self.source,
        })
    }

    fn kind(&self) -> Result<ParameterKind, String> {
        let max_length = self.max_length.unwrap_or(MAX_TEXT);
        let needs = |field: &str| format!("{field} is missing: type \"{}\" needs it", self.r#type);
        let choices = || self.choices.clone().filter(|all| !all.is_empty()).ok_or_else(|| needs("choices"));
        let (min, max) = (|| self.min.ok_or_else(|| needs("min")), || self.max.ok_or_else(|| needs("max")));
        match self.r#type.as_str() {
            "integer" => {
                Ok(ParameterKind::Integer { min: whole("min", min()?)?, max: whole("max", max()?)? })
            }
            "decimal" => Ok(ParameterKind::Decimal { min: min()?, max: max()? }),
            "boolean" => Ok(ParameterKind::Boolean),
            "bits" => {
                Ok(ParameterKind::Bits { mask: mask(self.bits.as_ref().ok_or_else(|| needs("bits"))?)? })
            }
            "integers" => {
                let ranges = self.ranges.clone().ok_or_else(|| needs("ranges"))?;
                let counts = self.counts.clone().unwrap_or_else(|| vec![ranges.len()]);
                Ok(ParameterKind::Integers { ranges, counts, alone: self.alone })
            }
            "choice" => Ok(ParameterKind::Choice { choices: choices()? }),
            "choice-list" => Ok(ParameterKind::ChoiceList { choices: choices()? }),
            "string" => Ok(ParameterKind::Text { max_length }),
            "directory" => Ok(ParameterKind::Directory { max_length }),
            "file" => Ok(ParameterKind::File { max_length }),
            "alphanumeric" => Ok(ParameterKind::Alphanumeric { max_length }),
            "address" => Ok(ParameterKind::Address),
            "log-place" => Ok(ParameterKind::LogPlace { max_length }),
            other => Err(format!("type \"{other}\" is unknown; known are {}", TYPES.join(", "))),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and within the exact range of f64")]
fn whole(field: &str, number: f64) -> Result<i64, String> {
    if number.fract() == 0.0 && number.abs() <= MAX_EXACT {
        return Ok(number as i64);
    }
    Err(format!("{field} {number} is not a whole number"))
}

fn mask(bits: &[u64]) -> Result<u64, String> {
    match bits.iter().find(|bit| !bit.is_power_of_two()) {
        Some(bit) => Err(format!("bits {bit} is not a power of two")),
        None => Ok(bits.iter().fold(0, |mask, bit| mask | bit)),
    }
}

/// The rules that hold for each row alone.
fn check(parameter: &Parameter) -> Result<(), String> {
    check_ranges(&parameter.kind)?;
    for (field, version) in [("since", &parameter.since), ("until", &parameter.until)] {
        if let Some(version) = version.as_ref().filter(|version| release(version).is_none()) {
            return Err(format!("{field} \"{version}\" is not a release such as 2025.1"));
        }
    }
    if parameter.meaning.trim().is_empty() || parameter.source.trim().is_empty() {
        return Err("meaning and source must not be empty".to_owned());
    }
    if let Some(default) = &parameter.default {
        parameter.check(default).map_err(|fault| format!("the default: {fault}"))?;
    }
    Ok(())
}

fn check_ranges(kind: &ParameterKind) -> Result<(), String> {
    let backwards = |min: &dyn std::fmt::Display, max: &dyn std::fmt::Display| {
        Err(format!("the lowest legal value {min} is above the highest, {max}"))
    };
    match kind {
        ParameterKind::Integer { min, max } if min > max => backwards(min, max),
        ParameterKind::Decimal { min, max } if min > max => backwards(min, max),
        ParameterKind::Integers { ranges, counts, alone } => {
            if let Some((min, max)) = ranges.iter().chain(alone).find(|(min, max)| min > max) {
                return backwards(min, max);
            }
            let fits = |count: &usize| (1..=ranges.len()).contains(count);
            if counts.is_empty() || !counts.iter().all(fits) {
                return Err(format!("counts {counts:?} do not fit {} ranges", ranges.len()));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
