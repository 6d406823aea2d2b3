//! Reading rows: one function, so that every bad row is named the same way.

use serde::de::DeserializeOwned;

/// Why a knowledge file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file as a whole is not TOML.
    #[error("knowledge file \"{file}\" is not valid TOML")]
    Syntax {
        /// Name of the file, as given.
        file: String,
        /// What the TOML reader says, with line and column.
        #[source]
        source: toml::de::Error,
    },
    /// One row breaks a rule.
    #[error("knowledge file \"{file}\", row \"{row}\": {rule}")]
    Row {
        /// Name of the file, as given.
        file: String,
        /// The row's id or name, or its place counted from 1 when it has none.
        row: String,
        /// The rule that is broken, with the value that breaks it.
        rule: String,
    },
}

/// One row and what to call it in an error.
pub struct Row<T> {
    pub label: String,
    pub value: T,
}

/// Where a row stands, to say so in an error.
pub fn fault(file: &str, row: &str, rule: impl Into<String>) -> DataError {
    DataError::Row { file: file.to_owned(), row: row.to_owned(), rule: rule.into() }
}

/// Reads the array of tables `table` of one file; `key` names the field that labels a row.
///
/// Top-level names other than those in `known` are refused: a misspelt `[[conditions]]` must not vanish.
pub fn read<T: DeserializeOwned>(
    file: &str,
    text: &str,
    table: &str,
    key: &str,
    known: &[&str],
) -> Result<Vec<Row<T>>, DataError> {
    let mut document = document(file, text)?;
    if let Some(name) = document.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(fault(file, name, format!("unknown table; known are {}", known.join(", "))));
    }
    let rows = match document.remove(table) {
        None => return Ok(Vec::new()),
        Some(toml::Value::Array(rows)) => rows,
        Some(_) => return Err(fault(file, table, format!("must be written [[{table}]]"))),
    };
    rows.into_iter().enumerate().map(|(index, row)| typed(file, key, index + 1, row)).collect()
}

/// The file as a table.
pub fn document(file: &str, text: &str) -> Result<toml::Table, DataError> {
    text.parse().map_err(|source| DataError::Syntax { file: file.to_owned(), source })
}

fn typed<T: DeserializeOwned>(
    file: &str,
    key: &str,
    place: usize,
    row: toml::Value,
) -> Result<Row<T>, DataError> {
    let named = row.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let label = named.unwrap_or_else(|| format!("number {place}"));
    match typed_fields(row) {
        Ok(value) => Ok(Row { label, value }),
        Err(rule) => Err(fault(file, &label, rule)),
    }
}

/// The fields of one row; a fault names the field.
pub fn typed_fields<T: DeserializeOwned>(row: toml::Value) -> Result<T, String> {
    row.try_into().map_err(|error: toml::de::Error| error.to_string().trim().replace('\n', " "))
}
