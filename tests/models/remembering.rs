//! The cache: used, bounded by time, and of no harm when it is full of garbage or gone.

use std::{fs, time::Duration};

use instance_llm::Source;
use instance_testkit::{ModelServer, RedisServer, eventually};

use crate::desk::{Desk, right};

/// Ten questions, one after the other; how many of them came from the cache.
async fn run(desk: &Desk, model: &instance_llm::Model) -> usize {
    let mut remembered = 0;
    for question in 0..10 {
        let answered = desk.ask_about(model, &format!("entry {question}")).await.unwrap();
        assert_eq!(answered.value.severity, 2);
        remembered += usize::from(answered.source == Source::Cache);
    }
    remembered
}

fn desk(server: &ModelServer) -> Desk {
    server.answer_with(|_| Some(right()));
    let mut desk = Desk::new(server);
    desk.settings.budget.remediation_tokens = 1_000_000;
    desk.settings.budget.session_tokens = 1_000_000;
    desk
}

fn answers(desk: &Desk) -> Vec<std::path::PathBuf> {
    desk.files().into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "json")).collect()
}

#[tokio::test]
async fn the_same_run_twice_makes_half_of_the_calls_and_five_times_a_fifth() {
    let server = ModelServer::start();
    let desk = desk(&server);
    let model = desk.model();
    for _ in 0..5 {
        run(&desk, &model).await;
    }
    assert_eq!(server.calls(), 10, "counted at the endpoint");
    let statistics = model.cache_statistics();
    assert_eq!((statistics.levels[0].hits, statistics.misses), (40, 10));
}

#[tokio::test]
async fn a_second_process_run_calls_nobody() {
    let server = ModelServer::start();
    let mut desk = desk(&server);
    desk.settings.cache.files = true;
    assert_eq!(run(&desk, &desk.model()).await, 0);
    assert_eq!(run(&desk, &desk.model()).await, 10);
    assert_eq!(server.calls(), 10);
    // Too old after an hour.
    desk.clock.advance(Duration::from_hours(1));
    assert_eq!(run(&desk, &desk.model()).await, 0);
}

#[tokio::test]
async fn a_cache_that_is_off_remembers_nothing() {
    let server = ModelServer::start();
    let mut desk = desk(&server);
    desk.settings.cache.enabled = false;
    let model = desk.model();
    assert_eq!(run(&desk, &model).await + run(&desk, &model).await, 0);
    assert_eq!(server.calls(), 20);
}

