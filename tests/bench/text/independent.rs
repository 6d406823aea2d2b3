//! An independent yardstick, when its source lies beside the tree (`../shared/bench/text`): a splitter and a writer of
//! pre-rendered lines by somebody else, as a program of its own. Not part of the product; without it the tree's own
//! yardstick, which does the same work, is all there is.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

use crate::{
    build_yardstick,
    measure::{Goal, Report},
};

/// What the tree's own took, so that both can be compared; processor time of one thread each.
pub struct Own {
    pub splitter: Duration,
    pub reader: Duration,
    pub pre_rendered: Duration,
    pub inventor: Duration,
}

/// Measures it beside what was measured already. `log` has `mb` MB, as much as it writes itself.
pub fn measure(folder: &Path, log: &Path, (mb, rounds): (usize, usize), own: &Own, report: &mut Report) {
    let target = std::env::current_exe().unwrap().with_file_name("text-yardstick");
    let Some(program) = build_yardstick::build(folder, &target, "text").unwrap() else {
        eprintln!("no yardstick in {}", folder.display());
        return;
    };
    let (log, mb) = (log.to_str().unwrap(), mb.to_string());
    let split = median(rounds, || processor_time(&program, &["split", log, "1"]));
    let written = median(rounds, || processor_time(&program, &["gen", "/dev/null", &mb]));
    let of = |theirs: Duration, ours: Duration| theirs.as_secs_f64() / ours.as_secs_f64();
    report.add("our splitter, of the independent one", of(split, own.splitter), "", Goal::None);
    report.add("log reader, of the independent splitter", of(split, own.reader), "", Goal::AtLeast(0.8));
    report.add(
        "our pre-rendered lines, of the independent ones",
        of(written, own.pre_rendered),
        "",
        Goal::None,
    );
    report.add(
        "inventor, of the independent pre-rendered lines",
        of(written, own.inventor),
        "",
        Goal::AtLeast(0.5),
    );
}

fn median(rounds: usize, mut one: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..rounds).map(|_| one()).collect();
    times.sort();
    times[times.len() / 2]
}

/// Of the whole program, its start too.
fn processor_time(program: &Path, words: &[&str]) -> Duration {
    let before = of_children();
    let status = Command::new(program).args(words).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{} {words:?}", program.display());
    of_children().saturating_sub(before)
}

fn of_children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let microseconds = (usage.user_time() + usage.system_time()).num_microseconds();
    Duration::from_micros(u64::try_from(microseconds).unwrap_or_default())
}
