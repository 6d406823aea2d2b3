//! `instance profile`: how fast things are on this machine and this bus, and whether they were faster before.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result};
use instance_contract::{
    GenerationRequest, OutputFormat, OverallStatus, Severity, StepStatus, WorkflowTrace,
};
use instance_invent::{Inventor, Templates, start_of};
use serde_json::{Map, Value, json};

use crate::{
    exit::{Exit, Stop},
    online,
    output::{print, print_json, table},
    session::Session,
    story,
};

const EXAMPLES: &str = "\
Examples:
  instance profile                               What is kept is compared; 1.2 times as long is a regression.
  instance profile --keep                        This is the baseline from now on.
  instance profile --strict --json               For a nightly job: exit code 1 on a regression.";

/// Longer than this many times the baseline is a regression.
pub const REGRESSION: f64 = 1.2;
/// Messages that are invented for one figure, and figures that are made; the median counts.
const MESSAGES: u32 = 500;
const ROUNDS: usize = 9;
/// Always the same messages.
const SEED: u64 = 7;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Keep these figures as the baseline
    #[arg(long)]
    keep: bool,
    /// Where the baseline is [default: instance/profile.json below $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Look at so many of the newest remediations that ended well
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    newest: u16,
    /// End with 1 when something has become slower
    #[arg(long)]
    strict: bool,
}

/// Medians by name: microseconds of an invented message, milliseconds of everything else.
type Figures = BTreeMap<String, f64>;

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let file = args
        .baseline
        .clone()
        .or_else(usual_file)
        .context("there is no home for a baseline: name one with --baseline")?;
    let mut figures = Figures::from([("generation_us".to_owned(), generation()?)]);
    online::run(session, async |bus| {
        let mut well = Vec::new();
        let mut reading = story::newest(&bus).await?;
        while well.len() < usize::from(args.newest)
            && let Some(story) = reading.next().await?
        {
            let trace = story.ended().map(|ended| ended.trace.clone());
            well.extend(trace.filter(|trace| trace.overall_status == OverallStatus::Success));
        }
        figures.extend(of_remediations(&well));
        told(&figures, &file, args, session)
    })
}

fn told(figures: &Figures, file: &Path, args: &Args, session: &Session) -> Result<Exit> {
    let baseline = read(file)?;
    let slower = slower(figures, &baseline);
    if session.json() {
        print_json(&json!({
            "schema": "instance.cli.v1.profile", "figures": figures, "baseline": baseline, "slower": slower,
        }))?;
    } else {
        let rows = figures.iter().map(|(name, now)| {
            let before = baseline.get(name).map_or_else(|| "-".to_owned(), |before| format!("{before:.1}"));
            let word = if slower.contains(name) { "slower" } else { "" };
            [name.clone(), format!("{now:.1}"), before, word.to_owned()]
        });
        print(table(["median", "now", "baseline", ""], rows))?;
    }
    for name in &slower {
        session.note(format_args!(
            "{name} takes more than {REGRESSION} times as long as in \"{}\"",
            file.display()
        ));
    }
    if figures.len() == 1 {
        session.note("no remediation has ended well on this bus, so only inventing was measured");
    }
    if args.keep {
        write(file, figures)?;
        session.note(format_args!("kept in \"{}\"", file.display()));
    }
    Ok(if args.strict && !slower.is_empty() { Exit::Failure } else { Exit::Done })
}

/// How long one message takes to be invented and written down, microseconds.
fn generation() -> Result<f64> {
    let templates = Templates::builtin().context("could not read the templates that are built in")?;
    let request = GenerationRequest {
        error_category: None,
        count: MESSAGES,
        severity_range: (Severity::Info, Severity::Fatal),
        output_format: OutputFormat::Json,
        template_name: None,
        phase: None,
        seed: Some(SEED),
        include_timestamps: true,
    };
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let mut inventor = Inventor::new(&request, &templates, SEED, start_of(SEED))
            .map_err(|faults| Stop::new(Exit::Failure, faults))?;
        let began = Instant::now();
        let bytes: usize = (0..MESSAGES).map(|_| inventor.entry().raw.len()).sum();
        let took = began.elapsed().as_secs_f64() * 1e6 / f64::from(MESSAGES);
        anyhow::ensure!(bytes > 0, "nothing was invented");
        rounds.push(took);
    }
    Ok(median(rounds).expect("there are rounds"))
}

/// The whole time, and the time of each tool.
fn of_remediations(traces: &[WorkflowTrace]) -> Figures {
    let mut times: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for trace in traces {
        let mut add = |name: String, milliseconds: u64| {
            // Exact up to 285,000 years.
            #[expect(
                clippy::cast_precision_loss,
                reason = "milliseconds of a remediation are far below 2^52"
            )]
            times.entry(name).or_default().push(milliseconds as f64);
        };
        add("end_to_end_ms".to_owned(), trace.completion_time_ms);
        for step in trace.steps_executed.iter().filter(|step| step.status == StepStatus::Success) {
            add(format!("tool_{}_ms", step.tool_name), step.execution_time_ms);
        }
    }
    times.into_iter().filter_map(|(name, times)| Some((name, median(times)?))).collect()
}

fn median(mut of: Vec<f64>) -> Option<f64> {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied()
}

/// The names of what takes longer than it may.
fn slower(figures: &Figures, baseline: &Figures) -> Vec<String> {
    let too_long =
        |(name, now): &(&String, &f64)| baseline.get(*name).is_some_and(|before| **now > before * REGRESSION);
    figures.iter().filter(too_long).map(|(name, _)| name.clone()).collect()
}

/// None kept yet is no fault.
fn read(file: &Path) -> Result<Figures> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Figures::new()),
        Err(error) => return Err(error).with_context(|| format!("could not read \"{}\"", file.display())),
    };
    let kept: Value =
        serde_json::from_str(&text).with_context(|| format!("\"{}\" is no baseline", file.display()))?;
    let figures = kept["figures"].as_object().cloned().unwrap_or_else(Map::new);
    Ok(figures.into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?))).collect())
}

fn write(file: &Path, figures: &Figures) -> Result<()> {
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        let kept =
            json!({"schema": "instance.cli.v1.profile_baseline", "at": online::now(), "figures": figures});
        fs::write(file, format!("{kept:#}\n"))
    };
    write().with_context(|| format!("could not write \"{}\"", file.display()))
}

fn usual_file() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(folder.join("instance/profile.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(of: &[(&str, f64)]) -> Figures {
        of.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn a_fifth_more_is_slower_and_what_was_never_kept_is_not() {
        let baseline = figures(&[("a", 10.0), ("b", 10.0)]);
        let now = figures(&[("a", 12.0), ("b", 12.1), ("c", 1000.0)]);
        assert_eq!(slower(&now, &baseline), ["b"]);
    }

    #[test]
    fn a_baseline_is_read_back_and_rubbish_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state/profile.json");
        assert!(read(&file).unwrap().is_empty(), "none is kept yet");
        let kept = figures(&[("end_to_end_ms", 1500.0)]);
        write(&file, &kept).unwrap();
        assert_eq!(read(&file).unwrap(), kept);
        fs::write(&file, "{").unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("is no baseline"));
    }

    #[test]
    fn inventing_is_measured() {
        assert!(generation().unwrap() > 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }
}
