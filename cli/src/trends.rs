//! `instance trends`: how remediations have gone, hour by hour or day by day, each stretch beside the one before it.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::ValueEnum;
use instance_contract::{InstanceName, OverallStatus};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    exit::Exit,
    online,
    output::{print, print_json, table, when},
    profile::REGRESSION,
    session::Session,
    story::{self, Story},
};

const EXAMPLES: &str = "\
Examples:
  instance trends                                The last 14 days on which something ended.
  instance trends --by hour --last 24 --instance PROD
  instance trends --strict --quiet || echo 'remediations have become slower'";

/// With fewer cures than these a median says little, and nothing is called slower for it.
const FEWEST: usize = 5;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// How long a stretch is
    #[arg(long, value_enum, default_value_t = Stretches::Day)]
    by: Stretches,
    /// The newest so many stretches in which something ended
    #[arg(long, value_name = "COUNT", default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    last: u16,
    /// Only of one IRIS instance
    #[arg(long, value_name = "NAME")]
    instance: Option<InstanceName>,
    /// End with 1 when cures take longer in the newest stretch than before
    #[arg(long)]
    strict: bool,
}

/// Counted in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stretches {
    Hour,
    Day,
}

impl Stretches {
    const fn seconds(self) -> i64 {
        match self {
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// When the stretch began in which something ended.
    fn begin(self, at: Timestamp) -> Timestamp {
        let seconds = at.as_second();
        let begin = seconds - seconds.rem_euclid(self.seconds());
        Timestamp::from_second(begin).expect("an instant before one that there is")
    }
}

/// One remediation that has ended.
#[derive(Debug, Clone, Copy)]
struct Run {
    at: Timestamp,
    status: OverallStatus,
    milliseconds: u64,
}

/// What ended within one stretch.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stretch {
    ended: usize,
    success: usize,
    undone: usize,
    dry_run: usize,
    /// Everything else: refused, expired, failed, or left in part.
    failed: usize,
    /// Of cures alone; nothing else takes as long as it should.
    median_ms: Option<u64>,
    /// Nineteen of twenty cures took no longer.
    most_ms: Option<u64>,
    slower: bool,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| {
        let of_instance = |story: &Story| {
            args.instance
                .as_ref()
                .is_none_or(|name| story.command().is_some_and(|command| command.instance == *name))
        };
        let mut runs = Vec::new();
        let mut reading = story::newest(&bus).await?;
        while let Some(story) = reading.next().await? {
            runs.extend(ended(&story).filter(|_| of_instance(&story)));
        }
        let all = trends(&runs, args.by);
        let shown = &all[all.len().saturating_sub(usize::from(args.last))..];
        tell(shown, args, session)?;
        let slower = shown.last().is_some_and(|(_, newest)| newest.slower);
        Ok(if args.strict && slower { Exit::Failure } else { Exit::Done })
    })
}

fn ended(story: &Story) -> Option<Run> {
    let trace = &story.ended()?.trace;
    Some(Run { at: story.ended_at()?, status: trace.overall_status, milliseconds: trace.completion_time_ms })
}

/// Every stretch in which something ended, oldest first.
fn trends(runs: &[Run], by: Stretches) -> Vec<(Timestamp, Stretch)> {
    let mut together: BTreeMap<Timestamp, Vec<Run>> = BTreeMap::new();
    for run in runs {
        together.entry(by.begin(run.at)).or_default().push(*run);
    }
    let mut before = None;
    let tell = |(begin, runs): (Timestamp, Vec<Run>)| {
        let mut stretch = summed(&runs);
        if stretch.success >= FEWEST {
            stretch.slower =
                stretch.median_ms.zip(before).is_some_and(|(now, before)| is_slower(now, before));
            before = stretch.median_ms;
        }
        (begin, stretch)
    };
    together.into_iter().map(tell).collect()
}

