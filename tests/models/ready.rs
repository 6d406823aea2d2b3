//! A model that does as it is told passes every case: what a real service is held to with `cargo xtask test --live-model`.

use instance_testkit::{ModelAnswer, ModelCall, ModelServer};
use serde_json::json;

use crate::{cases, desk::Desk};

/// What a fair model says to each of the questions that are asked.
pub fn fair(call: &ModelCall) -> Option<ModelAnswer> {
    let answer = match call.body["response_format"]["json_schema"]["name"].as_str()? {
        "judgement" => json!({"severity": 2, "title": "journal full"}),
        "choice" => json!({"option": 0, "numbers": [512], "confidence": 0.9}),
        "entry" => {
            json!({"text": "Journal switch to /iris/journal2/ took 12 seconds, and users waited for it"})
        }
        _ => return None,
    };
    Some(ModelAnswer::json(&answer))
}

#[tokio::test]
async fn a_fair_model_passes_every_case() {
    let server = ModelServer::start();
    server.answer_with(fair);
    let told = cases::all(&Desk::new(&server).settings).await;
    for case in &told {
        assert!(case.outcome.is_ok(), "{}: {:?}", case.name, case.outcome);
    }
    assert_eq!(told.len(), 6);
}

#[tokio::test]
async fn a_model_that_talks_nonsense_passes_none_but_does_no_harm() {
    let server = ModelServer::start();
    server.answer_with(|_| Some(ModelAnswer::text("restart everything")));
    let mut desk = Desk::unlimited(&server);
    desk.settings.tries = 1;
    for case in cases::all(&desk.settings).await {
        // A person is called: that is the right end of a choice that was not made.
        let chose = case.name.contains("chooses") || case.name.contains("hostile");
        assert_eq!(case.outcome.is_ok(), chose, "{}: {:?}", case.name, case.outcome);
    }
}
