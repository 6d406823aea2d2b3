//! Entries of the lists of a CPF: whether what stands behind a name fits the rest of the file.

use instance_iris::cpf::Document;

use crate::{conflict::Conflict, wanted::Touched};

/// Entries that IRIS itself needs ("Required database ... is not defined").
const SYSTEM_DATABASES: [&str; 7] =
    ["IRISSYS", "IRISLIB", "IRISTEMP", "IRISLOCALDATA", "IRISAUDIT", "IRISSECURITY", "IRISMETRICS"];
const SYSTEM_NAMESPACES: [&str; 2] = ["%SYS", "%ALL"];

/// Whether each touched entry of `[Databases]`, `[Namespaces]` and `[Map.*]` makes sense in the file as it will be.
pub fn check(new: &Document, touched: &[Touched]) -> Result<(), Conflict> {
    for one in touched.iter().filter(|one| one.changes()) {
        match (one.section.as_str(), &one.after) {
            ("Databases", Some(value)) => database(one, value)?,
            ("Databases", None) => database_is_gone(new, one)?,
            ("Namespaces", Some(value)) => namespace(new, one, value)?,
            ("Namespaces", None) => namespace_is_gone(new, one)?,
            (section, Some(value)) if section.starts_with("Map.") => mapping(new, one, value)?,
            _ => {}
        }
    }
    Ok(())
}

fn unfit(one: &Touched, rule: impl Into<String>) -> Result<(), Conflict> {
    Err(Conflict::Unfit { label: one.label(), rule: rule.into() })
}

/// `directory[,remote instance,mount at start,,,stream location]`; a remote database has a name for a directory.
fn database(one: &Touched, value: &str) -> Result<(), Conflict> {
    let mut fields = value.split(',');
    let directory = fields.next().unwrap_or_default();
    let is_remote = directory.starts_with(':') || fields.next().is_some_and(|remote| !remote.is_empty());
    if is_remote {
        return Ok(());
    }
    let windows = directory.as_bytes().get(1..3) == Some(b":\\");
    let upwards = directory.split(['/', '\\']).any(|component| component == "..");
    if (directory.starts_with('/') || windows) && !upwards {
        return Ok(());
    }
    unfit(one, format!("\"{directory}\" is no absolute directory"))
}

fn database_is_gone(new: &Document, one: &Touched) -> Result<(), Conflict> {
    if SYSTEM_DATABASES.contains(&one.parameter.as_str()) {
        return unfit(one, "IRIS does not start without this database");
    }
    let uses = |section: &str| section == "Namespaces" || section.starts_with("Map.");
    let holder = new.all_entries().find(|entry| {
        entry.section.is_some_and(uses) && entry.value.split(',').any(|field| field == one.parameter)
    });
    match holder {
        Some(entry) => {
            let section = entry.section.unwrap_or_default();
            unfit(one, format!("[{section}] {} still uses it (line {})", entry.name, entry.line))
        }
        None => Ok(()),
    }
}

/// `globals database[,routines database[,temporary database]]`
fn namespace(new: &Document, one: &Touched, value: &str) -> Result<(), Conflict> {
    let fields: Vec<&str> = value.split(',').collect();
    if fields.first().is_none_or(|first| first.is_empty()) || fields.len() > 3 {
        return unfit(one, format!("\"{value}\" names no database for globals"));
    }
    let named = fields.iter().filter(|field| !field.is_empty());
    named.into_iter().try_for_each(|name| is_database(new, one, name))
}

fn namespace_is_gone(new: &Document, one: &Touched) -> Result<(), Conflict> {
    if SYSTEM_NAMESPACES.contains(&one.parameter.as_str()) {
        return unfit(one, "IRIS does not work without this namespace");
    }
    let section = format!("Map.{}", one.parameter);
    match new.entries(&section).next() {
        Some(entry) => unfit(one, format!("section [{section}] still maps for it (line {})", entry.line)),
        None => Ok(()),
    }
}

/// `DB[,collation,lock location]`
fn mapping(new: &Document, one: &Touched, value: &str) -> Result<(), Conflict> {
    is_database(new, one, value.split(',').next().unwrap_or_default())
}

fn is_database(new: &Document, one: &Touched, name: &str) -> Result<(), Conflict> {
    if new.line_of("Databases", name).is_some() {
        return Ok(());
    }
    unfit(one, format!("\"{name}\" is no entry of [Databases]"))
}
