//! `instance cpf diff`.

use std::path::PathBuf;

use anyhow::Result;
use instance_iris::cpf::{Difference, diff};
use serde_json::{Value, json};

use super::{HIDDEN, is_secret};
use crate::{
    exit::Exit,
    output::{print, print_json, printable},
    session::{Session, Tone},
};

const EXAMPLES: &str = "\
Examples:
  instance cpf diff _LastGood_.cpf iris.cpf      What has changed since the last good start?
  instance cpf diff a.cpf b.cpf --exit-code      1 when they disagree, for scripts.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The file before
    before: PathBuf,
    /// The file after
    after: PathBuf,
    /// Exit with 1 when there is a difference
    #[arg(long)]
    exit_code: bool,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let mut differences = diff(&super::read(&args.before)?, &super::read(&args.after)?);
    for difference in &mut differences {
        if is_secret(&difference.section, &difference.name) {
            difference.before = difference.before.take().map(|_| HIDDEN.to_owned());
            difference.after = difference.after.take().map(|_| HIDDEN.to_owned());
        }
    }
    if session.json() {
        let list: Vec<Value> = differences.iter().map(document).collect();
        print_json(&json!({
            "schema": "instance.cli.v1.cpf_diff", "before": args.before.display().to_string(),
            "after": args.after.display().to_string(), "differences": list,
        }))?;
    } else {
        for difference in &differences {
            print(lines(difference, session))?;
        }
        if differences.is_empty() {
            session.note("no parameter differs");
        }
    }
    Ok(if args.exit_code && !differences.is_empty() { Exit::Failure } else { Exit::Done })
}

fn document(difference: &Difference) -> Value {
    let known = instance_knowledge::parameter(&difference.section, &difference.name);
    json!({
        "section": difference.section, "name": difference.name,
        "before": difference.before, "after": difference.after,
        "line_before": difference.line_before, "line_after": difference.line_after,
        "needs_restart": known.map(instance_knowledge::Parameter::needs_restart),
    })
}

fn lines(difference: &Difference, session: &Session) -> String {
    let name = format!("[{}] {}", difference.section, difference.name);
    let side = |sign: &str, tone, value: &Option<String>, line: Option<usize>| {
        let value = value.as_ref()?;
        let text = format!("{sign}{}: {name}={value}", line.unwrap_or_default());
        Some(session.paint(tone, &printable(&text)))
    };
    let before = side("-", Tone::Bad, &difference.before, difference.line_before);
    let after = side("+", Tone::Good, &difference.after, difference.line_after);
    before.into_iter().chain(after).collect::<Vec<_>>().join("\n")
}
