//! `instance cpf get`.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::{is_secret, section_name};
use crate::{
    exit::{Exit, Stop},
    output::{print, print_json, printable},
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance cpf get iris.cpf config globals
  instance cpf get iris.cpf Startup WebServer --json";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The CPF; `-` for stdin
    file: PathBuf,
    /// Section without brackets, exactly as in the file
    section: String,
    /// Parameter, exactly as in the file
    name: String,
    /// Print the value even when it is a secret
    #[arg(long)]
    show_secret: bool,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let document = super::read(&args.file)?;
    let section = section_name(&args.section);
    let found: Vec<_> = document.entries(section).filter(|entry| entry.name == args.name).collect();
    let [entry] = found[..] else {
        return Err(absent_or_repeated(
            args,
            section,
            &found.iter().map(|entry| entry.line).collect::<Vec<_>>(),
        ));
    };
    if is_secret(section, &args.name) && !args.show_secret {
        let message = format!("\"{}\" of section \"{section}\" is a secret", args.name);
        return Err(Stop::new(Exit::Refused, message).next("add --show-secret to print it").into());
    }
    if session.json() {
        print_json(&json!({
            "schema": "instance.cli.v1.cpf_value", "file": args.file.display().to_string(),
            "section": section, "name": entry.name, "value": entry.value, "line": entry.line,
        }))?;
    } else {
        print(printable(entry.value))?;
    }
    Ok(Exit::Done)
}

fn absent_or_repeated(args: &Args, section: &str, lines: &[usize]) -> anyhow::Error {
    let file = args.file.display();
    let name = &args.name;
    if lines.is_empty() {
        let stop = Stop::new(
            Exit::NotFound,
            format!("CPF \"{file}\" has no parameter \"{name}\" in section \"{section}\""),
        );
        return match instance_knowledge::suggest(section, name) {
            Some(meant) => stop.next(format!("did you mean {}?", meant.label())).into(),
            None => stop.into(),
        };
    }
    let message =
        format!("CPF \"{file}\" has \"{name}\" of section \"{section}\" on several lines: {lines:?}");
    Stop::new(Exit::Failure, message).next("IRIS refuses to start with a repeated parameter").into()
}
