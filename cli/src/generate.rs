//! `instance generate`: asks the generator to invent messages.

use anyhow::{Context as _, Result};
use instance_contract::{ErrorType, GenerationRequest, OutputFormat, Severity, subject};
use serde_json::{Map, Value};

use crate::{
    exit::Exit,
    online,
    output::{print, print_json, printable},
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance generate                              One message of any kind.
  instance generate --category license --count 5 --severity 2..3
  instance generate --count 100 --seed 7 --format raw > messages.log
The same seed gives the same messages; the seed of a run is told in `--json`.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Kind of trouble: config, license, resource, journal, database, security, mirror, other
    #[arg(long, value_name = "KIND")]
    category: Option<ErrorType>,
    /// How many, 1 to 100
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    count: u32,
    /// Lowest and highest severity, 0 (info) to 3 (fatal), as `2` or `1..3`
    #[arg(long, value_name = "LOW..HIGH", default_value = "0..3", value_parser = severities)]
    severity: (Severity, Severity),
    /// The same seed gives the same messages
    #[arg(long)]
    seed: Option<u64>,
    /// Only messages of this template
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Lines as IRIS writes them, or IrisMessages
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// Leave the stamps out
    #[arg(long)]
    no_timestamps: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Raw,
    Json,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let request = GenerationRequest {
        error_category: args.category,
        count: args.count,
        severity_range: args.severity,
        output_format: if args.format == Format::Raw { OutputFormat::Raw } else { OutputFormat::Json },
        template_name: args.template.clone(),
        seed: args.seed,
        include_timestamps: !args.no_timestamps,
    };
    let payload = serde_json::to_vec(&request)?;
    online::run(session, async |bus| {
        let timeout = session.global.timeout.unwrap_or(online::ANSWER);
        let reply = bus.request(&subject::generate(), payload.into(), timeout).await?;
        let reply: Map<String, Value> =
            serde_json::from_slice(&reply.payload).context("could not read the generator's reply")?;
        show(reply, session)?;
        Ok(Exit::Done)
    })
}

fn show(reply: Map<String, Value>, session: &Session) -> Result<()> {
    if session.json() {
        let mut document = Map::from_iter([("schema".to_owned(), Value::from("instance.cli.v1.generated"))]);
        document.extend(reply);
        return print_json(&document);
    }
    if let Some(raw) = reply.get("raw").and_then(Value::as_str) {
        return print(printable(raw.strip_suffix('\n').unwrap_or(raw)));
    }
    let messages = reply.get("messages").and_then(Value::as_array).context("the reply holds no messages")?;
    messages.iter().try_for_each(print_json)
}

/// `2`, `1..3` or `1-3`.
fn severities(text: &str) -> Result<(Severity, Severity), String> {
    let (low, high) = text.split_once("..").or_else(|| text.split_once('-')).unwrap_or((text, text));
    let one = |part: &str| {
        let digit: u8 = part.trim_start_matches('=').parse().map_err(|_| rule(text))?;
        Severity::try_from(digit).map_err(|_| rule(text))
    };
    match (one(low)?, one(high)?) {
        (low, high) if low <= high => Ok((low, high)),
        _ => Err(rule(text)),
    }
}

fn rule(text: &str) -> String {
    format!(
        "\"{text}\" is no range of severities; write one digit from 0 to 3, or the lower and the higher as 1..3"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_one_or_two_digits_the_lower_first() {
        assert_eq!(severities("2"), Ok((Severity::Severe, Severity::Severe)));
        assert_eq!(severities("0..3"), Ok((Severity::Info, Severity::Fatal)));
        assert_eq!(severities("1-2"), Ok((Severity::Warning, Severity::Severe)));
        for bad in ["", "4", "3..1", "..", "1..", "a"] {
            assert!(severities(bad).is_err(), "{bad}");
        }
    }
}
