//! Entries of the lists of a CPF: whether what stands behind a name fits the rest of the file.

use instance_iris::cpf::Document;

/// Entries that IRIS itself needs ("Required database ... is not defined").
const SYSTEM_DATABASES: [&str; 7] =
    ["IRISSYS", "IRISLIB", "IRISTEMP", "IRISLOCALDATA", "IRISAUDIT", "IRISSECURITY", "IRISMETRICS"];
const SYSTEM_NAMESPACES: [&str; 2] = ["%SYS", "%ALL"];

/// In words what is wrong with an entry of `[Databases]`, `[Namespaces]` or `[Map.*]` in that file, or with its absence when
/// there is no value. `None` when nothing is, or in another section.
pub fn list_fault(document: &Document, section: &str, name: &str, value: Option<&str>) -> Option<String> {
    match (section, value) {
        ("Databases", Some(value)) => database(value),
        ("Databases", None) => database_is_gone(document, name),
        ("Namespaces", Some(value)) => namespace(document, value),
        ("Namespaces", None) => namespace_is_gone(document, name),
        (section, Some(value)) if section.starts_with("Map.") => mapping(document, value),
        _ => None,
    }
}

/// `directory[,remote instance,mount at start,,,stream location]`; a remote database has a name for a directory.
fn database(value: &str) -> Option<String> {
    let mut fields = value.split(',');
    let directory = fields.next().unwrap_or_default();
    let is_remote = directory.starts_with(':') || fields.next().is_some_and(|remote| !remote.is_empty());
    if is_remote {
        return None;
    }
    let windows = directory.as_bytes().get(1..3) == Some(b":\\");
    let upwards = directory.split(['/', '\\']).any(|component| component == "..");
    let absolute = (directory.starts_with('/') || windows) && !upwards;
    (!absolute).then(|| format!("\"{directory}\" is no absolute directory"))
}

fn database_is_gone(document: &Document, name: &str) -> Option<String> {
    if SYSTEM_DATABASES.contains(&name) {
        return Some("IRIS does not start without this database".to_owned());
    }
    let uses = |section: &str| section == "Namespaces" || section.starts_with("Map.");
    let holder = document
        .all_entries()
        .find(|entry| entry.section.is_some_and(uses) && entry.value.split(',').any(|field| field == name))?;
    let section = holder.section.unwrap_or_default();
    Some(format!("[{section}] {} still uses it (line {})", holder.name, holder.line))
}

/// `globals database[,routines database[,temporary database]]`
fn namespace(document: &Document, value: &str) -> Option<String> {
    let fields: Vec<&str> = value.split(',').collect();
    if fields.first().is_none_or(|first| first.is_empty()) || fields.len() > 3 {
        return Some(format!("\"{value}\" names no database for globals"));
    }
    fields.iter().filter(|field| !field.is_empty()).find_map(|name| no_database(document, name))
}

fn namespace_is_gone(document: &Document, name: &str) -> Option<String> {
    if SYSTEM_NAMESPACES.contains(&name) {
        return Some("IRIS does not work without this namespace".to_owned());
    }
    let section = format!("Map.{name}");
    let entry = document.entries(&section).next()?;
    Some(format!("section [{section}] still maps for it (line {})", entry.line))
}

/// `DB[,collation,lock location]`
fn mapping(document: &Document, value: &str) -> Option<String> {
    no_database(document, value.split(',').next().unwrap_or_default())
}

fn no_database(document: &Document, name: &str) -> Option<String> {
    let there = document.line_of("Databases", name).is_some();
    (!there).then(|| format!("\"{name}\" is no entry of [Databases]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPF: &[u8] =
        b"[Databases]\nIRISSYS=/mgr/\nUSER=/mgr/user/\n[Namespaces]\nUSER=USER\n[Map.USER]\nGlobal_x=USER\n";

    #[test]
    fn an_entry_fits_the_rest_of_the_file_or_is_told() {
        let document = Document::parse(CPF);
        let fault = |section, name, value| list_fault(&document, section, name, value);
        let told = |section, name, value, part: &str| {
            let fault = fault(section, name, value).unwrap();
            assert!(fault.contains(part), "{fault}");
        };
        told("Namespaces", "USER", Some("NOSUCHDB"), "\"NOSUCHDB\" is no entry of [Databases]");
        told("Namespaces", "USER", Some("USER,NOSUCHDB"), "NOSUCHDB");
        told("Namespaces", "USER", Some(""), "names no database");
        told("Map.USER", "Global_x", Some("GONE,5"), "GONE");
        told("Databases", "NEW", Some("somewhere"), "no absolute directory");
        told("Databases", "USER", None, "still uses it (line 5)");
        told("Namespaces", "USER", None, "still maps for it (line 7)");
        told("Namespaces", "%SYS", None, "does not work without");
        assert_eq!(fault("Namespaces", "USER", Some("USER,IRISSYS")), None);
        assert_eq!(fault("Databases", "FAR", Some(":ds:DB,SERVER")), None);
        assert_eq!(fault("config", "globals", Some("NOSUCHDB")), None);
    }
}
