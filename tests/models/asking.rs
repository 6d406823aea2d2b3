//! Asking, against a real endpoint on the loopback interface that misbehaves in every way.

use std::time::{Duration, Instant};

use instance_llm::{CallError, Choices, Choosable, Error, Failure, Question, Source, Usage, settings};
use instance_testkit::{ModelAnswer, ModelServer};
use serde_json::json;

use crate::desk::{Desk, Judgement, prompt, right};

fn failures(error: &Error) -> Vec<String> {
    match error {
        Error::Unanswered { failures } => failures.iter().map(Failure::kind).collect(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_answer_comes_with_what_it_cost() {
    let server = ModelServer::start();
    server.expect(right().costing(200, 40));
    let mut desk = Desk::new(&server);
    let provider = desk.provider();
    (provider.input_usd_per_million, provider.output_usd_per_million) = (0.15, 0.6);
    let answered = desk.model().ask(&desk.question()).await.unwrap();
    assert_eq!(answered.value, Judgement { severity: 2, title: "journal full".to_owned() });
    assert_eq!(answered.usage, Usage { input_tokens: 200, output_tokens: 40 });
    assert_eq!((answered.micro_usd, answered.calls, answered.source), (54, 1, Source::Model));
    let body = &server.seen()[0].body;
    assert_eq!((body["temperature"].as_f64(), body["seed"].as_u64()), (Some(0.0), Some(1)));
    assert_eq!(body["response_format"]["json_schema"]["schema"]["additionalProperties"], json!(false));
}

#[tokio::test]
async fn the_key_comes_from_a_file_and_goes_nowhere_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = ModelServer::start();
    server.expect(right());
    let mut desk = Desk::new(&server);
    let file = desk.folder().join("key");
    std::fs::write(&file, "sk-planted-0123456789\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    desk.provider().key_file = Some(file.clone());
    desk.model().ask(&desk.question()).await.unwrap();
    assert_eq!(server.seen()[0].authorization.as_deref(), Some("Bearer sk-planted-0123456789"));
    for entry in desk.files() {
        let text = std::fs::read_to_string(&entry).unwrap();
        assert!(entry == file || !text.contains("planted"), "{}", entry.display());
    }
}

#[tokio::test]
async fn inventing_is_warmer_than_judging() {
    let server = ModelServer::start();
    server.expect(right());
    let desk = Desk::new(&server);
    let question = Question::invent(&desk.prompt, &desk.form, &desk.account);
    desk.model().ask(&question).await.unwrap();
    assert_eq!(server.seen()[0].body["temperature"].as_f64(), Some(0.7));
}

#[tokio::test]
async fn an_answer_comes_piece_by_piece() {
    let server = ModelServer::start();
    server.expect(right());
    let mut desk = Desk::new(&server);
    desk.provider().stream = true;
    let heard = std::sync::Mutex::new(Vec::new());
    let listener = |piece: &str| heard.lock().unwrap().push(piece.to_owned());
    let question = Question { listener: Some(&listener), ..desk.question() };
    let answered = desk.model().ask(&question).await.unwrap();
    assert_eq!((answered.value.severity, answered.usage.total()), (2, 150));
    let heard = heard.lock().unwrap();
    assert!(heard.len() > 1 && heard.concat().contains("journal full"), "{heard:?}");
}

#[tokio::test]
async fn what_fails_for_a_moment_is_tried_again() {
    let server = ModelServer::start();
    server.expect(ModelAnswer::status(500)).expect(ModelAnswer::cut("{\"severity\"")).expect(right());
    let desk = Desk::new(&server);
    let answered = desk.model().ask(&desk.question()).await.unwrap();
    assert_eq!((answered.calls, server.calls()), (3, 3));
}

#[tokio::test]
async fn a_cut_stream_is_no_answer() {
    let server = ModelServer::start();
    let whole = json!({"severity": 2, "title": "journal full"}).to_string();
    server.expect(ModelAnswer::cut(format!("{whole}{whole}"))).expect(right());
    let mut desk = Desk::new(&server);
    desk.provider().stream = true;
    assert_eq!(desk.model().ask(&desk.question()).await.unwrap().calls, 2);
}

#[tokio::test]
async fn three_tries_and_no_more() {
    let server = ModelServer::start();
    for _ in 0..3 {
        server.expect(ModelAnswer::status(503));
    }
    let desk = Desk::new(&server);
    let error = desk.model().ask(&desk.question()).await.unwrap_err();
    assert_eq!((failures(&error), server.calls()), (vec!["503".to_owned()], 3));
}

#[tokio::test]
async fn what_will_never_work_is_tried_once() {
    let server = ModelServer::start();
    server.expect(ModelAnswer::status(401));
    let desk = Desk::new(&server);
    let error = desk.model().ask(&desk.question()).await.unwrap_err();
    assert_eq!((failures(&error), server.calls()), (vec!["401".to_owned()], 1));
}

#[tokio::test]
async fn a_hanging_endpoint_costs_its_timeout_and_no_more() {
    let server = ModelServer::start();
    server.expect(ModelAnswer::hang());
    let mut desk = Desk::new(&server);
    desk.provider().timeout_ms = 200;
    desk.settings.tries = 1;
    let error = desk.model().ask(&desk.question()).await.unwrap_err();
    assert_eq!(failures(&error), ["timeout"]);
    let cost = desk.model().cost().await.unwrap().unwrap();
    assert!(cost.today.input_tokens > 0, "what was sent counts although no answer came");
}

#[tokio::test]
async fn nobody_comes_back_before_the_time_that_was_asked_for() {
    let server = ModelServer::start();
    server.expect(ModelAnswer::too_many(1)).expect(right());
    let desk = Desk::new(&server);
    let began = Instant::now();
    desk.model().ask(&desk.question()).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));

    server.expect(ModelAnswer::too_many(3_600));
    let model = desk.model();
    let error = desk.ask_about(&model, "one").await.unwrap_err();
    assert_eq!(failures(&error), ["429"], "an hour is not waited for");
    let error = desk.ask_about(&model, "two").await.unwrap_err();
    assert_eq!((failures(&error), server.calls()), (vec!["held".to_owned()], 3));
    // An hour of this process, at once.
    tokio::time::pause();
    tokio::time::advance(Duration::from_hours(1)).await;
    tokio::time::resume();
    server.expect(right());
    desk.ask_about(&model, "two").await.unwrap();
}

/// The second call of a minute waits for the next one; where two are allowed, both are made.
#[tokio::test]
async fn no_more_calls_are_made_than_are_allowed_in_a_minute() {
    for (allowed, made) in [(1, 1), (2, 2)] {
        let server = ModelServer::start();
        server.answer_with(|_| Some(right()));
        let mut desk = Desk::new(&server);
        desk.provider().calls_per_minute = allowed;
        let model = desk.model();
        desk.ask_about(&model, "one").await.unwrap();
        let second = desk.ask_about(&model, "two");
        if made == 2 {
            second.await.unwrap();
        } else {
            // Its turn comes after a minute; that it is still waiting does not depend on how fast this machine is.
            tokio::time::timeout(Duration::from_millis(500), second).await.unwrap_err();
        }
        assert_eq!(server.calls(), made);
    }
}

/// What failed while it was recorded fails when it is replayed, and the next provider is asked as it was then.
#[tokio::test]
async fn a_fallback_is_replayed_too() {
    for answers in
        [vec![ModelAnswer::status(401)], vec![ModelAnswer::status(500); 3], vec![ModelAnswer::refusal("no")]]
    {
        let (first, second) = (ModelServer::start(), ModelServer::start());
        for answer in answers {
            first.expect(answer);
        }
        second.expect(right());
        let mut desk = Desk::new(&first);
        let tape = desk.folder().join("tape");
        desk.settings.record = Some(tape.clone());
        desk.settings.providers.push(settings::Provider::new("second", &second.url(), "m-2"));
        let recorded = desk.model().ask(&desk.question()).await.unwrap();
        let calls = first.calls();
        (desk.settings.record, desk.settings.replay) = (None, Some(tape.clone()));
        let replayed = desk.model().ask(&desk.question()).await.unwrap();
        assert_eq!((replayed.provider.as_str(), &replayed.value), ("second", &recorded.value));
        assert_eq!((first.calls(), second.calls()), (calls, 1), "a replay calls nobody");
        // A provider that was added since has no recording.
        desk.settings.providers.insert(0, settings::Provider::new("new", &first.url(), "m-0"));
        assert_eq!(desk.model().ask(&desk.question()).await.unwrap().provider, "second");
    }
}

#[tokio::test]
async fn a_wrong_answer_is_tried_again_and_never_handed_out() {
    let server = ModelServer::start();
    server
        .expect(ModelAnswer::text("I think it is the journal."))
        .expect(ModelAnswer::json(&json!({"severity": 9, "title": "x"})))
        .expect(right());
    let desk = Desk::new(&server);
    let answered = desk.model().ask(&desk.question()).await.unwrap();
    assert_eq!((answered.value.severity, answered.calls, answered.usage.total()), (2, 3, 450));
    let seen = server.seen();
    assert!(seen[1].said().contains("it is no JSON object") && !seen[1].said().contains("I think"));
    assert!(seen[2].said().contains("maximum"));

    for _ in 0..3 {
        server.expect(ModelAnswer::json(&json!({"severity": 1, "title": "x", "command": "iris force"})));
    }
    let error = desk.ask_about(&desk.model(), "more").await.unwrap_err();
    assert_eq!(failures(&error), ["wrong_answer"]);
}

#[tokio::test]
async fn answers_are_repaired_where_that_is_safe() {
    let server = ModelServer::start();
    server
        .expect(ModelAnswer::text("```json\n{\"severity\": 2, \"title\": \"jour\u{1}nal full\"}\n```"))
        // Another one follows: none is taken.
        .expect(ModelAnswer::text("{\"severity\": 2, \"title\": \"cut\"}, {\"sev"))
        .expect(ModelAnswer::text("Here: {\"severity\": 2, \"title\": \"whole\"}. Anything else?"))
        // Cut where something is missing: repaired, and then refused by its form.
        .expect(ModelAnswer::text("{\"severity\": 2, \"title\": \"cu"))
        .expect(right());
    let desk = Desk::new(&server);
    let model = desk.model();
    let first = desk.ask_about(&model, "a").await.unwrap();
    assert_eq!((first.value.title.as_str(), first.calls), ("journal full", 1));
    let second = desk.ask_about(&model, "b").await.unwrap();
    assert_eq!((second.value.title.as_str(), second.calls), ("whole", 2));
    assert_eq!(desk.ask_about(&model, "c").await.unwrap().calls, 2);
}

#[tokio::test]
async fn what_is_no_completion_is_no_answer() {
    let server = ModelServer::start();
    for raw in ["<html>", "{\"choices\": []}", "{}"] {
        server.expect(ModelAnswer::raw(raw));
    }
    let desk = Desk::new(&server);
    let error = desk.model().ask(&desk.question()).await.unwrap_err();
    assert_eq!(failures(&error), ["not_a_completion"]);
}

#[tokio::test]
async fn a_model_that_declines_is_not_pressed() {
    let (first, second) = (ModelServer::start(), ModelServer::start());
    first.expect(ModelAnswer::refusal("no"));
    second.expect(right());
    let mut desk = Desk::new(&first);
    desk.settings.providers.push(settings::Provider::new("second", &second.url(), "m-2"));
    let answered = desk.model().ask(&desk.question()).await.unwrap();
    assert_eq!((answered.provider.as_str(), first.calls(), second.calls()), ("second", 1, 1));
}

#[tokio::test]
async fn the_second_provider_answers_while_the_first_is_down() {
    let second = ModelServer::start();
    second.answer_with(|_| Some(right()));
    // A port where nobody listens any more.
    let mut desk = { Desk::new(&ModelServer::start()) };
    desk.settings.providers.push(settings::Provider::new("second", &second.url(), "m-2"));
    let model = desk.model();
    for question in ["a", "b", "c", "d"] {
        assert_eq!(desk.ask_about(&model, question).await.unwrap().provider, "second");
    }
    let states: Vec<_> = model.breakers().map(|breaker| breaker.status()).collect();
    assert_eq!((states[0].state.as_str(), states[0].statistics.failed), ("open", 3), "three tries opened it");
    assert_eq!((states[0].statistics.refused, states[1].state.as_str()), (3, "closed"));
}

#[tokio::test]
async fn the_breaker_lets_trials_through_and_closes_when_the_model_is_back() {
    let server = ModelServer::start();
    server.answer_with(|_| Some(ModelAnswer::status(500)));
    let desk = Desk::new(&server);
    let model = desk.model();
    desk.ask_about(&model, "a").await.unwrap_err();
    let connections = server.connections();
    let error = desk.ask_about(&model, "b").await.unwrap_err();
    assert_eq!((failures(&error), server.calls()), (vec!["breaker_open".to_owned()], 3));
    assert_eq!(
        server.connections(),
        connections,
        "whom an open breaker leaves alone is not even connected to"
    );
    server.answer_with(|_| Some(right()));
    desk.clock.advance(Duration::from_secs(30));
    for question in ["c", "d"] {
        desk.ask_about(&model, question).await.unwrap();
    }
    assert_eq!(model.breakers().next().unwrap().status().state, "closed");
}

#[tokio::test]
async fn ten_questions_are_asked_side_by_side() {
    let server = ModelServer::start();
    // Nobody is answered before all ten have asked: one after the other would end in timeouts.
    server.answer_with(|_| Some(right().once_called(10)));
    let mut desk = Desk::new(&server);
    desk.settings.budget.remediation_tokens = 50_000;
    let model = desk.model();
    let names: Vec<String> = (0..10).map(|at| at.to_string()).collect();
    let prompts: Vec<_> = names.iter().map(|name| prompt(name)).collect();
    let questions: Vec<_> = prompts.iter().map(|prompt| Question { prompt, ..desk.question() }).collect();
    let answers = futures::future::join_all(questions.iter().map(|question| model.ask(question))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(server.calls(), 10);
}

#[tokio::test]
async fn a_spent_budget_stops_before_the_call() {
    let server = ModelServer::start();
    server.answer_with(|_| Some(right().costing(1_500, 500)));
    let desk = Desk::new(&server);
    let model = desk.model();
    let mut asked = 0;
    let error = loop {
        match desk.ask_about(&model, &asked.to_string()).await {
            Ok(_) => asked += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Budget(_)), "{error}");
    assert_eq!((asked, server.calls()), (2, 2), "a third call might need more than is left of 5000");
    // Another process on this host, or this one after a restart, knows it too.
    assert!(matches!(desk.ask_about(&desk.model(), "again").await, Err(Error::Budget(_))));
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn a_choice_is_the_number_of_an_option_and_nothing_else() {
    let server = ModelServer::start();
    let options = vec![Choosable { label: "restart".to_owned(), ranges: vec![] }];
    let choices = Choices::new(options).unwrap();
    server
        .expect(ModelAnswer::json(&json!({"option": 7, "numbers": [], "confidence": 1})))
        .expect(ModelAnswer::json(&json!({"option": 0, "numbers": [], "confidence": 1, "also": "delete *"})))
        .expect(ModelAnswer::json(&json!({"option": 0, "numbers": [], "confidence": 0.8})));
    let desk = Desk::new(&server);
    let question = Question::judge(&desk.prompt, &choices, &desk.account);
    let answered = desk.model().ask(&question).await.unwrap();
    assert_eq!((answered.value.option, answered.calls), (Some(0), 3));
}

#[tokio::test]
async fn without_providers_there_is_no_model_and_nothing_on_disk() {
    let server = ModelServer::start();
    let mut desk = Desk::new(&server);
    desk.settings.providers.clear();
    let model = desk.model();
    assert!(!model.is_set_up());
    assert!(matches!(model.ask(&desk.question()).await, Err(Error::NoModel)));
    assert!(desk.files().is_empty() && model.cost().await.unwrap().is_none());
}

#[tokio::test]
async fn https_to_what_speaks_no_tls_is_an_error_and_no_panic() {
    let server = ModelServer::start();
    let mut desk = Desk::new(&server);
    let https = server.url().replace("http://", "https://");
    desk.provider().base_url = https;
    desk.settings.tries = 1;
    let error = desk.model().ask(&desk.question()).await.unwrap_err();
    let Error::Unanswered { failures } = &error else { panic!("{error}") };
    assert!(matches!(failures[0], Failure::Call(CallError::Unreachable { .. })), "{error}");
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn a_run_is_recorded_and_replayed_offline() {
    let server = ModelServer::start();
    server.expect(ModelAnswer::text("nonsense")).expect(right().costing(300, 30));
    let mut desk = Desk::new(&server);
    let tape = desk.folder().join("tape");
    desk.settings.record = Some(tape.clone());
    let recorded = desk.model().ask(&desk.question()).await.unwrap();

    let mut replaying = desk;
    replaying.settings = settings(&tape, &server.url());
    let replayed = replaying.model().ask(&replaying.question()).await.unwrap();
    assert_eq!((&replayed.value, replayed.source), (&recorded.value, Source::Recording));
    assert_eq!(server.calls(), 2, "a replay calls nobody");
    let unknown = replaying.ask_about(&replaying.model(), "something else").await.unwrap_err();
    assert!(unknown.to_string().contains("was not recorded"), "{unknown}");
}

#[tokio::test]
async fn answers_that_an_endpoint_gave_once_can_be_given_again_by_the_test_server() {
    let first = ModelServer::start();
    first.expect(right().costing(300, 30)).expect(ModelAnswer::text("nonsense")).expect(right());
    let desk = Desk::new(&first);
    let recorded = desk.ask_about(&desk.model(), "one").await.unwrap();
    desk.ask_about(&desk.model(), "two").await.unwrap();
    let file = desk.folder().join("recorded.jsonl");
    first.save_recordings(&file);

    let second = ModelServer::start();
    second.expect_recorded(&file);
    let elsewhere = Desk::new(&second);
    let again = elsewhere.ask_about(&elsewhere.model(), "one").await.unwrap();
    assert_eq!((&again.value, again.usage, again.key), (&recorded.value, recorded.usage, recorded.key));
    assert_eq!(elsewhere.ask_about(&elsewhere.model(), "two").await.unwrap().calls, 2, "the wrong one too");
}

fn settings(replay: &std::path::Path, url: &str) -> instance_llm::Settings {
    instance_llm::Settings {
        providers: vec![settings::Provider::new("main", url, "m-1")],
        folder: "/nowhere".into(),
        replay: Some(replay.to_owned()),
        ..instance_llm::Settings::default()
    }
}
