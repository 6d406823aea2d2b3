//! Every row of knowledge quotes its source, or says `unknown`.

use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

const DATA: &str = "shared/knowledge/data";
/// Words that sort messages which no row knows; they claim nothing about IRIS.
const NO_CLAIMS: [&str; 1] = ["error_type_words.toml"];

/// Prints the count of each file; returns the rows without a source.
pub fn count(root: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    println!("{:42} {:>5} {:>11} {:>8}", "rows of knowledge", "rows", "with source", "unknown");
    for file in super::files(root, DATA, ".toml")? {
        if NO_CLAIMS.iter().any(|name| file.path.ends_with(name)) {
            continue;
        }
        let table: Table = file.text.parse().with_context(|| format!("could not read \"{}\"", file.path))?;
        let (mut all, mut unknown) = (0, 0);
        for (label, row) in rows(&table) {
            all += 1;
            match row.get("source").and_then(Value::as_str).map(str::trim) {
                None | Some("") => faults.push(format!("{}: row {label} quotes no source", file.path)),
                Some(source) => unknown += usize::from(source.starts_with("unknown")),
            }
        }
        if all == 0 {
            faults.push(format!("{}: no row found", file.path));
        }
        let name = file.path.trim_start_matches(DATA).trim_start_matches('/');
        println!("{name:42} {all:5} {:11} {unknown:8}", all - unknown);
    }
    Ok(faults)
}

/// `[[row]]`, or `name = { ... }` under its `[section]`; or the file itself, of a runbook.
fn rows(table: &Table) -> Vec<(String, &Table)> {
    if table.contains_key("id") {
        return vec![("of the file".to_owned(), table)];
    }
    let mut rows = Vec::new();
    for (name, value) in table {
        match value {
            Value::Array(list) => {
                let tables = list.iter().filter_map(Value::as_table).enumerate();
                rows.extend(tables.map(|(index, row)| (format!("[[{name}]] number {}", index + 1), row)));
            }
            Value::Table(section) => {
                let tables = section.iter().filter_map(|(key, row)| Some((key, row.as_table()?)));
                rows.extend(tables.map(|(key, row)| (format!("[{name}] {key}"), row)));
            }
            _ => {}
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_rows_are_seen() {
        let table: Table =
            "[[condition]]\nid = \"a\"\n[[condition]]\nsource = \"b\"\n[config]\nglobals = { source = \"c\" }\n"
                .parse()
                .unwrap();
        let found: Vec<_> =
            rows(&table).into_iter().map(|(label, row)| (label, row.contains_key("source"))).collect();
        let expected =
            [("[[condition]] number 1", false), ("[[condition]] number 2", true), ("[config] globals", true)];
        assert_eq!(found, expected.map(|(label, sourced)| (label.to_owned(), sourced)));
        let runbook: Table = "id = \"a\"\n[[step]]\nid = \"b\"\n".parse().unwrap();
        assert_eq!(rows(&runbook).len(), 1, "its steps are parts of it");
    }
}
