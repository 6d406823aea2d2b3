//! `instance knowledge`: the rows about log messages, those built in and those of a user's own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use instance_knowledge::{Catalogue, Condition, census};
use instance_telemetry::error_chain;
use serde_json::{Value, json};

use crate::{
    exit::{Exit, Stop},
    output::{print, print_json, printable, table},
    session::Session,
};

const CHECK_EXAMPLES: &str = "\
Examples:
  instance knowledge check                       How many rows quote which source?
  instance knowledge check /etc/instance/knowledge
                                                 Can a service start with these rows too?";
const EXPLAIN_EXAMPLES: &str = "\
Examples:
  instance knowledge explain journal-not-started
  instance knowledge explain 'Journaling NOT  started.'
  instance knowledge explain --rows /etc/instance/knowledge 'Disk 3 is on fire' --json";

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check rows of your own, and count what is known by its source
    Check(CheckArgs),
    /// Say what a message means, or what a condition is
    Explain(ExplainArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = CHECK_EXAMPLES)]
struct CheckArgs {
    /// Folder of `*.toml`, as the setting `knowledge_dir` of the services names it
    folder: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
struct ExplainArgs {
    /// Id of a condition, or the text of a message
    what: String,
    /// Folder of `*.toml` with conditions of your own
    #[arg(long, value_name = "DIR")]
    rows: Option<PathBuf>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    match &args.command {
        Command::Check(args) => check(args, session),
        Command::Explain(args) => explain(args, session),
    }
}

/// The rows that are built in, and those of a folder.
pub fn read(folder: &Path) -> Result<Catalogue> {
    let unreadable = || format!("could not read the folder of knowledge \"{}\"", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == "toml") && path.is_file() {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("could not read \"{}\"", path.display()))?;
            files.push((path.display().to_string(), text));
        }
    }
    files.sort();
    let files = files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    Catalogue::with_extra(files).map_err(|error| {
        let stop = Stop::new(Exit::BadConfiguration, error_chain(&error));
        stop.next("shared/knowledge/README.md says what a row looks like").into()
    })
}

fn catalogue(folder: Option<&Path>) -> Result<Catalogue> {
    folder.map_or_else(|| Ok(Catalogue::builtin().clone()), read)
}

fn check(args: &CheckArgs, session: &Session) -> Result<Exit> {
    let catalogue = catalogue(args.folder.as_deref())?;
    let counts = census(&catalogue);
    let added = catalogue.conditions().len() - Catalogue::builtin().conditions().len();
    if session.json() {
        let tables: Vec<Value> = counts
            .iter()
            .map(|count| {
                json!({
                    "table": count.table, "rows": count.rows, "sourced": count.sourced,
                    "unknown": count.unknown, "guessed": count.guessed, "by_source": count.by_source,
                })
            })
            .collect();
        let document = json!({"schema": "instance.cli.v1.knowledge", "added": added, "tables": tables});
        print_json(&document)?;
        return Ok(Exit::Done);
    }
    let rows = counts.iter().map(|count| {
        let mut names: Vec<(&String, &usize)> = count.by_source.iter().collect();
        names.sort_by_key(|(name, rows)| (usize::MAX - **rows, name.as_str()));
        let names: Vec<String> = names.iter().map(|(name, rows)| format!("{name} {rows}")).collect();
        let most = match names.len() {
            0..=8 => names.join(", "),
            all => format!("{}, and {} more", names[..8].join(", "), all - 8),
        };
        let [rows, sourced, unknown, guessed] =
            [count.rows, count.sourced, count.unknown, count.guessed].map(|number| number.to_string());
        [count.table.to_owned(), rows, sourced, unknown, guessed, most]
    });
    print(table(["table", "rows", "sourced", "unknown", "in part guessed", "sources"], rows))?;
    if let Some(folder) = &args.folder {
        session.note(format_args!("{}: {added} conditions of your own, all good", folder.display()));
    }
    Ok(Exit::Done)
}

fn explain(args: &ExplainArgs, session: &Session) -> Result<Exit> {
    let matcher = catalogue(args.rows.as_deref())?.into_matcher();
    let known = matcher.catalogue().condition(&args.what).or_else(|| matcher.classify(&args.what));
    let Some(condition) = known else {
        return Err(Stop::new(Exit::NotFound, "no condition has this id or this text").into());
    };
    if session.json() {
        print_json(&document(condition))?;
    } else {
        print(text_of(condition))?;
    }
    Ok(Exit::Done)
}

fn document(row: &Condition) -> Value {
    let texts: Vec<&Vec<String>> = row.wordings.iter().map(|wording| &wording.texts).collect();
    json!({
        "schema": "instance.cli.v1.condition", "id": row.id, "class": row.class.as_str(), "texts": texts,
        "wording_known": row.wording_known, "severities": row.severities, "categories": row.categories,
        "cause": row.cause, "gather": row.gather, "remedy": row.remedy,
        "answer": word(&row.answer), "restart": word(&row.restart),
        "must_not_restart": row.must_not_restart, "source": row.source,
    })
}

fn text_of(row: &Condition) -> String {
    let mut lines = vec![format!("{} ({})", row.id, row.class)];
    let mut add = |name: &str, value: &str| lines.push(format!("  {name:9} {}", printable(value)));
    add("cause", &row.cause);
    add("look at", &row.gather.join("; "));
    add("cure", &row.remedy);
    add("who acts", &word(&row.answer));
    add("restart", &word(&row.restart));
    if row.must_not_restart {
        add("never", "restart it automatically");
    }
    if !row.wording_known {
        add("note", "no source shows its real wording");
    }
    add("source", &row.source);
    lines.join("\n")
}

/// The word by which the row itself says it.
fn word(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_row_of_a_user_is_named_with_file_and_rule() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("site.toml"), "[[condition]]\nid = \"x\"\n").unwrap();
        let error = read(folder.path()).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("site.toml") && told.contains("missing field"), "{told}");
        assert_eq!(crate::exit::of(&error), Exit::BadConfiguration);
        assert!(read(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_condition_says_who_acts_and_what_is_never_done() {
        let row = Catalogue::builtin().condition("mismatch-wij-present").unwrap();
        let text = text_of(row);
        assert!(text.contains("who acts  person") && text.contains("never     restart"), "{text}");
        assert_eq!(document(row)["must_not_restart"], true);
    }
}
