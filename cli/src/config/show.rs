//! `instance config show`

use anyhow::Result;
use serde_json::{Value, json};

use super::{PROFILES, Which};
use crate::{
    exit::{Exit, Stop},
    output::{print, print_json, printable},
    session::Session,
};

pub const EXAMPLES: &str = "\
Examples:
  instance config show router --origin           Every key, its value, and who said so. Secrets are masked.
  instance config show --profile production --dir deploy/config
  instance config show --json | jq '.services[] | {service, settings}'";

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Tell where each value came from, and which keys nobody has set
    #[arg(long)]
    origin: bool,
    /// As under this profile
    #[arg(long, value_name = "NAME", value_parser = PROFILES)]
    profile: Option<String>,
}

/// One key as the service tells it.
#[derive(Debug, PartialEq)]
struct Line<'a> {
    key: String,
    value: &'a str,
    origin: &'a str,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let mut documents = Vec::new();
    for service in args.which.services(session)? {
        let output = service.ask(args.profile.as_deref(), &["--print-config"])?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let stop = Stop::new(Exit::BadConfiguration, text.trim_end());
            return Err(stop.next(format!("instance config check {}", service.name)).into());
        }
        let page = String::from_utf8_lossy(&output.stdout).into_owned();
        if session.json() {
            documents.push(document(&service.name, &page));
        } else {
            print(format_args!("# instance-{}", service.name))?;
            let page = if args.origin { page } else { without_origins(&page) };
            print(printable(page.trim_end()))?;
            print("")?;
        }
    }
    if session.json() {
        print_json(&json!({"schema": "instance.cli.v1.config", "services": documents}))?;
    }
    Ok(Exit::Done)
}

fn without_origins(page: &str) -> String {
    let set = page.lines().filter(|line| !line.starts_with("# ") || line.starts_with("# profile"));
    set.map(|line| split(line).map_or(line, |(told, _)| told).to_owned() + "\n").collect()
}

fn document(service: &str, page: &str) -> Value {
    let profile = page.lines().find_map(|line| line.strip_prefix("# profile: ")).unwrap_or("none");
    let settings: Vec<Value> = lines(page)
        .into_iter()
        .map(|line| json!({"key": line.key, "value": line.value, "origin": line.origin}))
        .collect();
    json!({"service": service, "profile": profile, "settings": settings})
}

/// Every key that has a value, with its table.
fn lines(page: &str) -> Vec<Line<'_>> {
    let mut table = "";
    let mut found = Vec::new();
    for line in page.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = name;
        }
        let Some((told, origin)) = split(line).filter(|_| !line.starts_with('#')) else { continue };
        let Some((key, value)) = told.split_once(" = ") else { continue };
        let key = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
        found.push(Line { key, value, origin });
    }
    found
}

/// What stands before the last comment, and the comment.
fn split(line: &str) -> Option<(&str, &str)> {
    let (told, origin) = line.rsplit_once(" # ")?;
    Some((told.trim_end(), origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# profile: production\nhost = \"db1\"      # file \"a # b.toml\"\n\n[nats]\n\
                        url = \"nats://x # y\"    # flag --nats\n# creds       # not set\n";

    #[test]
    fn a_page_is_told_with_and_without_origins() {
        assert_eq!(
            without_origins("# profile: none\nhost = \"a\"   # default\n# name   # not set\n"),
            "# profile: none\nhost = \"a\"\n"
        );
        let found = lines(PAGE);
        assert_eq!(
            found[1],
            Line { key: "nats.url".into(), value: "\"nats://x # y\"", origin: "flag --nats" }
        );
        assert_eq!(found.len(), 2);
        assert_eq!(document("router", PAGE)["profile"], "production");
    }
}
