//! The codes that sources give, read from their text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What takes a code as its first argument.
const CONSTRUCTORS: [&str; 10] = [
    "Failure::transient(",
    "Failure::permanent(",
    "Failure::refused(",
    "Failure::unknown(",
    "Self::transient(",
    "Self::permanent(",
    "Self::refused(",
    "Self::unknown(",
    "Cause::new(",
    "Cause { code:",
];
/// How an error text names a page.
const NAMED_PAGE: &str = "docs/errors/";

/// How a room gives its codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// As the first argument of a failure or its cause.
    OfFailures,
    /// As the status of a step that no agent has answered for, told with a reason.
    OfUnsentSteps,
}

/// A code or the name of a page, and where it was met first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    pub code: String,
    /// `path:line`.
    pub place: String,
}

/// All that the sources of one room give.
#[derive(Debug, Default)]
pub struct Found {
    pub codes: Vec<Met>,
    /// Pages that texts send their reader to.
    pub pages: Vec<Met>,
    /// Places where a code is given and cannot be read.
    pub faults: Vec<String>,
}

/// Read every Rust file below `folder`, tests left out.
pub fn read(root: &Path, folder: &str, words: Words) -> Result<Found> {
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files)?;
    let tests: BTreeSet<PathBuf> = files.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    let mut found = Found::default();
    for (path, text) in &files {
        let is_test = path.ancestors().any(|part| tests.contains(&part.with_extension("")));
        if !is_test {
            let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
            look(&name, text, words, &mut found);
        }
    }
    Ok(found)
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, String)>) -> Result<()> {
    let listing = || format!("could not list \"{}\"", folder.display());
    for entry in fs::read_dir(folder).with_context(listing)? {
        let path = entry.with_context(listing)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("could not read \"{}\"", path.display()))?;
            files.push((path, text));
        }
    }
    files.sort();
    Ok(())
}

/// The modules that a file declares for tests alone, as paths without an ending.
fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let folder = match stem {
        "lib" | "main" | "mod" => path.with_file_name(""),
        _ => path.with_extension(""),
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declared = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
    let names = declared.filter_map(|pair| pair[1].strip_prefix("mod ")?.strip_suffix(';'));
    names.map(|name| folder.join(name)).collect()
}

/// Everything in one file. Its own tests come last, and comments give no codes.
fn look(name: &str, text: &str, words: Words, found: &mut Found) {
    let own = text.split_once("#[cfg(test)]\nmod tests {").map_or(text, |(own, _)| own);
    // Blanked and not removed, so that lines keep their numbers.
    let blank =
        |line: &'_ str| if line.trim_start().starts_with("//") { String::new() } else { line.to_owned() };
    let own = own.lines().map(blank).collect::<Vec<_>>().join("\n");
    let place = |at: usize| format!("{name}:{}", own[..at].matches('\n').count() + 1);
    match words {
        Words::OfFailures => {
            let given = CONSTRUCTORS.iter().flat_map(|constructor| {
                own.match_indices(constructor).map(|(at, matched)| (at, at + matched.len()))
            });
            for (at, after) in given {
                match first_argument(&own, after) {
                    Some(codes) => {
                        found.codes.extend(codes.into_iter().map(|code| Met { code, place: place(at) }));
                    }
                    None => found.faults.push(format!("{}: the code is not a literal here", place(at))),
                }
            }
        }
        Words::OfUnsentSteps => {
            for (at, matched) in own.match_indices("StepStatus::") {
                let code = told_status(&own[at + matched.len()..]);
                found.codes.extend(code.map(|code| Met { code, place: place(at) }));
            }
        }
    }
    for (at, matched) in own.match_indices(NAMED_PAGE) {
        let rest = &own[at + matched.len()..];
        if let Some((page, _)) =
            rest.split_once(".md").filter(|(page, _)| !page.contains(char::is_whitespace))
        {
            found.pages.push(Met { code: format!("{page}.md"), place: place(at) });
        }
    }
}

/// The codes that the argument at `at` may be; none when it repeats the code of another failure, `None` when it cannot
/// be told.
fn first_argument(text: &str, at: usize) -> Option<Vec<String>> {
    let argument = text[at..].trim_start();
    if let Some(literal) = argument.strip_prefix('"') {
        return literal.split_once('"').map(|(code, _)| vec![code.to_owned()]);
    }
    let expression = argument[..argument.find([',', '}'])?].trim();
    if expression == "&code" || expression.starts_with('&') && expression.rsplit('.').next() == Some("code") {
        return Some(Vec::new());
    }
    if expression == "code" {
        return chosen(&text[..at]);
    }
    None
}

