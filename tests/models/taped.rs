//! What analyst and generator ask is recorded, and answered from the recording when nobody is there.

use std::{path::Path, sync::Arc};

use instance_clock::SystemClock;
use instance_contract::GenerationRequest;
use instance_improvise::{Source, improvise};
use instance_invent::{Templates, invent};
use instance_llm::{Model, Parts, Settings, settings::Provider};
use instance_testkit::{ModelAnswer, ModelServer};
use serde_json::json;

use crate::scene::{COMPANY, Scene, read};

/// With this folder as its tape; `recording`, or replaying.
fn model(url: &str, folder: &Path, recording: bool) -> Model {
    let tape = folder.join("tape");
    let mut settings = Settings {
        providers: vec![Provider::new("main", url, "m-1")],
        folder: folder.join(if recording { "first" } else { "second" }),
        show_entries: true,
        ..Settings::default()
    };
    settings.providers[0].calls_per_minute = 10_000;
    (settings.record, settings.replay) = if recording { (Some(tape), None) } else { (None, Some(tape)) };
    Model::new(settings, Parts::new(Arc::new(SystemClock))).unwrap()
}

#[tokio::test]
async fn what_the_analyst_asks_is_recorded_and_replayed_with_nobody_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = ModelServer::start();
    server.answer_with(|_| Some(ModelAnswer::json(&json!({"option": 0, "numbers": [], "confidence": 0.9}))));
    let said = COMPANY.replace("license daemon", "license daemon of PROD on db1, /usr/irissys/mgr/iris.key");
    let (url, entries) = (server.url(), read(said.as_bytes()));
    let recording = model(&url, folder.path(), true);
    let first = Scene::new().analyse(&entries, Some((&recording, "s-1"))).await;
    assert_eq!((first.commands.len(), server.calls()), (1, 1), "{}", first.told());
    let asked = server.seen()[0].said();
    assert!(asked.contains("license daemon of <instance> on <host>, <path"), "{asked}");
    assert!(!["PROD", "db1", "irissys"].iter().any(|name| asked.contains(name)), "{asked}");
    assert!(asked.contains("tried before on this instance") && asked.contains("entries so far"), "{asked}");
    drop(server);
    let replaying = model(&url, folder.path(), false);
    let second = Scene::new().analyse(&entries, Some((&replaying, "s-2"))).await;
    assert_eq!(second.commands, first.commands);
    // What was not recorded is answered by nobody, and a person is called.
    let other = read(COMPANY.replace("unit table", "unit ledger").replace("license", "licence").as_bytes());
    let unknown = Scene::new().with(Some("0,0,512,0,0,0"), None);
    assert!(unknown.analyse(&other, Some((&replaying, "s-3"))).await.commands.is_empty());
}

#[tokio::test]
async fn what_the_generator_asks_is_recorded_and_replayed_with_nobody_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = ModelServer::start();
    let text = "Journal switch took 12 seconds, and users of the journal waited";
    server.answer_with(move |_| Some(ModelAnswer::json(&json!({ "text": text }))));
    let (url, templates) = (server.url(), Templates::builtin().unwrap());
    let request = GenerationRequest {
        count: 3,
        error_category: Some("journal".parse().unwrap()),
        ..GenerationRequest::default()
    };
    let mut runs = Vec::new();
    for recording in [true, false] {
        let drawn = invent(&request, &templates, 7, jiff::civil::date(2026, 9, 1).at(0, 0, 0, 0)).unwrap();
        let model = model(&url, folder.path(), recording);
        let written = improvise(&model, drawn, &templates, 7, "a run").await;
        let by_model = |one: &instance_improvise::Improvised| matches!(one.source, Source::Model { .. });
        assert!(written.iter().any(by_model), "recording: {recording}");
        runs.push(written.into_iter().map(|one| one.entry.raw).collect::<Vec<_>>());
        assert!(server.calls() > 0);
    }
    let (recorded, replayed) = (&runs[0], &runs[1]);
    assert_eq!(recorded, replayed);
}
