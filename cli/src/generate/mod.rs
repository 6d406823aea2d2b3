//! `instance generate`: invents messages of an IRIS instance, prints them, sends them.

mod emit;
mod pace;
mod stock;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use instance_contract::{
    ErrorType, Faults, GenerationRequest, HostName, InstanceName, OutputFormat, Phase, Severity,
};
use instance_invent::{Inventor, Pace, Template, Templates, draw_seed, moment_of, start_of};
use instance_transport::Destination;

use self::stock::Stock;
use crate::{
    exit::{Exit, Stop},
    online,
    output::{print, print_json, table},
    session::{Session, duration},
    tape::Tape,
};

const EXAMPLES: &str = "\
Examples:
  instance generate                                     One message of any kind.
  instance generate --category license --count 5 --severity 2-3
  instance generate --count 100 --seed 7 --output raw > messages.log
  instance generate --category journal --phase all --count 100 --publish
  instance generate --rate 50 --for 10m --to http://127.0.0.1:8080/messages
  instance generate --learn messages.log --list-templates
  instance generate --category journal --severity 2-3 --count 10 --model --record tape
The same seed gives the same messages; the seed of a run is told on stderr. It holds the moment of that run: there the
last message of a batch lies, and a stream begins there. A seed of your own below 2^50 lies in 2026.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Args {
    /// Kind of trouble: config, license, resource (or os), journal, database, security, mirror, other
    #[arg(long, value_name = "KIND", value_parser = category)]
    category: Option<ErrorType>,
    /// How many, 1 to 100. Default: 1, or without end with --rate or --for
    #[arg(long, value_name = "N", value_parser = count)]
    count: Option<u32>,
    /// Lowest and highest severity, 0 (info) to 3 (fatal), as `2` or `1-3`
    #[arg(long, value_name = "LOW-HIGH", default_value = "0-3", value_parser = severities)]
    severity: (Severity, Severity),
    /// Part of the story: baseline, before, incident, recovery; `all` tells the four one after the other
    #[arg(long, value_parser = story)]
    phase: Option<Story>,
    /// The same seed gives the same messages
    #[arg(long)]
    seed: Option<u64>,
    /// In the words of the language model that the settings name (table "model"); templates answer where it does not
    #[arg(long, conflicts_with_all = ["rate", "lasting", "list_templates"])]
    model: bool,
    #[command(flatten)]
    tape: Tape,
    /// Only messages of this template
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Learn templates from a real log first (again for more logs); one that cannot be read is warned of
    #[arg(long, value_name = "FILE")]
    learn: Vec<PathBuf>,
    /// Show what messages are made from, and make none
    #[arg(long)]
    list_templates: bool,
    /// Lines as IRIS writes them, or IrisMessages
    #[arg(long, alias = "format", value_enum, default_value_t = Output::Json)]
    output: Output,
    /// Leave the stamps out
    #[arg(long)]
    no_timestamps: bool,
    /// Messages a second, or `max` for as many as can be: a stream
    #[arg(long, value_name = "R", value_parser = pace::rate)]
    rate: Option<pace::Rate>,
    /// How long a stream lasts (one message a second without --rate)
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lasting: Option<Duration>,
    /// Publish to NATS, where INSTANCE_ERRORS keeps them for 24 hours
    #[arg(long)]
    publish: bool,
    /// Send straight to a consumer: http://host:port/path, nats://host:port/subject, or a folder
    #[arg(long, value_name = "URL|DIR", value_parser = destination)]
    to: Option<Destination>,
    /// Requests to a consumer at a time, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    at_once: u16,
    /// How long a consumer over HTTP may take for each try
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    http_timeout: Duration,
    /// The instance that they are of; nobody serves the default
    #[arg(long, value_name = "NAME", default_value = "EMULATED")]
    instance: InstanceName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Raw,
    Json,
}

/// Which part of the story is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Story {
    One(Phase),
    All,
}

/// The shares of the four phases in a whole story, in hundredths.
const SHARES: [(Phase, u32); 4] =
    [(Phase::Baseline, 40), (Phase::Before, 20), (Phase::Incident, 20), (Phase::Recovery, 20)];

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let mut templates = Templates::builtin().context("could not read the templates that are built in")?;
    for path in &args.learn {
        let log = match fs::read(path) {
            Ok(log) => log,
            // The templates that are built in always answer.
            Err(error) => {
                session.note(format_args!("warning: could not learn from \"{}\": {error}", path.display()));
                continue;
            }
        };
        let learnt = templates.learn(&log);
        let kinds: Vec<String> = learnt.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        session.note(format_args!("learnt from {}: {}", path.display(), kinds.join(", ")));
    }
    if args.list_templates {
        return list(&templates, args, session);
    }
    let seed = args.seed.unwrap_or_else(|| draw_seed(online::now(), &mut rand::rng()));
    let request = args.request();
    let inventor =
        Inventor::new(&request, &templates, seed, start_of(seed)).map_err(refused)?.at_pace(args.pace());
    if args.seed.is_none() {
        session.note(format_args!("seed {seed}"));
    }
    let work = Work { args, session, seed, request, host: host() };
    let inventor = work.in_the_past(inventor)?;
    if args.tape.is_asked_for() && !args.model {
        let text = "only the answers of a language model are recorded and replayed";
        return Err(Stop::new(Exit::Usage, text).next("say --model too").into());
    }
    if args.to.is_some() && args.publish {
        return Err(Stop::new(Exit::Usage, "--publish and --to exclude each other").into());
    }
    let stock =
        if args.model { work.written(inventor, &templates)? } else { Stock::Templates(Box::new(inventor)) };
    match &args.to {
        Some(to) => work.to(to, stock),
        None if args.publish => work.publish(stock),
        None => work.print(stock),
    }
}

