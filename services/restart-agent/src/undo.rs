//! A restart cannot be taken back. Its undo brings the instance up on the configuration that is there by then.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use instance_agent::{Applied, Prepared, Probe};
use instance_chassis::crash_point;
use instance_contract::{Failure, RestartInstance, StepKey};

use crate::{
    kept::{Kept, NotKept},
    observe::{Observed, Site, State},
    restart::{Former, Limits, Wish, bring_up, probe as probe_goal},
    waits::Waits,
};

/// As long as the ledger keeps its own records.
const KEPT: Duration = Duration::from_hours(31 * 24);

/// What the instance was doing when its undo began, kept beside the ledger: the ledger has only what was recorded
/// before the restart itself, and an undo that is asked for twice must not restart twice.
#[derive(Debug, Clone)]
pub struct Record {
    folder: PathBuf,
    file: Kept,
}

impl Record {
    pub fn of(site: &Site<'_>, undo: &StepKey) -> Self {
        let folder = site.config.state_dir.join("undo");
        let file = Kept::at(&folder, &format!("{}_{}", undo.remediation_id, undo.step_id));
        Self { folder, file }
    }

    fn read(&self) -> Result<Option<Former>, Failure> {
        self.file.read().map_err(|error| not_kept(&error))
    }

    fn write(&self, former: &Former) -> Result<(), Failure> {
        self.file.write(former).map_err(|error| not_kept(&error))
    }

    /// Forgets what the ledger has forgotten too. That some of it stays is no failure of the undo.
    fn forget_old(&self) {
        let written = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
        let Some(now) = written(self.file.path()) else { return };
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let age = written(&entry.path()).and_then(|at| now.duration_since(at).ok());
            if age.is_some_and(|age| age > KEPT)
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::warn!(%error, "could not remove an old undo record");
            }
        }
    }
}

fn not_kept(error: &NotKept) -> Failure {
    if error.is_for_want_of_space() {
        return Failure::transient("no_space", format!("{error}; free space on that file system"));
    }
    Failure::permanent("undo_record", error.to_string())
}

/// Brings the instance up: starts it when it is down, restarts it when it runs on what the restart put in force.
/// An instance that the restart never stopped is left alone.
pub fn undo(
    site: &Site<'_>,
    record: &Record,
    done: &Prepared,
    step: &StepKey,
    limits: Limits<'_>,
) -> Result<Applied, Failure> {
    let wish = Wish { restart: RestartInstance::default(), step, is_undo: true, force_agreed: false };
    let former = if let Some(former) = record.read()? {
        former
    } else {
        let observed = site.settled(Waits::of(site.config, &wish.restart).stop.min((limits.remaining)()))?;
        if never_stopped(site, &observed, done)? {
            return Ok(left_alone());
        }
        // How it was is what the restart has found, not what it has made of it.
        let was_well = Former::of(done)?.was_well;
        let former = Former { was_well, ..Former::now(site, &observed).map_err(Failure::from)? };
        crash_point("restart.undo-to-record");
        record.write(&former)?;
        crash_point("restart.undo-recorded");
        record.forget_old();
        former
    };
    bring_up(site, &former, &wish, limits)
}

/// Has the undo reached its end?
pub fn probe(site: &Site<'_>, record: &Record, done: &Prepared) -> Result<Probe, Failure> {
    match record.read()? {
        Some(former) => Ok(probe_goal(site, &former)?),
        None if never_stopped(site, &site.observe()?, done)? => Ok(Probe::Done(left_alone())),
        None => Ok(Probe::NotDone),
    }
}

/// Is the instance as it was before the restart: the very run still lasts, or it was down and is down?
fn never_stopped(site: &Site<'_>, observed: &Observed, done: &Prepared) -> Result<bool, Failure> {
    let restarted = Former::of(done)?;
    Ok(match observed.state {
        State::Running | State::Hung => {
            restarted.run.since.is_some() && !restarted.is_over(site, observed)?
        }
        State::Down => restarted.run.since.is_none(),
        State::Other(_) => false,
    })
}

fn left_alone() -> Applied {
    let warnings =
        vec!["the instance is as it was before the restart, so nothing had to be taken back".to_owned()];
    Applied { changes: Vec::new(), warnings, rollback_available: false }
}
