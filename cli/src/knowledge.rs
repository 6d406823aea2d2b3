//! `instance knowledge`: what is known of log messages and parameters, built in and of a user's own.

mod judge; // What the rules make of an entry.
pub mod rows; // What one row says.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use instance_knowledge::{Catalogue, census};
use instance_telemetry::error_chain;
use serde_json::{Value, json};

use self::rows::Known;

use crate::{
    exit::{Exit, Stop},
    output::{print, print_json, table},
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
  instance knowledge explain vm.nr_hugepages     What it may hold, what IRIS needs of it, from which source.
  instance knowledge explain '[config] globals'
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
    /// Say what a message means, or what a condition, a kernel parameter or a CPF parameter is
    Explain(ExplainArgs),
    /// Say how grave an entry is and why, how sure the rules are of it, and whether anybody hears of it
    Judge(judge::Args),
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
    /// Id of a condition, the text of a message, the name of a kernel parameter, or `[section] name` of a CPF
    what: String,
    /// Folder of `*.toml` with rows of your own
    #[arg(long, value_name = "DIR")]
    rows: Option<PathBuf>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    match &args.command {
        Command::Check(args) => check(args, session),
        Command::Explain(args) => explain(args, session),
        Command::Judge(args) => judge::run(args, session),
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
    let added = added(&catalogue);
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
        let [conditions, cpf, kernel] = added;
        let document = json!({
            "schema": "instance.cli.v1.knowledge", "added": conditions, "added_cpf_parameters": cpf,
            "added_kernel_parameters": kernel, "tables": tables,
        });
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
        let [conditions, cpf, kernel] = added;
        session.note(format_args!(
            "{}: {conditions} conditions, {cpf} CPF parameters and {kernel} kernel parameters of your own, all good",
            folder.display()
        ));
    }
    Ok(Exit::Done)
}

/// How many rows are not built in: conditions, CPF parameters, kernel parameters.
fn added(catalogue: &Catalogue) -> [usize; 3] {
    let built_in = Catalogue::builtin();
    [
        catalogue.conditions().len() - built_in.conditions().len(),
        catalogue.parameters().len() - built_in.parameters().len(),
        catalogue.kernel_parameters().len() - built_in.kernel_parameters().len(),
    ]
}

fn explain(args: &ExplainArgs, session: &Session) -> Result<Exit> {
    catalogue(args.rows.as_deref())?.put_in_force()?;
    let Some(known) = Known::find(&args.what) else {
        let stop =
            Stop::new(Exit::NotFound, "no condition or parameter has this name, no condition this text");
        return Err(stop.into());
    };
    if session.json() {
        print_json(&known.document())?;
    } else {
        print(known.text())?;
    }
    Ok(Exit::Done)
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
    fn every_kind_of_row_of_a_user_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let row = "[[cpf_parameter]]\nsection = \"config\"\nname = \"newbufs\"\ntype = \"boolean\"\n\
            since = \"2026.1\"\nrestart = \"no\"\nmeaning = \"m\"\nsource = \"s\"\n";
        fs::write(folder.path().join("cpf.toml"), row).unwrap();
        let row = "[[kernel_parameter]]\nname = \"vm.zone_reclaim_mode\"\nroot = \"proc\"\nranges = [\"0..=7\"]\n\
            recommendation = \"0\"\npersistent = true\ndangerous = false\nreboot_advised = false\nsource = \"s\"\n";
        fs::write(folder.path().join("kernel.toml"), row).unwrap();
        assert_eq!(added(&read(folder.path()).unwrap()), [0, 1, 1]);
    }
}
