//! Rows of `data/cpf_parameters.toml`: one line per parameter under its section, so that TOML itself refuses
//! a parameter that is written twice.

use serde::Deserialize;

use super::{Activation, Parameter, ParameterKind};
use crate::rows::{self, DataError, fault};

pub fn read(file: &str, text: &str) -> Result<Vec<Parameter>, DataError> {
    let mut parameters = Vec::new();
    for (section, rows) in rows::document(file, text)? {
        let toml::Value::Table(rows) = rows else {
            return Err(fault(file, &section, "must be a section"));
        };
        for (name, row) in rows {
            let label = format!("[{section}] {name}");
            let row: ParameterRow =
                row.try_into().map_err(|error: toml::de::Error| fault(file, &label, error.message()))?;
            let parameter = row.into_parameter(&section, &name).map_err(|rule| fault(file, &label, rule))?;
            check(&parameter).map_err(|rule| fault(file, &label, rule))?;
            parameters.push(parameter);
        }
    }
    Ok(parameters)
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
        let choices = || self.choices.clone().filter(|all| !all.is_empty()).ok_or("needs choices".to_owned());
        match self.r#type.as_str() {
            "integer" => Ok(ParameterKind::Integer {
                min: whole(self.min.ok_or("needs min")?)?,
                max: whole(self.max.ok_or("needs max")?)?,
            }),
            "decimal" => Ok(ParameterKind::Decimal {
                min: self.min.ok_or("needs min")?,
                max: self.max.ok_or("needs max")?,
            }),
            "boolean" => Ok(ParameterKind::Boolean),
            "bits" => Ok(ParameterKind::Bits {
                mask: self.bits.as_ref().ok_or("needs bits")?.iter().fold(0, |mask, bit| mask | bit),
            }),
            "integers" => {
                let ranges = self.ranges.clone().ok_or("needs ranges")?;
                let counts = self.counts.clone().unwrap_or_else(|| vec![ranges.len()]);
                Ok(ParameterKind::Integers { ranges, counts, alone: self.alone })
            }
            "choice" => Ok(ParameterKind::Choice { choices: choices()? }),
            "choice-list" => Ok(ParameterKind::ChoiceList { choices: choices()? }),
            "string" => Ok(ParameterKind::Text { max_length }),
            "directory" => Ok(ParameterKind::Directory { max_length }),
            "file" => Ok(ParameterKind::File { max_length }),
            other => Err(format!("unknown type \"{other}\"")),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and within the exact range of f64")]
fn whole(number: f64) -> Result<i64, String> {
    if number.fract() == 0.0 && number.abs() <= MAX_EXACT {
        return Ok(number as i64);
    }
    Err(format!("{number} is not a whole number"))
}

/// The rules that hold for each row alone.
fn check(parameter: &Parameter) -> Result<(), String> {
    let ordered = match &parameter.kind {
        ParameterKind::Integer { min, max } => min <= max,
        ParameterKind::Decimal { min, max } => min <= max,
        ParameterKind::Integers { ranges, counts, alone } => {
            ranges.iter().chain(alone).all(|(min, max)| min <= max)
                && !counts.is_empty()
                && counts.iter().all(|count| (1..=ranges.len()).contains(count))
        }
        _ => true,
    };
    if !ordered {
        return Err(
            "the lowest legal value is above the highest, or the counts do not fit the ranges".to_owned()
        );
    }
    if parameter.meaning.trim().is_empty() || parameter.source.trim().is_empty() {
        return Err("meaning and source must not be empty".to_owned());
    }
    if let Some(default) = &parameter.default {
        parameter.check(default).map_err(|fault| format!("the default: {fault}"))?;
    }
    Ok(())
}
