//! Which process dies where, in which scenario: chosen by what the scenarios reach when nobody dies.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
    time::Duration,
};

use crate::{
    lane::{self, Lane},
    point::{Points, Service},
    scenario::Scenario,
    story::{self, Life, Lives, NOT_REACHED, Took},
};

/// One death.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub service: Service,
    pub point: String,
    /// The passing of the point in the process's life, from 1.
    pub ordinal: usize,
    pub scenario: Scenario,
    /// Other scenarios that were seen to pass the point. Some points are passed by chance only: a plan is made at its
    /// turn when an agent answers late, and whenever two commands come together.
    others: Vec<Scenario>,
}

impl Case {
    /// From the line that it is shown as, e.g. `restart-agent agent.effect-over:1 forward`.
    pub fn parse(line: &str) -> Option<Self> {
        let [service, passing, scenario] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
        let (point, ordinal) = passing.split_once(':')?;
        Some(Self {
            service: Service::ALL.into_iter().find(|it| it.name() == service)?,
            point: point.to_owned(),
            ordinal: ordinal.parse().ok()?,
            scenario: Scenario::ALL.into_iter().find(|it| it.to_string() == scenario)?,
            others: Vec::new(),
        })
    }

    /// Plays it, in the first of its scenarios in which the point is reached.
    pub async fn run(&self, lane: &mut Lane) -> Result<Took, String> {
        let mut outcome = self.run_in(self.scenario, self.ordinal, lane).await;
        // A question may be asked once more, or once less.
        let fewer = (1..self.ordinal).rev().map(|ordinal| (self.scenario, ordinal));
        for (scenario, ordinal) in fewer.chain(self.others.iter().map(|scenario| (*scenario, 1))) {
            if outcome.as_ref().is_err_and(|fault| fault == NOT_REACHED) {
                outcome = self.run_in(scenario, ordinal, lane).await;
            }
        }
        outcome
    }

    async fn run_in(&self, scenario: Scenario, ordinal: usize, lane: &mut Lane) -> Result<Took, String> {
        let mut lives = vec![dies_at(&format!("{}:{ordinal}", self.point)), Life::new()];
        if scenario == Scenario::Again {
            lives.insert(0, dies_at(first_death(self.service)));
        }
        story::play(lane, scenario, Some(Lives { service: self.service, lives })).await
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{} {}", self.service, self.point, self.ordinal, self.scenario)
    }
}

fn dies_at(passing: &str) -> Life {
    vec![("CRASH_AT", passing.to_owned())]
}

/// In [`Scenario::Again`] a service has died here before: with the most to find out about.
const fn first_death(service: Service) -> &'static str {
    match service {
        Service::Router => "router.step-written:1",
        Service::ConfigAgent | Service::OsAgent | Service::RestartAgent => "agent.done-to-write:1",
    }
}

/// What a service passes in a scenario.
#[derive(Default)]
struct Passed {
    /// Before it has taken anything.
    at_start: BTreeSet<String>,
    /// How often, in its whole life.
    counts: BTreeMap<String, usize>,
}

/// One scenario without a death; `Again` with the first one, of one service.
struct Look {
    scenario: Scenario,
    service: Option<Service>,
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} without a death", self.scenario)
    }
}

/// What the scenarios reach, and how long they take when nobody dies.
pub struct Survey {
    passed: BTreeMap<(Scenario, Service), Passed>,
    pub took: BTreeMap<Scenario, Duration>,
}

/// Plays every scenario once; `None` when one of them fails by itself.
pub fn survey() -> Option<Survey> {
    let again = Service::ALL.map(|service| Look { scenario: Scenario::Again, service: Some(service) });
    let others = Scenario::ALL.into_iter().filter(|scenario| *scenario != Scenario::Again);
    let looks = others.rev().map(|scenario| Look { scenario, service: None }).chain(again);
    let mut survey = Survey { passed: BTreeMap::new(), took: BTreeMap::new() };
    for (look, seen) in lane::spread(looks.collect(), async |look, lane| look.run(lane).await) {
        let (passed, took) = seen.ok()?;
        survey.took.insert(look.scenario, took.in_all);
        survey.passed.extend(passed.into_iter().map(|(service, it)| ((look.scenario, service), it)));
    }
    Some(survey)
}

impl Look {
    async fn run(&self, lane: &mut Lane) -> Result<(BTreeMap<Service, Passed>, Took), String> {
        let log_of =
            |lane: &Lane, service: Service| lane.path(&format!("{service}-{}.passed", self.scenario));
        if let Some(service) = self.service {
            let log = log_of(lane, service);
            let second = vec![("CRASH_LOG", log.display().to_string())];
            let lives = vec![dies_at(first_death(service)), second];
            let took = story::play(lane, self.scenario, Some(Lives { service, lives })).await?;
            let passed = Passed { at_start: BTreeSet::new(), counts: counts(&log) };
            return Ok((BTreeMap::from([(service, passed)]), took));
        }
        lane.follow(self.scenario.policy()).await?;
        let mut passed = BTreeMap::new();
        for service in Service::ALL {
            lane.start(service, &[("CRASH_LOG", log_of(lane, service).display().to_string())]);
        }
        for service in Service::ALL {
            lane.ready(service).await?;
        }
        // A router is ready before it has its shards; it has them once it has answered this.
        for service in Service::ALL {
            let at_start = counts(&log_of(lane, service)).into_keys().collect();
            passed.insert(service, Passed { at_start, counts: BTreeMap::new() });
        }
        let took = story::play(lane, self.scenario, None).await?;
        for (service, passed) in &mut passed {
            passed.counts = counts(&log_of(lane, *service));
        }
        Ok((passed, took))
    }
}

fn counts(log: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in fs::read_to_string(log).unwrap_or_default().lines() {
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    counts
}

impl Survey {
    /// Each point that a service reaches, in the first scenario in which it does. What it passes at its start is passed
    /// with work left from a life before. A change and its undo may pass the same point: then both are cases.
    pub fn cases(&self, points: &Points, only: Option<&str>) -> Vec<Case> {
        let mut cases = Vec::new();
        for (point, service) in points.keys().flat_map(|point| Service::ALL.map(|service| (point, service))) {
            let count = |scenario| {
                let passed = self.passed.get(&(scenario, service))?;
                let is_at_start = scenario != Scenario::Again && passed.at_start.contains(point);
                passed.counts.get(point).copied().filter(|_| !is_at_start)
            };
            let mut seen = Scenario::ALL.into_iter().filter(|scenario| count(*scenario).is_some());
            let first = seen.next();
            let others: Vec<Scenario> = seen.collect();
            let case =
                |scenario, ordinal, others| Case { service, point: point.clone(), ordinal, scenario, others };
            cases.extend(first.map(|scenario| case(scenario, 1, others)));
            if let (Some(forward), Some(undo)) = (count(Scenario::Forward), count(Scenario::Undo))
                && undo > forward
                && service != Service::Router
            {
                cases.push(case(Scenario::Undo, undo, Vec::new()));
            }
        }
        cases.retain(|case| only.is_none_or(|only| case.to_string().contains(only)));
        // The slow ones first; and a router changes its policy seldom.
        cases.sort_by_key(|case| std::cmp::Reverse(case.scenario));
        cases
    }
}
