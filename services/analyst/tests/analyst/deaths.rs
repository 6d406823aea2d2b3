//! The analyst dies at each of its named points, once; its successor goes on, and the story is always the same: one
//! incident, one finding, one command, one outcome.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use crate::desk::{Analyst, DIED, Desk, PATIENCE};
use instance_contract::subject::IncidentRecord;
use instance_testkit::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn wherever_it_dies_there_is_one_finding_and_one_command() {
    let points = points();
    assert!(points.len() >= 10, "{points:?}");
    futures::future::join_all(points.iter().map(|point| one_death(point))).await;
}

async fn one_death(point: &str) {
    let desk = Desk::new().await;
    let mut first = desk.analyst(&[("CRASH_AT", &format!("{point}:1"))]);
    desk.says(1, DIED, 3).await;
    eventually(PATIENCE, || {
        let died = first.has_died();
        async move { died.then_some(()) }
    })
    .await;
    let _second = desk.analyst(&[]);
    let closed = |kind: &IncidentRecord| matches!(kind, IncidentRecord::Closed);
    let records = desk.until(point, |records| records.iter().any(|(kind, _)| closed(kind))).await;
    let kinds: Vec<String> = records.iter().map(|(kind, _)| kind.to_string()).collect();
    let commands = desk.real_commands();
    assert_eq!(commands.len(), 1, "{point}: {commands:?}");
    let (id, bytes) = commands.iter().next().unwrap();
    assert_eq!(
        kinds,
        ["opened".to_owned(), "finding.1".to_owned(), format!("outcome.{id}"), "closed".to_owned()],
        "{point}"
    );
    assert!(bytes.iter().all(|other| other == &bytes[0]), "{point}: one id, one command");
    assert_eq!(records[1].1["decision"]["command_id"], *id, "{point}");
    // The entry that comes again says nothing new.
    desk.says(1, DIED, 3).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(desk.records().await.len(), 4, "{point}");
}

/// The points that the sources name.
fn points() -> BTreeSet<String> {
    let mut points = BTreeSet::new();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let names = text.split("crash_point(\"").skip(1).filter_map(|rest| rest.split_once('"'));
        points.extend(names.map(|(name, _)| name.to_owned()));
    }
    points
}

impl Analyst {
    /// Has it ended? Nobody asked it to.
    fn has_died(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}