fn summed(runs: &[Run]) -> Stretch {
    let count = |status: OverallStatus| runs.iter().filter(|run| run.status == status).count();
    let cures = runs.iter().filter(|run| run.status == OverallStatus::Success);
    let mut cures: Vec<u64> = cures.map(|run| run.milliseconds).collect();
    cures.sort_unstable();
    let [success, undone, dry_run] =
        [OverallStatus::Success, OverallStatus::Undone, OverallStatus::DryRun].map(count);
    Stretch {
        ended: runs.len(),
        success,
        undone,
        dry_run,
        failed: runs.len() - success - undone - dry_run,
        median_ms: cures.get(cures.len() / 2).copied(),
        most_ms: cures.get((cures.len() * 19).div_ceil(20).saturating_sub(1)).copied(),
        slower: false,
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a remediation are far below 2^52")]
fn is_slower(now: u64, before: u64) -> bool {
    now as f64 > before as f64 * REGRESSION
}

fn tell(shown: &[(Timestamp, Stretch)], args: &Args, session: &Session) -> Result<()> {
    if session.json() {
        let documents: Vec<Value> = shown.iter().map(document).collect();
        let by = args.by.to_possible_value().map(|value| value.get_name().to_owned());
        return print_json(&json!({"schema": "instance.cli.v1.trends", "by": by, "stretches": documents}));
    }
    if shown.is_empty() {
        session.note("nothing has ended yet");
        return Ok(());
    }
    let text = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let rows = shown.iter().map(|(begin, stretch)| {
        let counts = [stretch.ended, stretch.success, stretch.undone, stretch.failed, stretch.dry_run];
        let [ended, success, undone, failed, dry] = counts.map(|count| count.to_string());
        let word =
            if stretch.slower { format!("slower by more than {REGRESSION} times") } else { String::new() };
        [
            when(*begin),
            ended,
            success,
            undone,
            failed,
            dry,
            text(stretch.median_ms),
            text(stretch.most_ms),
            word,
        ]
    });
    let heads =
        ["from", "ended", "success", "undone", "failed", "dry runs", "median ms", "95 % within ms", ""];
    print(table(heads, rows))
}

fn document((begin, stretch): &(Timestamp, Stretch)) -> Value {
    json!({
        "from": begin, "ended": stretch.ended, "success": stretch.success, "undone": stretch.undone,
        "failed": stretch.failed, "dry_run": stretch.dry_run, "median_ms": stretch.median_ms,
        "within_ms_95": stretch.most_ms, "slower": stretch.slower,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(at: &str, status: OverallStatus, times: &[u64]) -> Vec<Run> {
        let at: Timestamp = at.parse().unwrap();
        times.iter().map(|milliseconds| Run { at, status, milliseconds: *milliseconds }).collect()
    }

    #[test]
    fn stretches_are_summed_and_a_fifth_more_than_the_last_telling_one_is_slower() {
        let mut all = runs("2026-11-20T23:59:59.999Z", OverallStatus::Success, &[100, 100, 100, 90, 2_000]);
        // One cure alone says nothing, neither now nor for the day after.
        all.extend(runs("2026-11-21T00:00:00Z", OverallStatus::Success, &[9_000]));
        all.extend(runs("2026-11-21T12:00:00Z", OverallStatus::Undone, &[50]));
        all.extend(runs("2026-11-21T12:00:00Z", OverallStatus::Refused, &[1]));
        all.extend(runs("2026-11-21T12:00:00Z", OverallStatus::DryRun, &[7, 7]));
        all.extend(runs("2026-11-22T08:00:00Z", OverallStatus::Success, &[120; 6]));
        all.extend(runs("2026-11-23T08:00:00Z", OverallStatus::Success, &[145; 6]));
        let days = trends(&all, Stretches::Day);
        let from: Vec<String> = days.iter().map(|(begin, _)| begin.to_string()).collect();
        assert_eq!(from[..2], ["2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"]);
        let (first, second) = (&days[0].1, &days[1].1);
        assert_eq!((first.median_ms, first.most_ms), (Some(100), Some(2_000)));
        let counted = (second.ended, second.success, second.undone, second.failed, second.dry_run);
        assert_eq!(counted, (5, 1, 1, 1, 2));
        let slower: Vec<bool> = days.iter().map(|(_, stretch)| stretch.slower).collect();
        assert_eq!(
            slower,
            [false, false, false, true],
            "120 is not more than 1.2 times 100, 145 is more than 144"
        );
        assert_eq!(trends(&all, Stretches::Hour).len(), 5);
    }

    #[test]
    fn where_nothing_was_cured_there_is_no_time() {
        let none = summed(&runs("2026-11-21T12:00:00Z", OverallStatus::Failure, &[3]));
        assert_eq!((none.median_ms, none.most_ms, none.failed), (None, None, 1));
        assert_eq!(trends(&[], Stretches::Day), []);
        assert_eq!(summed(&runs("2026-11-21T12:00:00Z", OverallStatus::Success, &[3])).most_ms, Some(3));
    }
}
