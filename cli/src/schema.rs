//! `instance schema`: the published form of the contracts.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use instance_contract::{asyncapi, schema};
use serde_json::{Value, json};

use crate::{
    exit::{Exit, Stop},
    output::{print, print_json},
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance schema                                List the names.
  instance schema remediation_command > command.schema.json
  instance schema asyncapi                       Subjects, messages and how to be answered.
  instance schema --all --out schemas/           Each into a file of its own.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Contract, or `asyncapi`; without it the names are listed
    name: Option<String>,
    /// Write every schema and the AsyncAPI document
    #[arg(long, requires = "out", conflicts_with = "name")]
    all: bool,
    /// Folder to write to; created when it is not there
    #[arg(long, value_name = "DIR", requires = "all")]
    out: Option<PathBuf>,
}

const ASYNCAPI: &str = "asyncapi";

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    match (&args.name, &args.out) {
        (_, Some(folder)) => write_all(folder, session)?,
        (Some(name), None) => print(pretty(&one(name)?).trim_end())?,
        (None, None) => list(session)?,
    }
    Ok(Exit::Done)
}

fn names() -> impl Iterator<Item = &'static str> {
    schema::NAMES.into_iter().chain([ASYNCAPI])
}

fn list(session: &Session) -> Result<()> {
    if session.json() {
        let names: Vec<&str> = names().collect();
        return print_json(&json!({"schema": "instance.cli.v1.schema_list", "names": names}));
    }
    names().try_for_each(print)
}

fn one(wanted: &str) -> Result<Value> {
    // As a message names it (`instance.v1.tool_result`) is understood too.
    let name = wanted.strip_prefix("instance.v1.").unwrap_or(wanted).replace('-', "_");
    if name == ASYNCAPI {
        return Ok(asyncapi::document());
    }
    schema::schema(&name).ok_or_else(|| {
        let all: Vec<&str> = names().collect();
        Stop::new(Exit::NotFound, format!("no schema is called \"{wanted}\""))
            .next(format!("known are: {}", all.join(", ")))
            .into()
    })
}

fn write_all(folder: &Path, session: &Session) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("could not create \"{}\"", folder.display()))?;
    for name in names() {
        let path = folder.join(format!("{name}.json"));
        fs::write(&path, pretty(&one(name)?))
            .with_context(|| format!("could not write \"{}\"", path.display()))?;
    }
    let count = names().count();
    if session.json() {
        let names: Vec<&str> = names().collect();
        let out = folder.display().to_string();
        print_json(&json!({"schema": "instance.cli.v1.schema_files", "out": out, "names": names}))?;
    }
    session.note(format_args!("wrote {count} files to \"{}\"", folder.display()));
    Ok(())
}

fn pretty(document: &Value) -> String {
    format!("{document:#}\n")
}
