//! The command line that every service has.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// What was asked for on the command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub config_file: Option<PathBuf>,
    pub profile: Option<String>,
    /// `--set`, `--nats` and `--log`, in the order in which they win.
    pub assignments: Vec<Assignment>,
    pub wait_for_bus: bool,
    pub purpose: Purpose,
}

/// One setting, set by a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// As it is told to the operator: `--nats`, `--set nats.url`.
    pub flag: String,
    /// As in `nats.url`.
    pub key: String,
    pub value: String,
}

/// Why the process was started.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Purpose {
    #[default]
    Serve,
    CheckSettings,
    PrintSettings,
    PrintSchema,
}

/// Reads the command line; what clap hands back instead (help, version, a usage error) prints itself.
pub(crate) fn parse(
    service: &'static str,
    description: &'static str,
    version: &'static str,
    line: impl IntoIterator<Item = OsString>,
) -> Result<Arguments, clap::Error> {
    let matches = command(service, description, version).try_get_matches_from(line)?;
    Ok(Arguments {
        config_file: matches.get_one::<PathBuf>("config").cloned(),
        profile: matches.get_one::<String>("profile").cloned(),
        assignments: assignments(&matches),
        wait_for_bus: !matches.get_flag("no-wait"),
        purpose: purpose(&matches),
    })
}

fn purpose(matches: &ArgMatches) -> Purpose {
    if matches.get_flag("check-config") {
        Purpose::CheckSettings
    } else if matches.get_flag("print-config") {
        Purpose::PrintSettings
    } else if matches.get_flag("print-config-schema") {
        Purpose::PrintSchema
    } else {
        Purpose::Serve
    }
}

fn assignments(matches: &ArgMatches) -> Vec<Assignment> {
    let set = matches.get_many::<(String, String)>("set").into_iter().flatten();
    let mut all: Vec<_> = set
        .map(|(key, value)| Assignment {
            flag: format!("--set {key}"),
            key: key.clone(),
            value: value.clone(),
        })
        .collect();
    for (flag, key) in [("nats", "nats.url"), ("log", "telemetry.log_filter")] {
        if let Some(value) = matches.get_one::<String>(flag) {
            all.push(Assignment { flag: format!("--{flag}"), key: key.to_owned(), value: value.clone() });
        }
    }
    // Last, so that no file, profile, variable or `--set` takes it back.
    if matches.get_flag("dry-run") {
        all.push(Assignment {
            flag: "--dry-run".to_owned(),
            key: "dry_run".to_owned(),
            value: "true".to_owned(),
        });
    }
    all
}

