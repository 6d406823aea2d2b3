//! Every fact about an instance names the door of the real product that it is read through, and every door that the
//! sources read is listed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::{Source, files, without_tests};

const FACTS: &str = "shared/knowledge/data/instance_facts.toml";
const DOORS: [&str; 6] = ["command", "log", "metric", "file", "port", "kernel"];
/// Whoever looks at an instance.
const READERS: [&str; 4] =
    ["services/config-agent/src", "services/os-agent/src", "services/restart-agent/src", "shared/agent/src"];
/// Words of the `iris` program that change an instance and tell nothing.
const EFFECTS: [&str; 4] = ["merge", "start", "stop", "force"];
/// Names of tools in commands, which look like metrics.
const NO_METRICS: [&str; 2] = ["iris_config", "iris_restart"];

/// One row, as far as it is checked.
struct Fact {
    id: String,
    door: String,
    name: String,
    code: String,
    read_by: Vec<String>,
}

/// Prints the facts by door; returns what is wrong.
pub fn count(root: &Path) -> Result<Vec<String>> {
    let text =
        std::fs::read_to_string(root.join(FACTS)).with_context(|| format!("could not read \"{FACTS}\""))?;
    let facts = facts(&text)?;
    let mut sources = Vec::new();
    for folder in READERS {
        sources.extend(files(root, folder, ".rs")?.into_iter().filter(|file| !is_test(&file.path)));
    }
    println!("{:42} {:>5}", "facts about an instance, by door", "facts");
    let mut by_door: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for fact in &facts {
        by_door.entry(&fact.door).or_default().push(&fact.id);
    }
    for (door, ids) in by_door {
        println!("{door:42} {:5}  {}", ids.len(), ids.join(", "));
    }
    Ok(compare(&facts, &sources))
}

fn facts(text: &str) -> Result<Vec<Fact>> {
    let table: Table = text.parse().with_context(|| format!("could not read \"{FACTS}\""))?;
    let rows =
        table.get("fact").and_then(Value::as_array).with_context(|| format!("\"{FACTS}\" holds no fact"))?;
    let fact = |row: &Value| {
        let text = |field: &str| row.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let read_by = row.get("read_by").and_then(Value::as_array).into_iter().flatten();
        let code = Some(text("code")).filter(|code| !code.is_empty());
        Fact {
            id: text("id"),
            door: text("door"),
            name: text("name"),
            code: code.unwrap_or_else(|| text("name")),
            read_by: read_by.filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    };
    Ok(rows.iter().map(fact).collect())
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("tests.rs") || path.contains("counting_agent")
}

fn compare(facts: &[Fact], sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for fact in facts {
        if !DOORS.contains(&fact.door.as_str()) || fact.name.is_empty() {
            faults.push(format!("{FACTS}: fact \"{}\" has no door of the real product", fact.id));
        }
        for path in &fact.read_by {
            let reader = sources.iter().find(|source| source.path == *path);
            if !reader.is_some_and(|source| without_tests(&source.text).contains(&fact.code)) {
                faults.push(format!("{FACTS}: fact \"{}\" is not read in {path}", fact.id));
            }
        }
        if fact.read_by.is_empty() {
            faults.push(format!("{FACTS}: fact \"{}\" is read by nobody", fact.id));
        }
    }
    for source in sources {
        for (kind, name) in read_in(without_tests(&source.text)) {
            let listed =
                |fact: &Fact| fact.door == kind && fact.name == name && fact.read_by.contains(&source.path);
            if !facts.iter().any(listed) {
                faults.push(format!("{}: {kind} \"{name}\" is read and not listed in {FACTS}", source.path));
            }
        }
    }
    faults
}

/// Metrics, and words of the `iris` program that tell something, as a source names them.
fn read_in(text: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for literal in text.split('"').skip(1).step_by(2) {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let metric =
            literal.strip_prefix("iris_").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(word));
        if metric && !NO_METRICS.contains(&literal) && !is_code(text, literal) {
            found.push(("metric", literal.to_owned()));
        }
    }
    for call in [".arguments([\"", ".iris(&[\""] {
        let words = text.split(call).skip(1).filter_map(|rest| rest.split('"').next());
        let telling = words.filter(|word| !EFFECTS.contains(word));
        found.extend(telling.map(|word| ("command", word.to_owned())));
    }
    found
}

/// Is it the code of a failure?
fn is_code(text: &str, literal: &str) -> bool {
    ["transient(", "permanent(", "refused(", "unknown("].iter().any(|call| {
        text.split(call).skip(1).any(|rest| rest.trim_start().starts_with(&format!("\"{literal}\"")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "[[fact]]\nid = \"a\"\ndoor = \"metric\"\nname = \"iris_a\"\nread_by = [\"x.rs\"]\n";

    fn check(rows: &str, source: &str, expected: &[&str]) {
        let sources = [Source { path: "x.rs".to_owned(), text: source.to_owned() }];
        let found = compare(&facts(rows).unwrap(), &sources);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (fault, part) in found.iter().zip(expected) {
            assert!(fault.contains(part), "{fault}");
        }
    }

    #[test]
    fn what_is_read_is_listed_and_what_is_listed_is_read() {
        check(ROW, "metrics.value(\"iris_a\")", &[]);
        check(ROW, "nothing", &["not read in x.rs"]);
        check(ROW, "\"iris_a\", \"iris_b\", \"iris_config\"", &["metric \"iris_b\" is read and not listed"]);
        check(ROW, "\"iris_a\"; Failure::transient(\"iris_unavailable\", x)", &[]);
        check(ROW, "\"iris_a\"; p.arguments([\"qlist\", name])", &["command \"qlist\" is read"]);
        check(ROW, "\"iris_a\"; p.arguments([\"merge\", name])", &[]);
        check(ROW, "\"iris_a\"\n#[cfg(test)]\nmod tests { \"iris_b\" }", &[]);
        check(&ROW.replace("metric", "sim"), "\"iris_a\"", &["no door", "read and not listed"]);
    }
}
