//! `instance cpf explain`: what the catalogue knows of a parameter.

use std::fmt::Write as _;

use anyhow::Result;
use instance_knowledge::{Activation, Parameter, ParameterKind, Section, SectionKind, parameters, suggest};
use serde_json::{Value, json};

use super::section_name;
use crate::{
    exit::{Exit, Stop},
    output::{print, print_json},
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance cpf explain globals
  instance cpf explain config routines --json
  instance cpf explain Databases                 What a line of that section is.
  instance cpf explain newbufs --rows /etc/instance/knowledge";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "instance cpf explain [OPTIONS] [SECTION] <NAME>")]
pub struct Args {
    /// Section (when the name alone is not enough), then parameter
    #[arg(value_name = "[SECTION] NAME", num_args = 1..=2, required = true)]
    names: Vec<String>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let (section, name) = match &args.names[..] {
        [section, name] => (Some(section_name(section)), name),
        [name] => (None, name),
        _ => unreachable!("clap takes one or two"),
    };
    let found: Vec<&Parameter> = parameters()
        .iter()
        .filter(|row| row.name == *name && section.is_none_or(|section| section == row.section))
        .collect();
    if let (true, None, Some(known)) = (found.is_empty(), section, known_section(name)) {
        return about_section(known, session);
    }
    if found.is_empty() {
        let stop =
            Stop::new(Exit::NotFound, format!("the catalogue has no parameter \"{}\"", args.names.join(" ")));
        return Err(match suggest(section.unwrap_or("config"), name) {
            Some(meant) => stop.next(format!("did you mean {}?", meant.label())).into(),
            None => stop.into(),
        });
    }
    if session.json() {
        let rows: Vec<Value> = found.iter().map(|row| document(row)).collect();
        print_json(&json!({"schema": "instance.cli.v1.cpf_parameters", "parameters": rows}))?;
    } else {
        let texts: Vec<String> = found.iter().map(|row| text_of(row)).collect();
        print(texts.join("\n\n"))?;
    }
    Ok(Exit::Done)
}

/// The section of that name, given alone.
fn known_section(name: &str) -> Option<&'static Section> {
    instance_knowledge::section(section_name(name))
}

fn about_section(known: &Section, session: &Session) -> Result<Exit> {
    let kind = match known.kind {
        SectionKind::Fixed => "fixed parameters, every one of which is in the file",
        SectionKind::List => "a list of names of your own",
        SectionKind::Written => "written by IRIS alone",
        SectionKind::MergeOnly => "operations, in merge files only",
    };
    let change = (known.kind == SectionKind::List).then_some(instance_knowledge::LIST_RESTART_REASON);
    if session.json() {
        print_json(&json!({
            "schema": "instance.cli.v1.cpf_section", "section": known.name, "holds": kind, "line": known.line,
            "since": known.since, "a_change": change, "source": known.source,
        }))?;
    } else {
        let mut line = format!("  {:9} {}", "a line", known.line);
        if let Some(change) = change {
            write!(line, "\n  {:9} {change}", "a change")?;
        }
        print(format_args!(
            "[{}]\n  {:9} {kind}\n{line}\n  {:9} {}",
            known.name, "holds", "source", known.source
        ))?;
    }
    Ok(Exit::Done)
}

/// A row for people.
pub fn text_of(row: &Parameter) -> String {
    let mut lines = vec![row.label(), format!("  {}", row.meaning)];
    let mut add = |name: &str, value: String| lines.push(format!("  {name:9} {value}"));
    let unit = row.unit.as_ref().map(|unit| format!(" ({unit})")).unwrap_or_default();
    let special =
        if row.special.is_empty() { String::new() } else { format!(", or {}", row.special.join(" or ")) };
    add("takes", format!("{}{unit}{special}", words(&row.kind)));
    if let Some(default) = &row.default {
        add("default", if default.is_empty() { "(empty)".into() } else { default.clone() });
    }
    add("a change", row.restart_reason().to_owned());
    if let Activation::Immediate | Activation::NewProcesses = row.activation {
        add("live by", "iris merge, while the instance runs".to_owned());
    }
    let flags = [
        (row.required_non_empty, "IRIS refuses to start when it is empty"),
        (row.read_only, "written by IRIS alone"),
        (row.secret, "never printed"),
    ];
    for (_, flag) in flags.iter().filter(|(set, _)| *set) {
        add("note", (*flag).to_owned());
    }
    if let Some(since) = &row.since {
        add("since", since.clone());
    }
    if let Some(until) = &row.until {
        add("until", until.clone());
    }
    add("source", row.source.clone());
    lines.join("\n")
}

/// What a value may be, in words.
fn words(kind: &ParameterKind) -> String {
    match kind {
        ParameterKind::Integer { min, max } => format!("a whole number from {min} to {max}"),
        ParameterKind::Decimal { min, max } => format!("a number from {min} to {max}"),
        ParameterKind::Boolean => "0 or 1".to_owned(),
        ParameterKind::Bits { mask } => format!("a sum of powers of two, at most {mask}"),
        ParameterKind::Integers { ranges, counts, alone } => {
            let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
            let ranges: Vec<String> = ranges.iter().map(|(min, max)| format!("{min} to {max}")).collect();
            let alone =
                alone.map(|(min, max)| format!("; one alone from {min} to {max}")).unwrap_or_default();
            let counts = counts.join(" or ");
            format!("{counts} whole numbers separated by commas, from {}{alone}", ranges.join(", "))
        }
        ParameterKind::Choice { choices } => format!("one of {}", choices.join(", ")),
        ParameterKind::ChoiceList { choices } => {
            format!("one or more of {}, separated by commas", choices.join(", "))
        }
        ParameterKind::Text { max_length } => format!("text of at most {max_length} characters"),
        ParameterKind::Directory { max_length } => {
            format!("an absolute directory of at most {max_length} characters, or nothing")
        }
        ParameterKind::File { max_length } => {
            format!("an absolute file name of at most {max_length} characters, or nothing")
        }
        ParameterKind::Alphanumeric { max_length } => {
            format!("at most {max_length} letters and digits, or nothing")
        }
        ParameterKind::Address => "an IP address, or nothing".to_owned(),
        ParameterKind::LogPlace { max_length } => {
            format!(
                "a comma, and behind it nothing or the place of messages.log, of at most {max_length} characters"
            )
        }
    }
}

/// A row for programs.
pub fn document(row: &Parameter) -> Value {
    json!({
        "schema": "instance.cli.v1.cpf_parameter", "section": row.section, "name": row.name, "meaning": row.meaning, "takes": words(&row.kind),
        "unit": row.unit, "default": row.default, "special": row.special,
        "required_non_empty": row.required_non_empty, "read_only": row.read_only, "secret": row.secret,
        "since": row.since, "until": row.until, "activation": activation(row.activation),
        "needs_restart": row.needs_restart(), "restart_reason": row.restart_reason(), "source": row.source,
    })
}

const fn activation(activation: Activation) -> &'static str {
    match activation {
        Activation::Restart => "restart",
        Activation::Immediate => "immediate",
        Activation::NewProcesses => "new_processes",
        Activation::NextStart => "next_start",
        Activation::Unknown => "unknown",
    }
}
