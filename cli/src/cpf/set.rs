//! `instance cpf set`: one value of one line, written so that nobody ever sees half a file.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::{Result, bail};
use instance_iris::cpf::{Document, Edited};
use instance_knowledge::Parameter;
use serde_json::json;

use super::{HIDDEN, LARGEST_CPF, is_secret, refusal, replace::replace, section_name};
use crate::{
    exit::{Exit, Stop},
    input,
    output::{print, print_json, printable},
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance cpf set iris.cpf config globals 0,0,512,0,0,0 --stdout | diff iris.cpf -
  instance cpf set iris.cpf config globals 0,0,512,0,0,0
  instance cpf set iris.cpf config routines 128 --current 64      Refused when it is not 64 now.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The CPF
    file: PathBuf,
    /// Section without brackets, exactly as in the file
    section: String,
    /// Parameter, exactly as in the file
    name: String,
    /// The whole new value
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// Print the file as it would be, and change nothing
    #[arg(long)]
    stdout: bool,
    /// Change nothing; say what would change
    #[arg(short = 'n', long, conflicts_with = "stdout")]
    dry_run: bool,
    /// What the value has to be now; anything else refuses the change
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    current: Option<String>,
    /// Take a value that the catalogue holds for illegal
    #[arg(long)]
    unchecked: bool,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let section = section_name(&args.section);
    let parameter = instance_knowledge::parameter(section, &args.name);
    let before = input::read(&args.file, LARGEST_CPF)?;
    let mut document = Document::parse(&before);
    let edited = document.set(section, &args.name, &args.value).map_err(|error| refusal(&error))?;
    check(args, parameter, &edited)?;
    let after = document.to_bytes();
    if args.stdout {
        io::stdout().lock().write_all(&after)?;
        session.note(summary(args, section, parameter, &edited));
        return Ok(Exit::Done);
    }
    let changes = before != after;
    if changes && !args.dry_run {
        if args.file.as_os_str() == "-" {
            bail!("could not write to stdin: add --stdout");
        }
        let backup = replace(&args.file, &before, &after)?;
        session.note(format!("the old text is kept as {}", backup.display()));
    }
    if session.json() {
        let hide =
            |value: &str| if is_secret(section, &args.name) { HIDDEN.to_owned() } else { value.to_owned() };
        print_json(&json!({
            "schema": "instance.cli.v1.cpf_change", "file": args.file.display().to_string(),
            "section": section, "name": args.name, "line": edited.line,
            "before": hide(&edited.before), "after": hide(&edited.after),
            "changed": changes && !args.dry_run, "dry_run": args.dry_run,
            "needs_restart": parameter.map(Parameter::needs_restart),
        }))?;
    } else {
        print(summary(args, section, parameter, &edited))?;
    }
    Ok(Exit::Done)
}

fn check(args: &Args, parameter: Option<&Parameter>, edited: &Edited) -> Result<()> {
    if let Some(current) = args.current.as_ref().filter(|current| **current != edited.before) {
        let message = format!(
            "\"{}\" of section \"{}\" is not \"{current}\" now",
            args.name,
            section_name(&args.section)
        );
        return Err(Stop::new(Exit::Refused, message).next("nothing was changed").into());
    }
    if args.unchecked || edited.before == edited.after {
        return Ok(());
    }
    let Some(parameter) = parameter else { return Ok(()) };
    parameter.check_change(&args.value).map_err(|fault| {
        let next = "nothing was changed; `--unchecked` takes it all the same";
        Stop::new(Exit::Refused, fault).next(next).into()
    })
}

fn summary(args: &Args, section: &str, parameter: Option<&Parameter>, edited: &Edited) -> String {
    let place = format!("{}:{}: [{section}] {}", args.file.display(), edited.line, args.name);
    if edited.before == edited.after {
        return format!("{place} has this value already; nothing to change");
    }
    let change = if is_secret(section, &args.name) {
        HIDDEN.to_owned()
    } else {
        printable(&format!("{} -> {}", shown(&edited.before), shown(&edited.after)))
    };
    let note = if args.stdout || args.dry_run { " (not written)" } else { "" };
    let felt = parameter.map(|parameter| format!("; {}", parameter.restart_reason())).unwrap_or_default();
    format!("{place}: {change}{note}{felt}")
}

fn shown(value: &str) -> &str {
    if value.is_empty() { "(empty)" } else { value }
}
