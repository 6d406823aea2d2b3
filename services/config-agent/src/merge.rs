//! Values go into the running instance by its own `iris merge`, and are read back from the file that it writes.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use instance_agent::{
    evidence::{Health, StateWord},
    host::Finished,
};
use instance_chassis::crash_point;
use instance_contract::Failure;
use instance_iris::cpf;

use crate::{
    apply::{Limits, Material, Site, Standing},
    host::CpfFile,
};

/// `iris qlist` takes milliseconds; a host that is short of memory takes longer.
const QLIST_LIMIT: Duration = Duration::from_secs(10);

/// Only a running instance can merge. Asked at most for `limit`.
pub fn must_run(site: &Site<'_>, limit: Duration) -> Result<(), Failure> {
    let found = site.host.state(site.instance, QLIST_LIMIT.min(limit))?;
    match (&found.state, found.health) {
        (StateWord::Running, Health::Hung) => {
            Err(Failure::refused("instance_not_running", "the instance hangs, so it cannot merge"))
        }
        (StateWord::Running, _) => Ok(()),
        (other, _) => {
            let message = format!(
                "the instance is {other}, so it cannot merge; without \"live\" the file alone is changed"
            );
            Err(Failure::refused("instance_not_running", message))
        }
    }
}

/// Merges the values that are to be, and reads them back. What else IRIS has changed in the file is worth a warning.
pub fn merge(
    site: &Site<'_>,
    file: &dyn CpfFile,
    material: &Material,
    limits: Limits<'_>,
) -> Result<Vec<String>, Failure> {
    let began = Instant::now();
    must_run(site, limits.remaining)?;
    let laid = file.merge_file(text(material).as_bytes())?;
    crash_point("config.merge-file-laid");
    (limits.last_look)()?;
    file.is_unchanged()?;
    crash_point("config.to-merge");
    let finished =
        site.host.merge(site.instance, &*laid, limits.remaining.saturating_sub(began.elapsed()))?;
    crash_point("config.merged");
    drop(laid);
    // Exit codes are not believed: only the file says what it holds.
    let now = site.host.open(site.instance).map_err(|failure| unknown(&failure))?;
    crash_point("config.merge-read-back");
    match material.standing(&*now) {
        Standing::After => Ok(others(file, &*now, material)),
        Standing::Before => Err(failed(&finished)),
        Standing::Neither => {
            let message = format!("after the merge {}{}", material.found(&*now), said(&finished));
            Err(Failure::unknown("merge_incomplete", message))
        }
    }
}

/// A merge file that sets what is to be set, section by section.
fn text(material: &Material) -> String {
    let mut text = String::new();
    let mut section = None;
    let mut touched: Vec<_> = material.touched.iter().filter(|one| one.changes()).collect();
    touched.sort_by_key(|one| &one.section);
    for one in touched {
        if section != Some(&one.section) {
            writeln!(text, "[{}]", one.section).expect("a string takes everything");
            section = Some(&one.section);
        }
        let value = one.after.as_deref().unwrap_or_default();
        writeln!(text, "{}={value}", one.parameter).expect("a string takes everything");
    }
    text
}

fn failed(finished: &Finished) -> Failure {
    if finished.timed_out {
        // It may still be at it.
        return Failure::unknown(
            "merge_timed_out",
            format!("iris merge did not end in time{}", said(finished)),
        );
    }
    let code = finished.code.map_or("none".to_owned(), |code| code.to_string());
    let message = format!("iris merge changed nothing (exit code {code}){}", said(finished));
    Failure::permanent("merge_failed", message)
}

fn said(finished: &Finished) -> String {
    let words = finished.last_words();
    if words.is_empty() { String::new() } else { format!("; it said \"{words}\"") }
}

fn unknown(failure: &Failure) -> Failure {
    Failure::Unknown { cause: failure.cause().clone() }
}

fn others(before: &dyn CpfFile, now: &dyn CpfFile, material: &Material) -> Vec<String> {
    let ours = |difference: &cpf::Difference| {
        let named = (difference.section.as_str(), difference.name.as_str());
        material.touched.iter().any(|one| (one.section.as_str(), one.parameter.as_str()) == named)
    };
    let differences = cpf::diff(before.document(), now.document());
    let names: Vec<String> = differences
        .iter()
        .filter(|difference| !ours(difference))
        .map(|difference| format!("[{}] {}", difference.section, difference.name))
        .collect();
    if names.is_empty() {
        return Vec::new();
    }
    vec![format!("the instance has changed more of its CPF at the same time: {}", names.join(", "))]
}
