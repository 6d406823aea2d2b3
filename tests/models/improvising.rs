//! Entries in a model's words: as asked for, within their budget, and by templates whenever the model fails.

use instance_contract::{ErrorType, GenerationRequest, Severity};
use instance_improvise::{Improvised, Source, TOKENS, improvise, within};
use instance_invent::{Invented, Meaning, Templates, invent};
use instance_llm::Usage;
use instance_testkit::{ModelAnswer, ModelServer};
use serde_json::json;

use crate::desk::Desk;

/// What a model writes that does as it is told.
const TEXT: &str = "Journal switch to /iris/journal2/ took 12 seconds, and users waited for it";

fn entries(count: u32) -> Vec<Invented> {
    let request = GenerationRequest {
        error_category: Some(ErrorType::Journal),
        count,
        severity_range: (Severity::Severe, Severity::Fatal),
        ..GenerationRequest::default()
    };
    let start = jiff::civil::date(2026, 9, 1).at(0, 0, 0, 0);
    invent(&request, &Templates::builtin().unwrap(), 7, start).unwrap()
}

fn written() -> ModelAnswer {
    ModelAnswer::json(&json!({ "text": TEXT })).costing(180, 30)
}

fn desk(server: &ModelServer) -> Desk {
    let mut desk = Desk::new(server);
    desk.settings = within(desk.settings);
    desk
}

async fn run(desk: &Desk, count: u32) -> Vec<Improvised> {
    let templates = Templates::builtin().unwrap();
    improvise(&desk.model(), entries(count), &templates, 7, "test").await
}

#[tokio::test]
async fn an_entry_has_the_words_of_the_model_behind_the_header_that_was_drawn() {
    let server = ModelServer::start();
    server.expect(written());
    let mut desk = desk(&server);
    let provider = desk.provider();
    (provider.input_usd_per_million, provider.output_usd_per_million) = (0.15, 0.6);
    let improvised = run(&desk, 1).await.remove(0);
    let drawn = entries(1).remove(0);
    assert_eq!(improvised.entry.text, TEXT);
    let header = &drawn.raw[..drawn.raw.len() - drawn.text.len() - 1];
    assert_eq!(improvised.entry.raw, format!("{header}{TEXT}\n"));
    let Source::Model { usage, micro_usd, .. } = improvised.source else { panic!() };
    assert!(usage.total() <= TOKENS && micro_usd <= 10_000, "{usage:?} {micro_usd}");

    let asked = &server.seen()[0];
    assert_eq!(asked.body["temperature"], json!(0.7));
    let examples: Vec<_> =
        entries(24).into_iter().filter(|other| asked.said().contains(&other.text)).collect();
    let shown = asked.said().lines().filter(|line| line.starts_with('"')).count();
    assert!((2..=3).contains(&shown), "{}", asked.said());
    for example in examples {
        assert_eq!(Meaning::of(&example.text, example.severity, None).error_type, ErrorType::Journal);
    }
}

#[tokio::test]
async fn whatever_the_model_does_there_is_an_entry_of_that_kind() {
    let license = json!({"text": "License limit exceeded 3 times since instance start."});
    let record = json!({"text": "journal\n11/21/26-10:00:00:000 (1) 3 and another"});
    let endings = [
        ("429 for an hour", vec![ModelAnswer::too_many(3_600)]),
        ("500", vec![ModelAnswer::status(500); 3]),
        ("hang", vec![ModelAnswer::hang(); 3]),
        ("cut off", vec![ModelAnswer::cut(TEXT); 3]),
        ("nonsense", vec![ModelAnswer::text("Sure! Here it is: journal."); 3]),
        ("half JSON", vec![ModelAnswer::text("{\"text\": \"Journal sw"); 3]),
        ("another kind", vec![ModelAnswer::json(&license); 3]),
        ("two entries", vec![ModelAnswer::json(&record); 3]),
        ("refusal", vec![ModelAnswer::refusal("no")]),
        ("no completion", vec![ModelAnswer::raw("<html>"); 3]),
    ];
    for (ending, answers) in endings {
        for stream in [false, true] {
            if stream && ending == "refusal" {
                // The test server refuses whole.
                continue;
            }
            let server = ModelServer::start();
            let mut desk = desk(&server);
            desk.provider().stream = stream;
            desk.provider().timeout_ms = if ending == "hang" { 100 } else { 60_000 };
            let expected = answers.len();
            for answer in answers.clone() {
                server.expect(answer);
            }
            let improvised = run(&desk, 1).await.remove(0);
            assert_eq!(improvised.entry, entries(1)[0], "{ending}");
            assert!(matches!(improvised.source, Source::Template { .. }), "{ending}");
            assert_eq!(
                server.calls(),
                expected,
                "{ending}: three tries, fewer where trying again is of no use"
            );
        }
    }
}

/// Each try has its 500 tokens, so that one answer of the wrong form is no end.
#[tokio::test]
async fn an_answer_of_the_wrong_form_leaves_room_for_another_try() {
    let server = ModelServer::start();
    let wrong = || ModelAnswer::text("nonsense").costing(350, 110);
    server.expect(wrong()).expect(wrong()).expect(written());
    let improvised = run(&desk(&server), 1).await.remove(0);
    assert_eq!((improvised.entry.text.as_str(), server.calls()), (TEXT, 3), "{:?}", improvised.source);
}

#[tokio::test]
async fn what_fails_once_is_tried_again() {
    let server = ModelServer::start();
    server
        .expect(ModelAnswer::status(500))
        .expect(ModelAnswer::text("nonsense").costing(100, 10))
        .expect(written());
    assert_eq!(run(&desk(&server), 1).await[0].entry.text, TEXT);
}

#[tokio::test]
async fn an_entry_that_would_be_too_dear_is_a_template() {
    let server = ModelServer::start();
    let mut expensive = desk(&server);
    // More than a cent for the shortest question.
    expensive.provider().input_usd_per_million = 1_000.0;
    let improvised = run(&expensive, 1).await;
    assert!(
        matches!(&improvised[0].source, Source::Template { why } if why.contains("budget")),
        "{improvised:?}"
    );
    assert_eq!(server.calls(), 0);

    // A try that may need more than 500 tokens is not made.
    let mut long = desk(&server);
    long.settings.budget.call_tokens = Some(TOKENS / 5);
    let improvised = run(&long, 1).await;
    assert!(
        matches!(&improvised[0].source, Source::Template { why } if why.contains("tokens of this call")),
        "{improvised:?}"
    );
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn entries_are_asked_for_side_by_side_and_the_same_run_again_calls_nobody() {
    let server = ModelServer::start();
    // Nobody is answered before eight have asked.
    server.answer_with(|_| Some(written().once_called(8)));
    let mut desk = desk(&server);
    desk.settings.cache.files = true;
    let first = run(&desk, 10).await;
    assert_eq!(server.calls(), 10);
    let again = run(&desk, 10).await;
    assert_eq!(server.calls(), 10, "counted at the endpoint");
    let texts = |run: &[Improvised]| run.iter().map(|one| one.entry.raw.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&first), texts(&again));
    let free =
        |one: &Improvised| matches!(one.source, Source::Model { usage: Usage { input_tokens: 0, .. }, .. });
    assert!(again.iter().all(free));
}