/// One run of the command.
struct Work<'a> {
    args: &'a Args,
    session: &'a Session,
    seed: u64,
    request: GenerationRequest,
    host: HostName,
}

impl Work<'_> {
    /// A batch of a drawn seed ends when that was drawn; a stream begins then.
    fn in_the_past<'a>(&self, inventor: Inventor<'a>) -> Result<Inventor<'a>> {
        if self.args.is_stream() || moment_of(self.seed).is_none() {
            return Ok(inventor);
        }
        let count = u64::from(self.request.count);
        inventor.drawn_back(count, |inventor, number| match self.turned(number, Duration::ZERO) {
            Some(request) => inventor.turn_to(&request).map_err(refused),
            None => Ok(()),
        })
    }
}

impl Args {
    fn request(&self) -> GenerationRequest {
        GenerationRequest {
            error_category: self.category,
            count: self.count.unwrap_or(if self.is_stream() { 100 } else { 1 }),
            severity_range: self.severity,
            output_format: if self.output == Output::Raw { OutputFormat::Raw } else { OutputFormat::Json },
            template_name: self.template.clone(),
            phase: self.phase_of(0, 1),
            seed: self.seed,
            include_timestamps: !self.no_timestamps,
        }
    }

    fn is_stream(&self) -> bool {
        self.rate.is_some() || self.lasting.is_some()
    }

    /// How far apart the stamps lie: as the messages come, in a stream with a pace.
    fn pace(&self) -> Pace {
        self.rate.map_or(Pace::Drawn, pace::Rate::of_stamps)
    }

    /// The phase of the message with this number among so many.
    fn phase_of(&self, number: u64, of: u64) -> Option<Phase> {
        match self.phase? {
            Story::One(phase) => Some(phase),
            Story::All => {
                let hundredth = (number % of.max(1)) * 100 / of.max(1);
                let mut end = 0;
                SHARES.into_iter().find_map(|(phase, share)| {
                    end += u64::from(share);
                    (hundredth < end).then_some(phase)
                })
            }
        }
    }
}

fn list(templates: &Templates, args: &Args, session: &Session) -> Result<Exit> {
    let wanted = |template: &&Template| {
        args.category.is_none_or(|kind| kind == template.error_type)
            && args.template.as_ref().is_none_or(|name| *name == template.name)
    };
    let severities = |template: &Template| {
        let digits: Vec<String> = template.severities.iter().map(|s| s.as_u8().to_string()).collect();
        digits.join(",")
    };
    let shown = templates.all().iter().filter(wanted);
    if session.json() {
        for template in shown {
            print_json(&serde_json::json!({
                "schema": "instance.cli.v1.template", "name": template.name, "error_type": template.error_type,
                "severities": template.severities, "category": template.category,
                "learnt": template.is_learnt(), "pattern": template.pattern(),
            }))?;
        }
        return Ok(Exit::Done);
    }
    let rows = shown.map(|template| {
        let pattern = template.pattern().replace('\n', "\\n");
        [template.name.clone(), template.error_type.to_string(), severities(template), pattern]
    });
    print(table(["name", "kind", "severities", "pattern"], rows))?;
    Ok(Exit::Done)
}

fn refused(faults: Faults) -> anyhow::Error {
    Stop::new(Exit::Usage, faults).next("instance generate --help").into()
}

/// The machine that we are on, as the services call it.
fn host() -> HostName {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().parse().unwrap_or_else(|_| "localhost".parse().expect("a legal host name"))
}

fn category(text: &str) -> Result<ErrorType, String> {
    text.parse::<ErrorType>().map_err(|error| error.to_string())
}

fn count(text: &str) -> Result<u32, String> {
    let rule = format!("must be {}", GenerationRequest::COUNT_RULE);
    text.parse().ok().filter(|count| (1..=100).contains(count)).ok_or(rule)
}

fn destination(text: &str) -> Result<Destination, String> {
    text.parse::<Destination>().map_err(|error| error.to_string())
}

fn story(text: &str) -> Result<Story, String> {
    match text {
        "all" => Ok(Story::All),
        word => word.parse().map(Story::One).map_err(|_| format!("must be all, or {}", Phase::RULE)),
    }
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
        "\"{text}\" is no range of severities; write one digit from 0 to 3, or the lower and the higher as 1-3"
    )
}

#[cfg(test)]
mod tests;