#[tokio::test]
async fn garbage_in_the_files_does_no_harm() {
    let server = ModelServer::start();
    let mut desk = desk(&server);
    desk.settings.cache.files = true;
    run(&desk, &desk.model()).await;
    let files = answers(&desk);
    assert_eq!(files.len(), 10);
    let other = fs::read(&files[9]).unwrap();
    for (at, file) in files.iter().enumerate() {
        let whole = fs::read(file).unwrap();
        let garbage = match at {
            0 => Vec::new(),
            1 => b"\xff\xfe garbage".to_vec(),
            2 => whole[..whole.len() / 2].to_vec(),
            // Another question's answer, whole and fresh.
            3 => other.clone(),
            4 => String::from_utf8(whole).unwrap().replace("journal full", "iris force it").into_bytes(),
            5 => "[".repeat(100_000).into_bytes(),
            _ => continue,
        };
        fs::write(file, garbage).unwrap();
    }
    let model = desk.model();
    assert_eq!(run(&desk, &model).await, 4);
    let files_level = &model.cache_statistics().levels[1];
    assert_eq!((files_level.hits, files_level.garbage, server.calls()), (4, 6, 16));
    assert_eq!(run(&desk, &desk.model()).await, 10, "and it is whole again");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_left_alone() {
    let server = ModelServer::start();
    let mut desk = desk(&server);
    desk.settings.cache.files = true;
    let model = desk.model();
    fs::write(desk.settings.folder.join("answers"), "in the way").unwrap();
    assert_eq!(run(&desk, &model).await + run(&desk, &model).await, 10, "memory goes on");
    assert_eq!(model.cache_statistics().levels[1].breaker, "open");
}

#[tokio::test]
async fn redis_is_shared_and_its_death_is_survived_up_and_down() {
    let Some(mut redis) = RedisServer::start_where_there_is_one() else { return };
    let server = ModelServer::start();
    let mut desk = desk(&server);
    desk.settings.cache.redis_url = Some(redis.url());
    assert_eq!(run(&desk, &desk.model()).await, 0);
    let model = desk.model();
    assert_eq!(run(&desk, &model).await, 10, "another process finds the answers in Redis");
    assert_eq!(server.calls(), 10);

    redis.kill9();
    let lonely = desk.model();
    assert_eq!(run(&desk, &lonely).await, 0, "without Redis every question is asked once");
    assert_eq!(run(&desk, &lonely).await, 10, "and then remembered in memory");
    assert_eq!(lonely.cache_statistics().levels[1].breaker, "open");
    assert_eq!(run(&desk, &model).await, 10, "who had it goes on with it");

    redis.restart();
    desk.clock.advance(Duration::from_secs(30));
    let calls = server.calls();
    for question in 0..3 {
        desk.ask_about(&lonely, &format!("new {question}")).await.unwrap();
    }
    assert_eq!(lonely.cache_statistics().levels[1].breaker, "closed", "it came back up");
    assert_eq!(desk.ask_about(&desk.model(), "new 2").await.unwrap().source, Source::Cache);
    assert_eq!(server.calls(), calls + 3);
}

#[tokio::test]
async fn garbage_in_redis_does_no_harm() {
    let Some(redis) = RedisServer::start_where_there_is_one() else { return };
    let server = ModelServer::start();
    let mut desk = desk(&server);
    desk.settings.cache.redis_url = Some(redis.url());
    let key = desk.ask_about(&desk.model(), "entry 0").await.unwrap().key;
    let name = format!("instance:model:answer:{key}");
    for garbage in [&["set", &name, "garbage"][..], &["set", &name, "{}"], &["lpush", &name, "wrong type"]] {
        redis.command(&["del", &name]);
        redis.command(garbage);
        let answered = desk.ask_about(&desk.model(), "entry 0").await.unwrap();
        assert_eq!((answered.source, answered.value.severity), (Source::Model, 2));
    }
}

/// Not before or after a call: the question stands in its socket, unread, when the power goes.
#[tokio::test(flavor = "multi_thread")]
async fn redis_that_dies_in_the_middle_of_a_call_costs_a_call_and_no_answer() {
    let Some(mut redis) = RedisServer::start_where_there_is_one() else { return };
    let server = ModelServer::start();
    let mut desk = desk(&server);
    desk.settings.cache.redis_url = Some(redis.url());
    desk.ask_about(&desk.model(), "entry 0").await.unwrap();
    let model = desk.model();
    // Connected, and heard from.
    assert_eq!(desk.ask_about(&model, "entry 0").await.unwrap().source, Source::Cache);

    redis.freeze();
    let asking = desk.ask_about(&model, "entry 1");
    let dying = async {
        let patience = Duration::from_mins(1);
        eventually(patience, || async { redis.is_being_asked().then_some(()) }).await;
        assert_eq!(server.calls(), 1, "it waits for Redis, and the model was not called yet");
        redis.kill9();
    };
    let (answered, ()) = tokio::join!(asking, dying);
    let answered = answered.unwrap();
    assert_eq!((answered.source, answered.value.severity, server.calls()), (Source::Model, 2, 2));
    assert_eq!(desk.ask_about(&model, "entry 1").await.unwrap().source, Source::Cache, "memory has it");
    let failed =
        model.breakers().find(|breaker| breaker.name() == "redis").unwrap().status().statistics.failed;
    assert!(failed > 0, "its death is counted");
}
