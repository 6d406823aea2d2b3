//! Breakers and costs of a process that asks models, seen and reset by an operator over the bus.

use std::{collections::HashMap, sync::Arc, time::Duration};

use instance_bus::{Bus, ServiceError};
use instance_clock::SystemClock;
use instance_contract::subject;
use instance_llm::{Account, Choices, Fill, Model, Parts, Question, Settings, Template, operate, settings};
use instance_testkit::{ModelAnswer, ModelServer, NatsServer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::pipeline;

const TEMPLATE: Template = Template { name: "any", version: 1, system: "Choose.", user: "{{options}}" };

fn model(folder: &std::path::Path, server: &ModelServer) -> Model {
    let settings = Settings {
        providers: vec![settings::Provider::new("main", &server.url(), "m-1")],
        folder: folder.to_owned(),
        retry_base_ms: 1,
        ..Settings::default()
    };
    Model::new(settings, Parts::new(Arc::new(SystemClock))).unwrap()
}

async fn ask(model: &Model) -> bool {
    let choices = Choices::new(vec![]).unwrap();
    let prompt = TEMPLATE.fill(&[("options", Fill::Ours(choices.listed()))]).unwrap();
    let account = Account { session: "s-1".to_owned(), remediation: Some("r-1".to_owned()) };
    model.ask(&Question::judge(&prompt, &choices, &account)).await.is_ok()
}

/// What a service does that asks models: hands the questions of operators through.
async fn serve(bus: &Bus, model: &Model) {
    let process = Uuid::new_v4();
    let mut service = bus.service("analyst", "1.0.0", "asks models", HashMap::new());
    for endpoint in operate::ENDPOINTS {
        service = service.endpoint(endpoint, &subject::model(process, endpoint), HashMap::new());
    }
    let mut service = service.start().await.unwrap();
    while let Some(request) = service.next().await {
        let answer = model.operate(request.endpoint(), request.payload()).await;
        let answer = answer.map(Into::into).map_err(|no| ServiceError::new(no.code, no.text));
        request.respond(answer).await.unwrap();
    }
}

/// `instance` with these words; its exit code and what it printed.
async fn instance(nats: &NatsServer, words: &[&str]) -> (i32, Value) {
    let mut command = pipeline::command("instance");
    command.args(["--json", "--nats", &nats.url()]).args(words);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// Looks until what `instance` prints is as it should be: on a busy machine a process may be found late.
async fn shows(nats: &NatsServer, words: &[&str], expected: impl Fn(&Value) -> bool) -> Value {
    instance_testkit::eventually(Duration::from_mins(1), || async {
        let (code, document) = instance(nats, words).await;
        (code == 0 && expected(&document)).then_some(document)
    })
    .await
}

fn state(document: &Value) -> &Value {
    &document["processes"][0]["breakers"][0]["state"]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_and_resets_breakers_and_reads_costs() {
    let (nats, server) = (NatsServer::start(), ModelServer::start());
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path(), &server);
    let bus = instance_testkit::connect(&nats).await;
    let operator = async {
        shows(&nats, &["breaker", "list"], |found| *state(found) == "closed").await;
        for _ in 0..3 {
            server.expect(ModelAnswer::status(500));
        }
        assert!(!ask(&model).await);
        assert!(!ask(&model).await, "nobody is called");
        assert_eq!(server.calls(), 3);
        // The breaker lets trials through after 30 s: a slow machine may see it half-open.
        shows(&nats, &["breaker", "list"], |found| *state(found) != "closed" && !state(found).is_null())
            .await;

        assert_eq!(instance(&nats, &["breaker", "reset", "other"]).await.0, 8);
        shows(&nats, &["breaker", "reset", "main"], |reset| *state(reset) == "closed").await;
        server.expect(ModelAnswer::json(&json!({"option": 0, "numbers": [], "confidence": 1})));
        assert!(ask(&model).await);
        let cost = shows(&nats, &["cost"], |cost| !cost["reports"][0].is_null()).await;
        let report = &cost["reports"][0];
        assert_eq!(report["today"]["calls"], 1, "{cost}");
        let names = (&report["remediations"][0]["name"], &report["sessions"][0]["name"]);
        assert_eq!(names, (&json!("r-1"), &json!("s-1")));
    };
    tokio::select! {
        () = serve(&bus, &model) => panic!("the service ended"),
        () = operator => {}
    }
}
