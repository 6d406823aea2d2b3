//! What is printed: one JSON line a configuration, then the table of ratios against the goals.

use serde_json::{Map, Value, json};

use crate::measure::Seen;

/// A goal of the issue: a ratio of ours to the bare chain's, or an absolute figure.
pub struct Row {
    pub figure: String,
    pub ours: f64,
    /// `None`: the goal is an absolute figure.
    pub limit: Option<f64>,
    pub goal: Goal,
}

#[derive(Debug, Clone, Copy)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_met(self, reached: f64) -> bool {
        match self {
            Self::AtMost(most) => reached <= most,
            Self::AtLeast(least) => reached >= least,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("at most {most}"),
            Self::AtLeast(least) => format!("at least {least}"),
        }
    }
}

impl Row {
    pub fn ratio(figure: String, ours: f64, limit: f64, goal: Goal) -> Self {
        Self { figure, ours, limit: Some(limit), goal }
    }

    pub fn absolute(figure: String, ours: f64, goal: Goal) -> Self {
        Self { figure, ours, limit: None, goal }
    }

    fn is_met(&self) -> bool {
        self.goal.is_met(self.limit.map_or(self.ours, |limit| self.ours / limit))
    }
}

/// One configuration, as one line.
pub fn line(name: &str, seen: &Seen, cold_start_ms: f64) -> Value {
    let [server, router, agent] = seen.cpu_us.map(|us| seen.each(us).round());
    let traffic: Map<String, Value> = ["router", "agent"]
        .into_iter()
        .zip(seen.traffic)
        .map(|(who, moved)| {
            let figures = json!({
                "sent": tenth(seen.each(moved.sent)),
                "received": tenth(seen.each(moved.received)),
            });
            (who.to_owned(), figures)
        })
        .collect();
    json!({
        "name": name,
        "p50_us": seen.percentile_us(0.5).round(),
        "p99_us": seen.percentile_us(0.99).round(),
        "per_s": tenth(seen.per_second()),
        "rss_kb": seen.rss_kb.iter().sum::<u64>(),
        "cold_start_ms": cold_start_ms.round(),
        "workflows": seen.finished.len(),
        "rss_kb_router_agent": seen.rss_kb,
        "cpu_us": seen.cpu_each().round(),
        "cpu_us_server_router_agent": [server, router, agent],
        "fdatasyncs": tenth(seen.each(seen.syncs)),
        "stream_messages": tenth(seen.each(seen.stored.0 + seen.stored.1)),
        "bus_messages": traffic,
    })
}

/// Where the time goes, as one line.
pub fn stages(name: &str, stages: &[(String, f64)]) -> Value {
    let gaps: Map<String, Value> =
        stages.iter().map(|(stage, us)| (stage.clone(), json!(us.round()))).collect();
    json!({ "name": name, "median_us_between_records": gaps })
}

/// The table, for people. True when every goal is met.
pub fn table(rows: &[Row]) -> bool {
    println!("\n{:<56} {:>9} {:>9} {:>7}  goal", "figure", "ours", "limit", "ratio");
    for row in rows {
        let verdict = if row.is_met() { "met" } else { "MISSED" };
        let (limit, ratio) = row.limit.map_or_else(
            || ("-".to_owned(), "-".to_owned()),
            |limit| (format!("{limit:.0}"), format!("{:.2}", row.ours / limit)),
        );
        let (figure, ours, goal) = (&row.figure, row.ours, row.goal.text());
        // Counts of a plan are small, and a hundredth of one tells.
        let places = if ours < 100.0 { 2 } else { 0 };
        println!("{figure:<56} {ours:>9.places$} {limit:>9} {ratio:>7}  {goal:<14} {verdict}");
    }
    rows.iter().all(Row::is_met)
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
