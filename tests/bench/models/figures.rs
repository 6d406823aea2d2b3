//! What asking costs beside the model itself: a server that answers at once, so that all of the time is ours.

use std::{sync::Arc, time::Instant};

use instance_clock::SystemClock;
use instance_contract::GenerationRequest;
use instance_improvise::{Source, improvise, within};
use instance_invent::{Templates, invent};
use instance_llm::{
    Account, Case, Excerpt, Model, Offer, Parts, Range, Settings, Verdict, settings::Provider,
};
use instance_testkit::{ModelAnswer, ModelServer};
use serde_json::json;

use crate::{
    cases,
    goals::goal,
    scene::{Scene, read},
};

const QUESTIONS: usize = 200;
/// What a choice may take beside the model, and the same one from memory, in milliseconds.
const CHOICE_MS: f64 = 5_000.0;
const MEMORY_MS: f64 = 100.0;
/// Of one invented message: tokens, and micro-dollars.
const ENTRY_TOKENS: u64 = 500;
const ENTRY_MICRO_USD: u64 = 10_000;

/// Are all goals met?
pub async fn print() -> bool {
    let server = ModelServer::start();
    server.answer_with(|call| {
        let answer = match call.body["response_format"]["json_schema"]["name"].as_str()? {
            "choice" => {
                // The benchmark's own offer has a range, those of the analyst have none.
                let numbers: &[i64] = if call.said().contains("320 to 512") { &[512] } else { &[] };
                json!({"option": 0, "numbers": numbers, "confidence": 0.9})
            }
            "entry" => json!({"text": "Journal switch took 12 seconds, and users of the journal waited"}),
            _ => json!({"severity": 2, "title": "journal full"}),
        };
        // Tokens as the usual tokenisers count them, about four characters each.
        let asked = u64::try_from(call.body.to_string().len() / 4).unwrap();
        let said = u64::try_from(answer.to_string().len() / 4).unwrap();
        Some(ModelAnswer::json(&answer).costing(asked, said))
    });
    let folder = tempfile::tempdir().unwrap();
    let mut provider = Provider::new("main", &server.url(), "m-1");
    provider.calls_per_minute = 100_000;
    // Prices of a small model, as many providers have them.
    (provider.input_usd_per_million, provider.output_usd_per_million) = (0.15, 0.6);
    let mut settings =
        Settings { providers: vec![provider], folder: folder.path().into(), ..Settings::default() };
    (settings.budget.remediation_tokens, settings.budget.session_tokens) = (10_000_000, 10_000_000);
    settings.budget.day_tokens = 100_000_000;
    let parts = || Parts::new(Arc::new(SystemClock));
    let model = Model::new(settings.clone(), parts()).unwrap();
    let chosen = choices(&server, &model).await;
    let written = entries(&server, &Model::new(within(settings.clone()), parts()).unwrap()).await;
    let outcomes = cases::all(&settings).await;
    for case in &outcomes {
        println!(
            "{:32} {:7.1} ms  {}",
            case.name,
            case.took.as_secs_f64() * 1e3,
            case.outcome.as_ref().unwrap()
        );
    }
    println!("rules alone answer in {:.3} ms", rules().await);
    chosen && written
}

async fn choices(server: &ModelServer, model: &Model) -> bool {
    let range = Range { name: "megabytes".to_owned(), least: 320, most: 512 };
    let offers =
        [Offer { action: (), label: "Double the 8 KB pool, then restart".to_owned(), ranges: vec![range] }];
    let account = Account { session: "bench".to_owned(), remediation: Some("r".to_owned()) };
    let asking = instance_llm::Asking { account: &account, least_confidence: 0.5 };
    let (mut first, mut again, mut tokens, mut cost) = (Vec::new(), Vec::new(), 0, 0);
    let mut calls = Vec::new();
    for times in [&mut first, &mut again] {
        let before = server.calls();
        for number in 0..QUESTIONS {
            let facts = vec![("setting", Excerpt::of(&format!("case {number}: globals = 0,0,256,0,0,0")))];
            let case = Case { facts, entries: Vec::new() };
            let began = Instant::now();
            let verdict = instance_llm::choose(model, &offers, &case, &asking).await.unwrap();
            times.push(began.elapsed().as_secs_f64() * 1e3);
            if let Verdict::Take { told, .. } = verdict {
                (tokens, cost) = (tokens.max(told.usage.total()), cost.max(told.micro_usd));
            }
        }
        calls.push(server.calls() - before);
    }
    let [first, again] = [first, again].map(|mut times| {
        let [middle, most] = [50, 95].map(|percent| percentile(&mut times, percent));
        (format!("p50 {middle:.2} ms, p95 {most:.2} ms"), most)
    });
    println!("a choice: at most {tokens} tokens, {cost} micro-dollars");
    let met = [
        goal("a choice, beside the model", &first.0, "p95 under 5 s", first.1 < CHOICE_MS),
        goal("the same choice from memory", &again.0, "p95 under 100 ms", again.1 < MEMORY_MS),
        goal(
            &format!("the same run of {QUESTIONS} questions twice"),
            &format!("{} calls at the server, then {}", calls[0], calls[1]),
            "at most a fifth of the calls",
            calls[0] == QUESTIONS && calls[1] * 5 <= calls[0],
        ),
    ];
    met.iter().all(|met| *met)
}

async fn entries(server: &ModelServer, model: &Model) -> bool {
    let templates = Templates::builtin().unwrap();
    let kind = "journal".parse().unwrap();
    let request =
        GenerationRequest { count: 100, error_category: Some(kind), ..GenerationRequest::default() };
    let start = jiff::civil::date(2026, 9, 1).at(0, 0, 0, 0);
    let before = server.calls();
    let (mut tokens, mut cost, mut by_model) = (0, 0, 0);
    let began = Instant::now();
    for run in 0..5 {
        let drawn = invent(&request, &templates, 7, start).unwrap();
        for one in improvise(model, drawn, &templates, 7, &format!("bench {run}")).await {
            if let Source::Model { usage, micro_usd, .. } = one.source {
                by_model += usize::from(run == 0);
                (tokens, cost) = (tokens.max(usage.total()), cost.max(micro_usd));
            }
        }
    }
    let calls = server.calls() - before;
    println!(
        "entries: {by_model} of 100 by the model; the same 100 five times: {calls} calls, {:.1} s",
        began.elapsed().as_secs_f64()
    );
    goal(
        "one invented message",
        &format!("at most {tokens} tokens, {cost} micro-dollars"),
        "under 500 tokens, 0.01 USD",
        by_model == 100 && tokens < ENTRY_TOKENS && cost < ENTRY_MICRO_USD,
    )
}

async fn rules() -> f64 {
    let scene = Scene::new();
    let entries = read(
        b"11/21/26-09:59:00:000 (1) 3 [Utility.Event] Insufficient global buffers - WRTDMN in panic mode\n",
    );
    let began = Instant::now();
    for _ in 0..QUESTIONS {
        scene.analyse(&entries, None).await;
    }
    began.elapsed().as_secs_f64() * 1e3 / f64::from(u32::try_from(QUESTIONS).unwrap())
}

/// Nearest rank.
fn percentile(times: &mut [f64], percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times[(times.len() * percent).div_ceil(100).max(1) - 1]
}
