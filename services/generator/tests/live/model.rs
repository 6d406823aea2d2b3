//! Messages in the words of a model, asked for over the bus; and what an operator sees of it.

use std::fs;

use instance_contract::subject;
use instance_testkit::{ModelAnswer, ModelServer, NatsServer, bus, eventually};
use serde_json::{Value, json};

use crate::{Host, PATIENCE};

const TEXT: &str = "Journal switch to /iris/journal2/ took 12 seconds, and users waited for it";

#[tokio::test(flavor = "multi_thread")]
async fn messages_have_a_models_words_and_templates_answer_when_it_fails() {
    let (nats, server) = (NatsServer::start(), ModelServer::start());
    server.answer_with(|_| Some(ModelAnswer::json(&json!({ "text": TEXT }))));
    let bus = bus(&nats).await;
    let host = Host::new(&nats);
    let settings = host.folder.path().join("generator.toml");
    let model = format!(
        "\n[generator.model]\nfolder = \"{}/model\"\ntries = 1\n[generator.model.breaker]\nenabled = false\n\
         [[generator.model.providers]]\nname = \"main\"\nbase_url = \"{}\"\nmodel = \"m-1\"\n",
        host.folder.path().display(),
        server.url()
    );
    fs::write(&settings, fs::read_to_string(&settings).unwrap() + &model).unwrap();
    let _generator = host.generator(&[]);
    let wanted =
        |seed: u64| json!({"count": 3, "error_category": "journal", "severity_range": [2, 3], "seed": seed});
    let ask = |seed| {
        let (bus, wanted) = (&bus, wanted(seed).to_string());
        async move {
            let reply = bus.request(&subject::generate(), wanted.into(), PATIENCE).await.ok()?;
            serde_json::from_slice::<Value>(&reply.payload).ok()
        }
    };
    let answer = eventually(PATIENCE, || ask(7)).await;
    assert_eq!((&answer["by_model"], &answer["count"]), (&json!(3), &json!(3)), "{answer}");
    for message in answer["messages"].as_array().unwrap() {
        assert_eq!((&message["message_text"], &message["origin"]), (&json!(TEXT), &json!("emulated")));
        assert_eq!(message["error_type"], "journal");
    }

    server.answer_with(|_| Some(ModelAnswer::status(500)));
    let answer = ask(8).await.unwrap();
    assert_eq!((&answer["by_model"], &answer["count"]), (&json!(0), &json!(3)), "{answer}");
    assert!(answer["messages"].as_array().unwrap().iter().all(|message| message["error_type"] == "journal"));
}