/// The codes among which the last `let code = match` of a text chooses.
fn chosen(text: &str) -> Option<Vec<String>> {
    let choice = &text[text.rfind("let code = match ")?..];
    let choice = &choice[..choice.find("};")?];
    let arms = choice.split("=>").skip(1);
    arms.map(|arm| Some(arm.trim_start().strip_prefix('"')?.split_once('"')?.0.to_owned())).collect()
}

/// `Skipped, "an earlier step ..."` as `skipped`; nothing where no reason follows.
fn told_status(rest: &str) -> Option<String> {
    let (variant, reason) = rest.split_once(", \"")?;
    let is_told = variant.chars().all(char::is_alphanumeric) && !reason.starts_with('"');
    is_told.then(|| {
        let mut code = String::new();
        for letter in variant.chars() {
            if letter.is_uppercase() && !code.is_empty() {
                code.push('_');
            }
            code.extend(letter.to_lowercase());
        }
        code
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, words: Words) -> Found {
        let mut found = Found::default();
        look("a.rs", text, words, &mut found);
        found
    }

    fn codes(text: &str) -> Vec<String> {
        let found = found(text, Words::OfFailures);
        assert!(found.faults.is_empty(), "{:?}", found.faults);
        found.codes.into_iter().map(|met| met.code).collect()
    }

    #[test]
    fn a_literal_is_found_on_the_same_line_and_on_the_next() {
        assert_eq!(codes("Err(Failure::permanent(\"read_back\", message))"), ["read_back"]);
        assert_eq!(codes("Self::unknown(\n    \"not_started\",\n    x,\n)"), ["not_started"]);
        assert_eq!(
            codes("Cause::new(\"halted\", m); Cause { code: \"late\".into(), message }"),
            ["halted", "late"]
        );
    }

    #[test]
    fn a_code_that_is_chosen_beforehand_is_all_that_may_be_chosen() {
        let text = "let code = match &x {\n    A { .. } => \"one\",\n    B(_) | C => \"two\",\n};\nSelf::refused(code, x)";
        assert_eq!(codes(text), ["one", "two"]);
    }

    #[test]
    fn the_code_of_another_failure_is_no_new_one() {
        assert!(codes("Failure::unknown(&failure.cause().code, message)").is_empty());
        assert!(codes("Cause::new(&code, message)").is_empty());
    }

    #[test]
    fn comments_and_tests_give_no_codes() {
        assert!(codes("// Failure::permanent(\"old\", m)\n/// Cause::new(\"old\", m)").is_empty());
        assert!(
            codes("fn f() {}\n\n#[cfg(test)]\nmod tests {\n    Failure::permanent(\"io\", m)\n}").is_empty()
        );
    }

    #[test]
    fn a_code_that_cannot_be_read_is_a_fault_with_its_place() {
        for text in [
            "\n\nFailure::refused(CODE, m)",
            "\n\nFailure::refused(format!(\"x_{y}\"), m)",
            "\n\nFailure::refused(code, m)",
            "let code = match x { A => other(), };\n\nFailure::refused(code, m)",
        ] {
            assert_eq!(
                found(text, Words::OfFailures).faults,
                ["a.rs:3: the code is not a literal here"],
                "{text}"
            );
        }
    }

    #[test]
    fn the_router_tells_a_status_where_a_reason_follows() {
        let text = "unsent(r, s, StepStatus::Skipped, \"an earlier step\"); unsent(r, s, StepStatus::DryRun, \"\");\n\
                    matches!(x, StepStatus::Success) || text(\"a\", StepStatus::TimedOut, \"late\")";
        let codes: Vec<_> = found(text, Words::OfUnsentSteps).codes.into_iter().map(|met| met.code).collect();
        assert_eq!(codes, ["skipped", "timed_out"]);
    }

    #[test]
    fn pages_in_texts_are_found() {
        let pages =
            found("\"keep the file, and see docs/errors/ledger-damaged.md\"", Words::OfFailures).pages;
        assert_eq!(pages, [Met { code: "ledger-damaged.md".to_owned(), place: "a.rs:1".to_owned() }]);
        assert!(found("\"a page in docs/errors/ of x.md\"", Words::OfFailures).pages.is_empty());
    }

    #[test]
    fn modules_for_tests_alone_are_known_by_their_declaration() {
        let declared =
            "mod a;\n#[cfg(test)]\nmod sample;\n\n    #[cfg(test)]\n    mod tests;\n#[cfg(test)]\nmod b {}\n";
        let of = |path: &str| test_modules(Path::new(path), declared);
        assert_eq!(of("src/lib.rs"), [Path::new("src/sample"), Path::new("src/tests")]);
        assert_eq!(of("src/steps/mod.rs"), [Path::new("src/steps/sample"), Path::new("src/steps/tests")]);
        assert_eq!(of("src/rows.rs"), [Path::new("src/rows/sample"), Path::new("src/rows/tests")]);
    }
}