fn command(service: &'static str, description: &'static str, version: &'static str) -> Command {
    Command::new(service)
        .bin_name(format!("instance-{service}"))
        .display_name(format!("instance-{service}"))
        .version(version)
        .about(format!("instance-{service}: {description}"))
        .after_help(after_help(service))
        .arg(
            option("config", "FILE", "Settings file; its values beat those of the system file")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(option("profile", "NAME", "Profile to use: development, staging, production or testing"))
        .arg(
            option("set", "SECTION.KEY=VALUE", "Sets one setting; may be repeated")
                .action(ArgAction::Append)
                .value_parser(assignment),
        )
        .arg(option("nats", "URL", "Address of NATS; the same as --set nats.url=URL"))
        .arg(option(
            "log",
            "FILTER",
            "Log filter, e.g. info,instance_bus=debug; the same as --set telemetry.log_filter=FILTER",
        ))
        .arg(
            switch(
                "dry-run",
                "Changes nothing: a router only plans, an agent refuses to act; beats every setting",
            )
            .short('n'),
        )
        .arg(switch("no-wait", "Ends with exit code 7 when NATS does not answer, instead of waiting for it"))
        .arg(switch("check-config", "Reads the settings, says what is wrong with them, and ends"))
        .arg(
            switch("print-config", "Prints the settings in force and where each came from, and ends")
                .conflicts_with("check-config"),
        )
        .arg(
            switch("print-config-schema", "Prints the JSON Schema of the settings file, and ends")
                .conflicts_with_all(["check-config", "print-config"]),
        )
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn assignment(raw: &str) -> Result<(String, String), String> {
    let (key, value) = raw.split_once('=').ok_or("expected SECTION.KEY=VALUE")?;
    let well_formed = !key.is_empty() && key.split('.').all(|part| !part.is_empty());
    if well_formed { Ok((key.to_owned(), value.to_owned())) } else { Err(format!("{key:?} is not a key")) }
}

fn after_help(service: &str) -> String {
    let section = service.replace('-', "_").to_uppercase();
    format!(
        "\
Settings, later wins:
  defaults, /etc/instance/{service}.toml, --config FILE, the profile's tables in these files,
  the environment, flags. A file holds host, grace_seconds, carriers, dry_run, and the tables [nats],
  [telemetry] and [{service}]; a profile's values are in [production.nats], [production.{service}] and so on.
  --print-config shows every key with its value and where that came from.

Environment:
  INSTANCE_PROFILE              profile to use
  INSTANCE_<SECTION>__<KEY>     one setting: INSTANCE_NATS__URL, INSTANCE_{section}__<KEY>
  INSTANCE_HOST, INSTANCE_GRACE_SECONDS; an empty variable counts as unset
  NATS_URL, NATS_CREDS, ...     as the nats command reads them; settings beat them
  OTEL_EXPORTER_OTLP_ENDPOINT   where traces, logs and metrics go (http/protobuf); unset: nowhere
  INSTANCE_TELEMETRY__LISTEN    where /livez, /readyz and /metrics are answered; unset: nowhere

Exit codes:
  0 drained   1 failed   2 wrong usage   7 NATS unreachable (--no-wait)   78 bad settings
  130, 143 cut off by a second signal or at the end of the grace period"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> Result<Arguments, clap::Error> {
        let line = std::iter::once("instance-router").chain(line.iter().copied()).map(OsString::from);
        parse("router", "drives remediations", "1.2.3", line)
    }

    #[test]
    fn the_short_flags_beat_a_set_of_the_same_key() {
        let arguments =
            parsed(&["--nats", "nats://b", "--set", "nats.url=nats://a", "--set", "router.x=a=b"]).unwrap();
        let told: Vec<_> =
            arguments.assignments.iter().map(|set| (set.key.as_str(), set.value.as_str())).collect();
        assert_eq!(told, [("nats.url", "nats://a"), ("router.x", "a=b"), ("nats.url", "nats://b")]);
        assert!(arguments.wait_for_bus);
        assert_eq!(arguments.purpose, Purpose::Serve);
    }

    #[test]
    fn a_dry_run_is_said_last_and_so_beats_all_else() {
        let arguments = parsed(&["-n", "--set", "dry_run=false", "--profile", "production"]).unwrap();
        let last = arguments.assignments.last().unwrap();
        assert_eq!((last.key.as_str(), last.value.as_str()), ("dry_run", "true"));
    }

    #[test]
    fn wrong_usage_is_exit_code_2_and_help_is_0() {
        for (line, code) in [
            (&["--set", "x"][..], 2),
            (&["--set", ".x=1"], 2),
            (&["--unknown"], 2),
            (&["--check-config", "--print-config"], 2),
            (&["--help"], 0),
            (&["--version"], 0),
        ] {
            assert_eq!(parsed(line).unwrap_err().exit_code(), code, "{line:?}");
        }
        let help = parsed(&["--help"]).unwrap_err().to_string();
        for said in
            ["drives remediations", "/etc/instance/router.toml", "INSTANCE_ROUTER__<KEY>", "78 bad settings"]
        {
            assert!(help.contains(said), "{said} is missing in:\n{help}");
        }
    }
}
