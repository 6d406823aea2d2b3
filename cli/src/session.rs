//! What every command shares: the global options, and how it may look.

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    thread,
    time::Duration,
};

use tokio::sync::oneshot;
use uuid::Uuid;

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// NATS server, like `nats://127.0.0.1:4222` (also INSTANCE_NATS__URL or NATS_URL)
    #[arg(long, global = true, value_name = "URL")]
    pub nats: Option<String>,
    /// NATS context to take server and credentials from
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Settings file (TOML)
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON: one document, or one a line where there are many
    #[arg(long, global = true)]
    pub json: bool,
    /// Print results and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Tell more on stderr; three times tells everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: clap::ColorChoice,
    /// How long to wait for others: seconds, or like `500ms`, `30s`, `5m`
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
}

/// One run of the command.
#[derive(Debug)]
pub struct Session {
    pub global: Global,
    color: bool,
}

/// The colours in use, by meaning.
#[derive(Debug, Clone, Copy)]
pub enum Tone {
    Good,
    Warn,
    Bad,
}

impl Session {
    pub fn new(global: Global) -> Self {
        let color = wants_color(global.color, &|name| env::var(name).ok(), io::stdout().is_terminal());
        Self { global, color }
    }

    pub fn json(&self) -> bool {
        self.global.json
    }

    /// A remark beside the result. Left out with `--quiet`.
    pub fn note(&self, text: impl Display) {
        if !self.global.quiet {
            // Nobody can be told that telling failed.
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// A text in a colour, where colour is wanted.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "1;31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// May we ask a person? Both ends have to be a terminal.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The line that a person types; `None`: Ctrl-C instead. Where the terminal is closed it is empty.
pub async fn typed() -> io::Result<Option<String>> {
    let (say, said) = oneshot::channel();
    // A thread that nobody waits for: a runtime could not end while a line is awaited, and Ctrl-C, once somebody has listened
    // for it, ends no process by itself.
    thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line);
        // Nobody listens any more after Ctrl-C.
        let _ = say.send(read.map(|_| line));
    });
    tokio::select! {
        said = said => said.unwrap_or_else(|_| Err(io::Error::other("the terminal cannot be read"))).map(Some),
        _ = tokio::signal::ctrl_c() => Ok(None),
    }
}

fn wants_color(choice: clap::ColorChoice, variable: &dyn Fn(&str) -> Option<String>, terminal: bool) -> bool {
    let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let forced = |name: &str| variable(name).is_some_and(|value| !value.is_empty() && value != "0");
    match choice {
        clap::ColorChoice::Always => true,
        clap::ColorChoice::Never => false,
        clap::ColorChoice::Auto if set("NO_COLOR") => false,
        clap::ColorChoice::Auto if forced("CLICOLOR_FORCE") || forced("FORCE_COLOR") => true,
        clap::ColorChoice::Auto => terminal && variable("TERM").is_none_or(|term| term != "dumb"),
    }
}

/// The id of a remediation or a command.
pub fn id(text: &str) -> Result<Uuid, String> {
    let rule = "no id; write it in full, as `instance status` and `instance history` list it";
    Uuid::try_parse(text).map_err(|_| rule.to_owned())
}

/// The id of an incident, or of something that belongs to one.
pub fn incident_id(text: &str) -> Result<Uuid, String> {
    let rule = "no id; write it in full, as `instance inbox list` and `instance incident` list it";
    Uuid::try_parse(text).map_err(|_| rule.to_owned())
}

/// `30`, `30s`, `500ms`, `5m`, `1h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rule = || format!("\"{text}\" is no time; write seconds, or like 500ms, 30s, 5m, 1h");
    let number: u64 = text[..digits].parse().map_err(|_| rule())?;
    let milliseconds: u64 = match &text[digits..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(rule()),
    };
    let time = number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(rule)?;
    if time.is_zero() { Err("must be more than nothing".to_owned()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice::{Always, Auto, Never};

    use super::*;

    #[test]
    fn colour_follows_flags_then_variables_then_the_terminal() {
        let with = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        assert!(wants_color(Auto, &with(&[("TERM", "xterm")]), true));
        assert!(!wants_color(Auto, &with(&[]), false));
        assert!(!wants_color(Auto, &with(&[("NO_COLOR", "1"), ("FORCE_COLOR", "1")]), true));
        assert!(wants_color(Auto, &with(&[("NO_COLOR", "")]), true));
        assert!(!wants_color(Auto, &with(&[("TERM", "dumb")]), true));
        assert!(wants_color(Auto, &with(&[("CLICOLOR_FORCE", "1")]), false));
        assert!(!wants_color(Auto, &with(&[("FORCE_COLOR", "0")]), false));
        assert!(wants_color(Always, &with(&[("NO_COLOR", "1")]), false));
        assert!(!wants_color(Never, &with(&[("FORCE_COLOR", "1")]), true));
    }

    #[test]
    fn times_are_seconds_unless_they_say_otherwise() {
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        for bad in ["", "s", "0", "-1", "1.5", "3 s", "18446744073709551615h", "5d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
