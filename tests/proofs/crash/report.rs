//! The table of deaths, and whether it is a proof.

use std::{fmt, time::Duration};

use crate::{
    case::{Case, Survey},
    point::Points,
    story::Took,
};

/// Half of all deaths must be over after this: what comes back under its own name must be quick.
const MEDIAN: Duration = Duration::from_secs(3);

pub struct Report {
    pub points: Points,
    pub survey: Survey,
    pub verdicts: Vec<(Case, Result<Took, String>)>,
    /// False when only some of the cases were asked for.
    pub is_whole: bool,
}

impl Report {
    pub fn is_proven(&self) -> bool {
        let failed = self.verdicts.iter().any(|(_, outcome)| outcome.is_err());
        let missed = self.is_whole && self.points.keys().any(|point| self.deaths_at(point) == 0);
        !failed && !missed && !self.verdicts.is_empty() && self.median() < MEDIAN
    }

    fn deaths_at(&self, point: &str) -> usize {
        self.verdicts.iter().filter(|(case, _)| case.point == point).count()
    }

    /// From the shortest to the longest.
    fn recoveries(&self) -> Vec<(Duration, &Case)> {
        let mut recoveries = Vec::new();
        for (case, outcome) in &self.verdicts {
            recoveries.extend(outcome.as_ref().ok().map(|took| (took.since_death, case)));
        }
        recoveries.sort_by_key(|(took, _)| *took);
        recoveries
    }

    fn median(&self) -> Duration {
        let recoveries = self.recoveries();
        recoveries.get(recoveries.len() / 2).map_or(Duration::MAX, |(took, _)| *took)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:32} deaths  from death to the end, s", "point")?;
        for point in self.points.keys().filter(|point| self.is_whole || self.deaths_at(point) > 0) {
            let here = self.verdicts.iter().filter(|(case, _)| case.point == *point);
            let times: Vec<String> = here
                .map(|(case, outcome)| match outcome {
                    Ok(took) => {
                        let seconds = took.since_death.as_secs_f64();
                        format!("{} {}:{} {seconds:.1}", case.service, case.scenario, case.ordinal)
                    }
                    Err(_) => format!("{} {}:{} FAILED", case.service, case.scenario, case.ordinal),
                })
                .collect();
            writeln!(f, "{point:32} {:6}  {}", times.len(), times.join(", "))?;
        }
        if self.is_whole {
            for (point, file) in self.points.iter().filter(|(point, _)| self.deaths_at(point) == 0) {
                writeln!(f, "NEVER REACHED: {point} in {}", file.display())?;
            }
        }
        for (scenario, took) in &self.survey.took {
            writeln!(f, "without a death, {scenario}: {:.1} s", took.as_secs_f64())?;
        }
        let recoveries = self.recoveries();
        let failed = self.verdicts.len() - recoveries.len();
        write!(f, "{} deaths at {} points, {failed} failed", self.verdicts.len(), self.points.len())?;
        if let Some((worst, case)) = recoveries.last() {
            let (median, worst) = (self.median().as_secs_f64(), worst.as_secs_f64());
            write!(f, "; from death to the end: median {median:.2} s, worst {worst:.2} s ({case})")?;
        }
        Ok(())
    }
}
