//! `instance config check`

use anyhow::Result;
use serde_json::json;

use super::{PROFILES, Service, Which};
use crate::{
    exit::Exit,
    output::{print, print_json, printable},
    session::{Session, Tone},
};

pub const EXAMPLES: &str = "\
Examples:
  instance config check                          Of every service, as it is and under each profile.
  instance config check router --dir deploy/config
  instance config check --profile production --json
Exit code 0 when nothing is wrong, 78 otherwise.";

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Only under this profile [default: without one, and under each of the four]
    #[arg(long, value_name = "NAME", value_parser = PROFILES)]
    profile: Option<String>,
}

/// One fault, and under which profiles it is there.
#[derive(Debug, PartialEq)]
struct Found {
    told: String,
    profiles: Vec<&'static str>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let mut documents = Vec::new();
    let mut count = 0;
    for service in args.which.services(session)? {
        let found = faults(&service, args.profile.as_deref())?;
        count += found.len();
        if session.json() {
            let rows = found.iter().map(|fault| json!({"fault": fault.told, "profiles": fault.profiles}));
            documents.push(json!({"service": service.name, "faults": rows.collect::<Vec<_>>()}));
            continue;
        }
        for fault in &found {
            let some = if fault.profiles.is_empty() {
                String::new()
            } else {
                format!(" (profile {})", fault.profiles.join(", "))
            };
            print(format_args!(
                "{}: {}{some}",
                session.paint(Tone::Bad, &service.name),
                printable(&fault.told)
            ))?;
        }
        if found.is_empty() {
            session.note(format_args!("{}: nothing is wrong", service.name));
        }
    }
    if session.json() {
        print_json(
            &json!({"schema": "instance.cli.v1.config_check", "valid": count == 0, "services": documents}),
        )?;
    }
    Ok(if count == 0 { Exit::Done } else { Exit::BadConfiguration })
}

/// What is wrong without a profile and under each, every fault once. One that is always there names no profile.
fn faults(service: &Service, only: Option<&str>) -> Result<Vec<Found>> {
    let profiles: Vec<Option<&'static str>> = match only {
        Some(only) => PROFILES.iter().copied().filter(|name| *name == only).map(Some).collect(),
        None => [None].into_iter().chain(PROFILES.map(Some)).collect(),
    };
    let mut told = Vec::new();
    for profile in &profiles {
        let output = service.ask(*profile, &["--check-config"])?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.is_empty() && !output.status.success() {
            lines.push(format!("it ended with {} and said nothing", output.status));
        }
        told.push((*profile, lines));
    }
    Ok(merged(&told))
}

fn merged(told: &[(Option<&'static str>, Vec<String>)]) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for line in told.iter().flat_map(|(_, lines)| lines) {
        if found.iter().any(|known| known.told == *line) {
            continue;
        }
        let with: Vec<_> = told.iter().filter(|(_, lines)| lines.contains(line)).collect();
        let profiles = if with.len() == told.len() {
            Vec::new()
        } else {
            with.iter().filter_map(|(name, _)| *name).collect()
        };
        found.push(Found { told: line.clone(), profiles });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_once_with_the_profiles_that_have_it() {
        let told = [
            (None, vec!["a".to_owned()]),
            (Some("staging"), vec!["a".to_owned(), "b".to_owned()]),
            (Some("production"), vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]),
        ];
        let found =
            |told: &str, profiles: &[&'static str]| Found { told: told.into(), profiles: profiles.to_vec() };
        assert_eq!(
            merged(&told),
            [found("a", &[]), found("b", &["staging", "production"]), found("c", &["production"])]
        );
    }
}
