//! No second restart too soon: when an instance was restarted, kept over restarts of this process.
//!
//! Policy has the same rule over the whole fleet; this is the agent's own, for whoever gets past it.

use instance_chassis::crash_point;
use instance_contract::StepKey;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{error::RestartError, kept::Kept, observe::Site};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Nothing is asked about older restarts: 1440 minutes are the most that policy knows.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// The restarts of one instance.
#[derive(Debug)]
pub struct Restarts {
    file: Kept,
    kept: Vec<Restart>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Restart {
    at: Timestamp,
    /// For which step: its own next attempt is not another restart.
    step: String,
}

impl Restarts {
    pub fn of(site: &Site<'_>) -> Result<Self, RestartError> {
        let file = Kept::at(&site.config.state_dir.join("restarts"), site.instance.name.as_str());
        let kept = file.read().map_err(RestartError::Spacing)?.unwrap_or_default();
        Ok(Self { file, kept })
    }

    /// May the instance be restarted now? `step` is the one that asks, when it is a step.
    pub fn check(&self, site: &Site<'_>, step: Option<&StepKey>) -> Result<(), RestartError> {
        let now = site.clock.now();
        let own = step.map(name);
        let others = || self.kept.iter().filter(|restart| Some(&restart.step) != own.as_ref());
        let recent = others().filter(|restart| now.duration_since(restart.at) < HOUR);
        let allowed = site.config.restarts_per_hour;
        if u32::try_from(recent.clone().count()).unwrap_or(u32::MAX) >= allowed {
            let free_at = recent.map(|restart| restart.at).min().unwrap_or(now) + HOUR;
            let rule = format!("{allowed} restarts in an hour are allowed (\"restarts_per_hour\")");
            return Err(RestartError::TooSoon { rule, free_at });
        }
        let minutes = site.config.minutes_between_restarts;
        let apart = SignedDuration::from_mins(i64::from(minutes));
        match others().map(|restart| restart.at + apart).max() {
            Some(free_at) if free_at > now => {
                let rule =
                    format!("{minutes} minutes must lie between two restarts (\"minutes_between_restarts\")");
                Err(RestartError::TooSoon { rule, free_at })
            }
            _ => Ok(()),
        }
    }

    /// Notes, durably, that the instance is about to be stopped for this step.
    pub fn note(&mut self, site: &Site<'_>, step: &StepKey) -> Result<(), RestartError> {
        let (now, step) = (site.clock.now(), name(step));
        self.kept.retain(|restart| now.duration_since(restart.at) < KEPT && restart.step != step);
        self.kept.push(Restart { at: now, step });
        crash_point("restart.spacing-to-note");
        self.write()?;
        crash_point("restart.spacing-noted");
        Ok(())
    }

    /// Has this step asked for a stop, in this attempt or an earlier one, that may have done something?
    pub fn has(&self, step: &StepKey) -> bool {
        let step = name(step);
        self.kept.iter().any(|restart| restart.step == step)
    }

    /// The instance was not stopped after all.
    pub fn forget(&mut self, step: &StepKey) -> Result<(), RestartError> {
        let step = name(step);
        self.kept.retain(|restart| restart.step != step);
        self.write()
    }

    fn write(&self) -> Result<(), RestartError> {
        self.file.write(&self.kept).map_err(RestartError::Spacing)
    }
}

fn name(step: &StepKey) -> String {
    format!("{}/{}", step.remediation_id, step.step_id)
}
