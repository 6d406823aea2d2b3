//! Being left alone, with a clock that is moved by hand. What needs an endpoint is in `tests/models`.

use instance_clock::MockClock;

use super::*;
use crate::{
    Account, Excerpt, Failure, Fill, Model, Parts, Question, Settings, Template, Typed, breaker, error::Error,
};

fn provider(calls_per_minute: u32) -> Provider {
    let mut settings = settings::Provider::new("main", "http://127.0.0.1:9", "m-1");
    settings.calls_per_minute = calls_per_minute;
    let clock: Arc<dyn Clock> = Arc::new(MockClock::new(Timestamp::UNIX_EPOCH));
    let breaker = Breaker::new("main", breaker::Settings::default(), Arc::clone(&clock));
    Provider::new(settings, None, Arc::new(breaker), clock)
}

#[tokio::test(start_paused = true)]
async fn a_shorter_time_does_not_end_a_longer_one() {
    let provider = provider(60);
    provider.hold(Some(Duration::from_mins(10)));
    provider.hold(Some(Duration::from_secs(1)));
    provider.hold(None);
    tokio::time::advance(Duration::from_mins(9)).await;
    assert!(matches!(provider.turn().await, Err(CallError::Held { .. })));
    // And a longer one is added.
    provider.hold(Some(Duration::from_mins(5)));
    tokio::time::advance(Duration::from_mins(4)).await;
    assert!(matches!(provider.turn().await, Err(CallError::Held { .. })));
    tokio::time::advance(Duration::from_mins(1)).await;
    provider.turn().await.unwrap();
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
struct Nothing {}

/// The pause after a failure is over, and meanwhile somebody else was told to stay away for an hour.
#[tokio::test(start_paused = true)]
async fn who_comes_back_after_a_pause_asks_whether_it_may() {
    let folder = tempfile::tempdir().unwrap();
    // A port where nobody listens any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut settings = Settings {
        providers: vec![settings::Provider::new("main", &format!("http://127.0.0.1:{port}"), "m-1")],
        folder: folder.path().join("state"),
        retry_base_ms: 30_000,
        ..Settings::default()
    };
    settings.cache.enabled = false;
    let parts = Parts::new(Arc::new(MockClock::new(Timestamp::UNIX_EPOCH)));
    let model = Model::new(settings, parts).unwrap();
    let template = Template { name: "hold", version: 1, system: "Answer.", user: "{{entry}}" };
    let prompt = template.fill(&[("entry", Fill::Outside(Excerpt::of("x")))]).unwrap();
    let (form, account) = (Typed::<Nothing>::new(), Account { session: "s".to_owned(), remediation: None });
    let failed = || model.breakers().next().unwrap().status().statistics.failed;
    let hold = async {
        while failed() == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        model.provider(0).hold(Some(Duration::from_hours(1)));
    };
    let question = Question::judge(&prompt, &form, &account);
    let (answer, ()) = tokio::join!(model.ask(&question), hold);
    let Err(Error::Unanswered { failures }) = answer else { panic!("nobody answers there") };
    assert_eq!(failures.iter().map(Failure::kind).collect::<Vec<_>>(), ["held"]);
    assert_eq!(failed(), 1, "it was called once, and then left alone");
}
