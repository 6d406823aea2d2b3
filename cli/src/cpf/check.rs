//! `instance cpf check`: the shape of the file, and what the catalogue says of its names and values.

mod finding; // What is wrong, and what is only a warning.
mod room;

use std::path::PathBuf;

use anyhow::Result;
use instance_iris::cpf::Document;
use serde_json::json;

use self::finding::{Finding, Findings};
use crate::{
    exit::Exit,
    output::{print, print_json, printable},
    session::{Session, Tone},
};

const EXAMPLES: &str = "\
Examples:
  instance cpf check iris.cpf
  instance cpf check iris.cpf --memory-mb 65536 --huge-pages 20000
                                                 Weigh it against another machine than this one.
  instance cpf check --merge merge.cpf           A merge file: nothing is missing in it.
  instance cpf check iris.cpf --json | jq '.faults[].rule'

A fault keeps IRIS from starting, or is a value that it does not take: exit code 1. A warning is legal, and dangerous.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The CPF; `-` for stdin
    file: PathBuf,
    /// It is a merge file: it holds only what changes, and may ask for actions
    #[arg(long)]
    merge: bool,
    #[command(flatten)]
    room: room::Room,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let document = super::read(&args.file)?;
    let room = args.room.of(&args.file)?;
    let Findings { faults, warnings } = finding::findings(&document, args.merge, room);
    if session.json() {
        print_json(&json!({
            "schema": "instance.cli.v1.cpf_check", "file": args.file.display().to_string(),
            "version": document.version(), "valid": faults.is_empty(), "faults": faults, "warnings": warnings,
            "weighed": room.map(|room| json!({
                "physical_mb": room.physical_mb, "huge_pages": room.huge_pages, "huge_page_kb": room.huge_page_kb,
            })),
        }))?;
    } else {
        for finding in &faults {
            print(line(args, finding, &session.paint(Tone::Bad, finding.rule)))?;
        }
        for finding in &warnings {
            print(line(args, finding, &session.paint(Tone::Warn, &format!("warning: {}", finding.rule))))?;
        }
        tell(args, &document, &faults, room.is_some(), session);
    }
    Ok(if faults.is_empty() { Exit::Done } else { Exit::Failure })
}

fn line(args: &Args, finding: &Finding, rule: &str) -> String {
    let place = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{}{place}: {rule}: {}", args.file.display(), printable(&finding.text))
}

fn tell(args: &Args, document: &Document, faults: &[Finding], weighed: bool, session: &Session) {
    if faults.is_empty() {
        session.note(format_args!("{}: no fault found", args.file.display()));
    }
    let takes_memory = document.sections().any(|section| section == "config");
    if !weighed && takes_memory && !args.merge {
        session.note(
            "not weighed against the memory of a machine, as no instance lies beside the file: --this-host, or \
             --memory-mb MB",
        );
    }
}
