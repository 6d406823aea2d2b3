//! What `cargo metadata` does not tell about a manifest: whether lints and versions come from the workspace.
//!
//! Reads lines, not TOML: our manifests say one dependency a line, and any other way of writing it is a fault,
//! so nothing passes because it was not understood.

/// Faults of one manifest, each beginning with where in the file (`:12: ...`).
pub fn faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut section = "";
    let mut shares_lints = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let at = index + 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            section = header.split(']').next().unwrap_or_default();
            if let Some((_, name)) = section.split_once("dependencies.") {
                faults.push(format!(":{at}: write \"{name}.workspace = true\" on one line"));
            }
        } else if is_dependencies(section) {
            faults.extend(dependency_fault(line).map(|fault| format!(":{at}: {fault}")));
        } else if section == "lints" {
            shares_lints |= without_spaces(line) == "workspace=true";
        }
    }
    if !shares_lints {
        faults.push(": the section [lints] with \"workspace = true\" is missing".to_owned());
    }
    faults
}

/// `[dependencies]`, `[dev-dependencies]`, `[build-dependencies]`, also of one target.
fn is_dependencies(section: &str) -> bool {
    let table = section.rsplit('.').next().unwrap_or_default();
    matches!(table, "dependencies" | "dev-dependencies" | "build-dependencies")
}

fn dependency_fault(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    let (key, value) = (key.trim(), without_spaces(value));
    let value = value.split('#').next().unwrap_or_default();
    let name = key.strip_suffix(".workspace");
    let shared = match name {
        Some(_) => value == "true",
        // With features or `optional` beside it.
        None => value
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .is_some_and(|fields| fields.split(',').any(|field| field == "workspace=true")),
    };
    let name = name.unwrap_or(key);
    (!shared).then(|| format!("\"{name}\" has a version of its own; write \"{name}.workspace = true\""))
}

fn without_spaces(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINTS: &str = "[lints]\nworkspace = true\n";

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(faults(&format!("{LINTS}{text}")), expected);
    }

    #[test]
    fn versions_from_the_workspace_pass() {
        check(
            "[dependencies]\n# why\nserde.workspace = true # and why\ntokio = { workspace = true, features = [\"fs\"] }",
            &[],
        );
        check("[package]\nversion = \"1\"\n[features]\nsabotage = [\"instance-agent/sabotage\"]", &[]);
        check("[target.'cfg(unix)'.dependencies]\nnix.workspace = true", &[]);
    }

    #[test]
    fn a_version_of_its_own_is_named_with_its_line() {
        let expected = [":4: \"serde\" has a version of its own; write \"serde.workspace = true\""];
        check("[dependencies]\nserde = \"1\"", &expected);
        check("[dev-dependencies]\nserde = { version = \"1\" }", &expected);
        check("[build-dependencies]\nserde = { path = \"../serde\" }", &expected);
        check("[target.'cfg(unix)'.dependencies]\nserde = \"1\"", &expected);
        check("[dependencies]\nserde.workspace = false", &expected);
    }

    #[test]
    fn what_is_written_another_way_does_not_pass_unread() {
        check("[dependencies.serde]\nversion = \"1\"", &[":3: write \"serde.workspace = true\" on one line"]);
        check(
            "[dependencies]\nserde.version = \"1\"",
            &[":4: \"serde.version\" has a version of its own; write \"serde.version.workspace = true\""],
        );
    }

    #[test]
    fn lints_must_come_from_the_workspace() {
        let missing = [": the section [lints] with \"workspace = true\" is missing"];
        assert_eq!(faults("[package]\nname = \"a\"\n"), missing);
        assert_eq!(faults("[lints]\nworkspace = false\n"), missing);
        assert_eq!(faults("[lints.rust]\nunsafe_code = \"allow\"\nworkspace = true\n"), missing);
    }
}
